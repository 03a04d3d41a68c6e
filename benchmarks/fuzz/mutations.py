"""What is done to a valid file: a mutant is a pure function of the file, a seed and a number."""

from __future__ import annotations

import io
import json
import random
import tomllib
import zipfile
from collections.abc import Callable
from typing import Any

Mutation = Callable[[bytes, random.Random], bytes]

WORDS = (0, 1, -1, 2, 127, 255, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63)
BLOCKS = (1, 2, 4, 8, 16, 64, 512)
TOKENS = (
    b"\n", b"\r", b"\0", b"\xff", b'"', b"'", b",", b";", b"\\", b"[", b"{", b"]" * 3, b"[" * 2000,
    b"1e999", b"-0", b"nan", b"9" * 5000, b"\xef\xbb\xbf", b"\xed\xa0\x80", b"../", b"\xc2\xb2",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 3, 255, 2**31 - 1, 2**31, 2**63, -(2**63), 10**400, 0.5, -1.5,
    1e308, 1e-320, float("nan"), float("inf"), "", "a", "x\ny", "\u2028", "inf", "nan", "1", "\0",
    "a" * 70_000, [], {}, [[]], [None], {"": 0}, {"name": "x"}, [1, 2, 3],
)  # fmt: skip
FORMULAS = (
    "Pow(Pow(Symbol('s34'), Integer(9)), Integer(9))",
    "Pow(Integer(9), Pow(Integer(9), Integer(9)))",
    "Pow(Symbol('s34', positive=True, integer=True), Symbol('s34', positive=True, integer=True))",
    "Mul(" + ", ".join(["Pow(Add(Symbol('s0'), Symbol('s1'), Integer(1)), Integer(8))"] * 12) + ")",
    "Max(" * 30 + "Symbol('s34')" + ", Symbol('s1'))" * 30,
    "9**9**9", "1 << 99999999999", "Integer(" + "9" * 1800 + ")", "Rational(1, 0)",
    "FloorDiv(Symbol('s34'), Integer(0))", "Float(1e308)", "Symbol('u0')", "Integer(-3)",
    "Eq(Symbol('s34'), Integer(2))", "Mod(Symbol('s34'), Integer(0))", "(" * 150 + ")" * 150,
)  # fmt: skip
DEEPEST = 3000


def mutant(content: bytes, mutation: Mutation, seed: str, number: int) -> bytes:
    """Return mutant `number` of a file; it is never the file itself."""
    random_source = random.Random(f"{seed} {number}")
    for _ in range(20):
        changed = mutation(content, random_source)
        if changed != content:
            return changed
    return content + b"\0"


def of_bytes(content: bytes, chance: random.Random) -> bytes:
    """Change one to three places as bytes: flipped, overwritten, cut, doubled, moved or put in."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        content = chance.choice(BYTE_CHANGES)(content, chance)
    return content


def _flip(content: bytes, chance: random.Random) -> bytes:
    if not content:
        return content
    at = chance.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]


def _word(content: bytes, chance: random.Random) -> bytes:
    size = chance.choice((1, 2, 4, 4, 8))
    order = chance.choice(("little", "little", "big"))
    word = (chance.choice(WORDS) % 2 ** (8 * size)).to_bytes(size, order)  # type: ignore[arg-type]
    at = chance.randrange(max(1, len(content)))
    at -= at % size if chance.random() < 0.7 else 0
    return content[:at] + word + content[at + size :]


def _cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(max(1, len(content)))]


def _block(content: bytes, chance: random.Random) -> tuple[int, int]:
    at = chance.randrange(max(1, len(content)))
    return at, min(len(content), at + chance.choice(BLOCKS))


def _delete(content: bytes, chance: random.Random) -> bytes:
    start, end = _block(content, chance)
    return content[:start] + content[end:]


def _double(content: bytes, chance: random.Random) -> bytes:
    start, end = _block(content, chance)
    return content[:end] + content[start:end] * chance.choice((1, 1, 2, 100)) + content[end:]


def _swap(content: bytes, chance: random.Random) -> bytes:
    (first, end), (second, last) = sorted((_block(content, chance), _block(content, chance)))
    if end > second:
        return content
    parts = content[:first], content[second:last], content[end:second], content[first:end]
    return b"".join(parts) + content[last:]


def _clear(content: bytes, chance: random.Random) -> bytes:
    start, end = _block(content, chance)
    return content[:start] + bytes([chance.choice((0, 255))]) * (end - start) + content[end:]


def _insert(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) + 1)
    return content[:at] + chance.choice(TOKENS) + content[at:]


BYTE_CHANGES: tuple[Mutation, ...] = (
    _flip, _flip, _flip, _word, _word, _cut, _delete, _double, _swap, _clear, _insert,
)  # fmt: skip


def of_json(content: bytes, chance: random.Random) -> bytes:
    """Change a JSON file: two times of three a value, a key or a list in it, else its bytes."""
    if chance.random() < 1 / 3:
        return of_bytes(content, chance)
    if chance.random() < 0.02:
        return b'{"a":' * DEEPEST + b"0" + b"}" * DEEPEST
    return json.dumps(of_value(json.loads(content), chance)).encode("utf-8", "replace")


def of_toml(content: bytes, chance: random.Random) -> bytes:
    """Change a TOML file: half the time a value or a key in it, else its bytes."""
    if chance.random() < 0.5:
        return of_bytes(content, chance)
    changed = of_value(tomllib.loads(content.decode()), chance)
    if not isinstance(changed, dict):
        return _toml(changed).encode("utf-8", "replace")
    lines = [f"{json.dumps(str(key))} = {_toml(value)}" for key, value in changed.items()]
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(str(key))} = {_toml(item)}" for key, item in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf")


def of_value(document: Any, chance: random.Random) -> Any:
    """Return the document with one to three of its values, keys or lists changed."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        places = list(_places(document))
        if not places:
            return chance.choice(VALUES)
        holder, key = chance.choice(places)
        _change(holder, key, places, chance)
    return document


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return (holder, key or index) of every value in a document."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting and len(found) < 50_000:
        holder = waiting.pop()
        inner = holder.items() if isinstance(holder, dict) else enumerate(holder)
        for key, item in inner:
            found.append((holder, key))
            if isinstance(item, dict | list):
                waiting.append(item)
    return found


def _change(holder: Any, key: Any, places: list[tuple[Any, Any]], chance: random.Random) -> None:
    """Change one place of a document in itself."""
    value, kind = holder[key], chance.randrange(10)
    if kind <= 3:
        holder[key] = json.loads(json.dumps(chance.choice(VALUES)))
    elif kind == 4:
        other, place = chance.choice(places)
        inside = other[place] if not isinstance(other, list) or place < len(other) else None
        holder[key] = json.loads(json.dumps(inside))
    elif kind == 5:
        del holder[key]
    elif kind == 6 and isinstance(holder, dict):
        holder[chance.choice(("", "x", "name", "x\ny", str(key) + "2"))] = holder.pop(key)
    elif kind == 7 and isinstance(holder, list):
        holder.extend([value] * chance.choice((1, 1, 1000)))
    elif kind == 8 and isinstance(value, list):
        chance.shuffle(value)
    else:
        holder[key] = _near(value, chance)


def _near(value: Any, chance: random.Random) -> Any:
    """Return a value of the same type that is near or far."""
    if isinstance(value, str) and "Symbol(" in value:
        return chance.choice(FORMULAS)
    if isinstance(value, str):
        return value[: len(value) // 2] + chance.choice(("", "x", "\n", value))
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return chance.choice((-value, value + 1, value - 1, value * 2, value * 2**20, value // 2))
    return [value, value] if chance.random() < 0.5 else str(value)


def of_archive(content: bytes, chance: random.Random) -> bytes:
    """Change one part of a zip archive, or which parts there are, and make its checksums again."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = [(name, archive.read(name)) for name in archive.namelist()]
    at, kind = chance.randrange(len(parts)), chance.random()
    if kind < 0.5:  # the structure is a small share of the bytes, and most of what can go wrong
        at = chance.choice([i for i, (name, _) in enumerate(parts) if name.endswith(_STRUCTURE)])
    name, part = parts[at]
    if kind < 0.9:
        parts[at] = name, (of_json if name.endswith(".json") else of_bytes)(part, chance)
    elif kind < 0.93:
        del parts[at]
    elif kind < 0.96:
        parts[at] = name, parts[chance.randrange(len(parts))][1]
    else:
        parts[at] = name + chance.choice(("x", "/", ".pt", "\n")), part
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w", zipfile.ZIP_STORED) as archive:
        for name, part in parts:
            archive.writestr(zipfile.ZipInfo(name), part)
    return changed.getvalue()


_STRUCTURE = (".json", ".pkl")
