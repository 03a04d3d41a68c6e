"""How much a pickle would come to, told from its opcodes: nothing of it is made.

A pickle can name what it has made before, so a few bytes can be a tuple of two tuples of two tuples
and so on, whose hash takes years; and one that is nested a million times ends the process.
"""

from __future__ import annotations

import pickletools
from typing import IO

DEEPEST = 200
LARGEST_REPEATED = 10**7
"""Items that a pickle may name again, each counted with all that is in it."""

_BUILT = frozenset({"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "REDUCE", "BUILD", "NEWOBJ"})
Item = tuple[int, int]
"""(how many items it holds, how deep)."""


def check_pickle(file: IO[bytes]) -> None:
    """Look through one pickle, and leave the file behind its end.

    What is no pickle passes: who reads it will say so.

    Raises:
        ValueError: If what it makes is nested too deep, or repeats itself too often.
    """
    stack: list[Item] = []
    marks: list[int] = []
    memo: dict[int, Item] = {}
    repeated = 0
    try:
        for opcode, argument, _ in pickletools.genops(file):
            name = opcode.name
            if name == "MARK":
                marks.append(len(stack))
            elif name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
                memo[len(memo) if name == "MEMOIZE" else int(argument or 0)] = stack[-1]
            elif name in ("GET", "BINGET", "LONG_BINGET"):
                stack.append(memo[int(argument or 0)])
                repeated += stack[-1][0]
            else:
                _apply(opcode, stack, marks)
            if repeated > LARGEST_REPEATED or (stack and stack[-1][1] > DEEPEST):
                break
        else:
            return
    except Exception:  # no pickle: genops and the stack fail in any way
        return
    raise ValueError("it is nested without end")


def _apply(opcode: pickletools.OpcodeInfo, stack: list[Item], marks: list[int]) -> None:
    """Do to the stack what an opcode does, with sizes in the place of values."""
    taken = [
        kind
        for kind in opcode.stack_before
        if kind not in (pickletools.markobject, pickletools.stackslice)
    ]
    items: list[Item] = []
    if pickletools.stackslice in opcode.stack_before:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
    for _ in taken:
        items.append(stack.pop())
    size, depth = 1, 1
    if opcode.name in _BUILT:
        size += sum(item[0] for item in items)
        depth += max((item[1] for item in items), default=0)
    stack.extend([(size, depth)] * len(opcode.stack_after))
