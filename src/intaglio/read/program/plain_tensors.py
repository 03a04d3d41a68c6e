"""The tensors of a saved program: their sizes must fit the bytes that are stored for them.

torch makes a tensor of whatever sizes an archive states where no bytes are stored, and one that
reads the same bytes again and again where a stride is 0: either may take all memory there is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

ELEMENT_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 2, 7: 4, 8: 8, 12: 1, 13: 2}
"""Bytes of an element by torch's number for a type: integers, floats and bool."""
LARGEST_SIZE = 2**40
LARGEST_REPEATED = 2**24
"""Elements beyond the stored ones that all tensors of an archive may have together."""


def check_tensors(entries: Mapping[str, Any], stored: Mapping[str, int]) -> None:
    """Look through the tensors of a config file.

    Args:
        entries: Its entries by the tensor's name.
        stored: How many bytes are there for each `path_name`.

    Raises:
        ValueError: If a tensor does not fit its bytes; names it.
    """
    repeated, types = 0, dict[str, int]()
    for key, entry in entries.items():
        path, meta = entry["path_name"], entry["tensor_meta"]
        kind = meta["dtype"]
        if kind not in ELEMENT_BYTES or types.setdefault(path, kind) != kind:
            raise ValueError(f"the tensor '{key}' has a type that is not read")
        if meta["device"]["type"] not in ("cpu", "cuda"):
            raise ValueError(f"the tensor '{key}' is on {meta['device']['type']}")
        elements, rest = divmod(stored[path], ELEMENT_BYTES[kind])
        sizes, strides = _whole(meta["sizes"], key), _whole(meta["strides"], key)
        (offset,) = _whole([meta["storage_offset"]], key)
        count = math.prod(sizes)
        if rest or len(strides) != len(sizes) or (count and not elements):
            raise ValueError(f"the tensor '{key}' does not fit its {stored[path]} bytes")
        reach = sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
        if count and offset + reach >= elements:
            raise ValueError(f"the tensor '{key}' reads beyond its {stored[path]} bytes")
        repeated += max(0, count - elements)
    if repeated > LARGEST_REPEATED:
        raise ValueError(f"its tensors repeat {repeated} elements that are not stored")


def _whole(values: list[Any], key: str) -> list[int]:
    found = [value["as_int"] for value in values]
    if not all(type(value) is int and 0 <= value <= LARGEST_SIZE for value in found):
        raise ValueError(f"the tensor '{key}' has a size that is out of range")
    return found
