"""The small detectors of tests/detectors cut into cores, each once; and the same, changed."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import replace

from torch import nn

from detectors.torchvision_style import DETECTORS, example
from intaglio.read.module.core_whole import Whole
from intaglio.read.module.cores import find_cores

ONE = ["ssd", "ssdlite", "retinanet", "fcos"]
TWO = ["fasterrcnn_mobilenet", "fasterrcnn_resnet", "maskrcnn"]
SIZE = (96, 128)


@functools.cache
def detector(name: str) -> nn.Module:
    return DETECTORS[name]()


@functools.cache
def whole_of(name: str, *, mixed: bool = False) -> Whole:
    """Return the cores of a detector that was shown a picture of SIZE, or two of other sizes."""
    return find_cores(detector(name), example(2) if mixed else example(1, SIZE))


def changed(name: str, change: Callable[[nn.Module], object], *, mixed: bool = False) -> Whole:
    """Return the same with a change made to a copy of its module; its cores stay."""
    whole = whole_of(name, mixed=mixed)
    module = copy.deepcopy(whole.module)
    change(module)
    return replace(whole, module=module)
