"""Damaged JSON documents: one value, anywhere, becomes another of any type, or goes, or doubles."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 255, 65536, 2**31 - 1, 2**31, 2**62, -(2**31)),
    *(0.0, -0.5, 1.5, 1e-45, 1e-30, 1e19, 1e38, 1e300, -1e300),
    *("", "x", "inf", "-inf", "a\nb", "A" * 200),
    *([], {}, [1], [0, 0], [2, 2], [-1, -1], [6.0, 0.0], ["x", "y"], [[1]], [2**16] * 4, {"a": 1}),
)


def mutants(document: Any, count: int, seed: int = 0) -> Iterator[Any]:
    """Yield `count` copies of a JSON document, each with one to three changes."""
    rng = random.Random(seed)
    for _ in range(count):
        made = copy.deepcopy(document)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            _damage(made, rng)
        yield made


def _damage(document: Any, rng: random.Random) -> None:
    """Change one value in place, at a depth and in a place drawn by chance."""
    holder = document
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return
        key = rng.choice(keys)
        inner = holder[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.1:
            break
        holder = inner
    what = rng.randrange(5)
    if what == 0:
        del holder[key]
    elif what == 1 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(inner))
    elif what == 2 and isinstance(inner, int | float) and not isinstance(inner, bool):
        holder[key] = rng.choice((-inner, inner + 1, inner * 2, inner * 1000, float(inner)))
    else:
        holder[key] = copy.deepcopy(rng.choice(STRANGE))
