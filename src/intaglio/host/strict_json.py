"""JSON of files that nobody vouches for: what other readers would guess at is refused."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from intaglio.host.files import require_plain_file

LARGEST_WHOLE = 2**63 - 1
LARGEST_BYTES = 2**24
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_json(path: Path, largest_bytes: int = LARGEST_BYTES) -> Any:
    """Return what a JSON file holds: dicts, lists, text, finite floats, int64, booleans and None.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no file, larger than `largest_bytes`, not UTF-8, not JSON, nested too
            deeply, or has a key twice, NaN, an infinity, a number beyond float64 or int64, or half
            a surrogate pair, which no text holds.
    """
    require_plain_file(path, largest_bytes)
    return parse_json(path.read_bytes())


def parse_json(content: bytes) -> Any:
    """Return what JSON text holds; raise ValueError as `read_json` does."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from None
    try:
        value = json.loads(
            text,
            parse_constant=refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=unique_keys,
        )
        if SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("half a surrogate pair is no text") from None
    return value


def refuse_constant(constant: str) -> None:
    """Raise ValueError: for NaN and infinities, as `parse_constant` of json."""
    raise ValueError(f"{constant} is not a number of JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:40]} is beyond float64")
    return value


def _whole(digits: str) -> int:
    if len(digits) > 20 or abs(int(digits)) > LARGEST_WHOLE:
        raise ValueError(f"{digits[:40]} is beyond int64")
    return int(digits)


def unique_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; raise ValueError if a key is there twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise ValueError(f"key {twice[:80]!r} is there twice")
    return found
