"""Two small detectors as results, made once a run of the tests: of one core, and of two."""

from __future__ import annotations

import functools

from torch import Tensor, nn

import intaglio
from detectors.torchvision_style import DETECTORS, example

ONE, TWO = "ssd", "fasterrcnn_mobilenet"
SIZE = (96, 128)
SEEN = 2
"""Pictures of a call."""


@functools.cache
def detector(name: str) -> nn.Module:
    """Return the user's module; tests must not change it."""
    return DETECTORS[name]()


@functools.cache
def compressed(name: str) -> intaglio.Result:
    """Return its integers, not evaluated, by the plain recipe."""
    return again(name)


def again(name: str, **wishes: object) -> intaglio.Result:
    """Return its integers, made anew."""
    data = [example(SEEN, SIZE, seed=seed) for seed in (3, 5)]
    return intaglio.compress(
        detector(name), example(SEEN, SIZE), data=data, recipe="plain", **wishes
    )


def given(count: int = SEEN, seed: int = 9) -> list[Tensor]:
    """Return pictures that a detector has not seen yet."""
    return example(count, SIZE, seed=seed)
