"""Timing several pieces of work against each other: interleaved, medians, ratios round by round."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def interleaved(
    work: dict[str, Callable[[], object]],
    rounds: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Return seconds of each piece, round by round; every round runs all pieces, in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for function in work.values():
        function()  # once without the clock: caches, lazy imports
    for number in range(rounds):
        names = list(work) if number % 2 == 0 else list(work)[::-1]
        for name in names:
            began = clock()
            work[name]()
            seconds[name].append(clock() - began)
    return seconds


def ratio(seconds: dict[str, list[float]], name: str, base: str) -> tuple[float, float, float]:
    """Return (median, lower quartile, upper quartile) of the ratios name / base of each round."""
    ratios = [a / b for a, b in zip(seconds[name], seconds[base], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return middle, low, high
