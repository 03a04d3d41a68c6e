"""What the settings of ops may hold: a type and a range each, in words and as a check.

Types are exact: `True` is no number, and a whole number where a real one belongs is refused.
Bounds of sizes keep the work of a graph that comes from a file finite.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LARGEST_SIZE = 2**31 - 1
"""Of an axis, and of an index into it."""
LARGEST_STEP = 2**16
"""Of kernels, strides, dilations, paddings and images along one axis, and of groups."""
FLOAT32_MAX = float.fromhex("0x1.fffffep127")
LARGEST_RANK = 64
"""Axes that a tensor of torch may have."""


@dataclass(frozen=True)
class Rule:
    """What one setting may hold.

    Attributes:
        allowed: In words, for messages: "a whole number from 1 to 65536".
        holds: Whether a value, of any type, is allowed.
    """

    allowed: str
    holds: Callable[[Any], bool]

    def optional(self) -> Rule:
        """Return the rule that allows None beside."""
        return Rule(f"None, or {self.allowed}", lambda value: value is None or self.holds(value))

    def many(self, count: int) -> Rule:
        """Return the rule of tuples of `count` such values."""

        def holds(value: Any) -> bool:
            """Whether the value is a tuple of `count` allowed values."""
            return type(value) is tuple and len(value) == count and all(map(self.holds, value))

        return Rule(f"{count} values, each {self.allowed}", holds)


def whole(least: int, most: int) -> Rule:
    """Return the rule of whole numbers from `least` to `most`."""
    return Rule(
        f"a whole number from {least} to {most}",
        lambda value: type(value) is int and least <= value <= most,
    )


def words(*known: str) -> Rule:
    """Return the rule of a choice among words."""
    return Rule(f"one of {', '.join(known)}", lambda value: type(value) is str and value in known)


def _is_ordered_pair(value: Any) -> bool:
    if type(value) is not tuple or len(value) != 2:
        return False
    low, high = value
    return _is_real(low) and _is_real(high) and bool(low <= high)


def _is_real(value: Any) -> bool:
    return _is_finite(value) or value in (math.inf, -math.inf)


def _is_finite(value: Any) -> bool:
    return type(value) is float and abs(value) <= FLOAT32_MAX  # NaN is never <=


def _are_axes(value: Any) -> bool:
    if type(value) is not tuple or not value or not all(map(AXIS.holds, value)):
        return False
    return len(set(value)) == len(value)


def _is_order(value: Any) -> bool:
    if type(value) is not tuple or not all(type(axis) is int for axis in value):
        return False
    return value[:1] == (0,) and sorted(value) == list(range(len(value)))


def _is_shape(value: Any) -> bool:
    if type(value) is not tuple or len(value) > LARGEST_RANK:
        return False
    return all(
        type(size) is int and (0 <= size <= LARGEST_SIZE or (size == -1 and axis == 0))
        for axis, size in enumerate(value)
    )


def _is_padding(value: Any) -> bool:
    if type(value) is not tuple or len(value) % 2 or len(value) > 2 * LARGEST_RANK:
        return False
    return all(map(MARGIN.holds, value))


def _are_indices(value: Any) -> bool:
    return type(value) is tuple and 0 < len(value) <= LARGEST_STEP and all(map(INDEX.holds, value))


STEP = whole(1, LARGEST_STEP)
MARGIN = whole(0, LARGEST_STEP)
STEP_PAIR = STEP.many(2)
"""(height, width) of kernels, strides, dilations, sizes of images."""
MARGIN_PAIR = MARGIN.many(2)
"""(height, width) of padding that is the same on both sides."""
MARGINS = MARGIN.many(4)
"""Padding (top, bottom, left, right)."""
INDEX = whole(0, LARGEST_SIZE)
COUNT = whole(1, LARGEST_SIZE)
AXIS = whole(1, LARGEST_RANK - 1)
"""Of a value; never the batch."""
AXES = Rule(f"different axes, each {AXIS.allowed}", _are_axes)
INDICES = Rule(f"1 to {LARGEST_STEP} values, each {INDEX.allowed}", _are_indices)
ORDER = Rule("every axis once, the batch first", _is_order)
SHAPE = Rule(f"sizes from 0 to {LARGEST_SIZE}, the first of which may be -1", _is_shape)
PADDING = Rule(f"an even number of values, each {MARGIN.allowed}", _is_padding)
FLAG = Rule("True or False", lambda value: type(value) is bool)
BOUNDS = Rule("two float32 (low, high), low <= high, which may be infinite", _is_ordered_pair)
ACTIVATION = BOUNDS.optional()
REAL = Rule("a float32 or an infinity", _is_real)
FINITE = Rule("a finite float32", _is_finite)
NON_NEGATIVE = Rule("a finite float32 >= 0", lambda value: _is_finite(value) and value >= 0.0)
POSITIVE = Rule("a finite float32 > 0", lambda value: _is_finite(value) and value > 0.0)
SCALES = Rule(
    f"a number from 1/{LARGEST_STEP} to {LARGEST_STEP}",
    lambda value: type(value) is float and 1 / LARGEST_STEP <= value <= LARGEST_STEP,
).many(2)
"""Factors (height, width) of a resize."""
ANYTHING = Rule("anything", lambda value: True)
