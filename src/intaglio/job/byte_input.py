"""How the bytes are made that a file with a uint8 input takes: for the report.

Image libraries of phones copy the bytes of a picture into a uint8 input, and leave out what the
file says of normalization. That is right where the step of the input's grid is that of the bytes,
and its integers are theirs.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from intaglio.data.preprocess import Preprocess, apply
from intaglio.errors import DataError
from intaglio.methods.steps.state import Quantized
from intaglio.numerics.spec import QuantParams
from intaglio.recipe.settings import Settings
from intaglio.report.byte_input import ByteInput
from intaglio.targets.target import Target

SIDE = 16
"""Of a picture that has every byte once."""


def byte_input(
    state: Quantized, settings: Settings, preprocess: Preprocess | None
) -> ByteInput | None:
    """Return how the file's uint8 input is made; None where it takes something else.

    Args:
        preprocess: What is done to an image before the network; None where nothing is known.
    """
    name = state.graph.inputs[0]
    params = state.encodings.activations.get(name)
    if settings.io != "uint8" or settings.is_simulated or params is None:
        return None
    grid = params.unsigned()
    off = _off(state.graph[name].shape, params, settings.target, preprocess)
    return ByteInput(float(grid.step), grid.zero, off)


def _off(
    shape: tuple[int, ...], params: QuantParams, target: Target, preprocess: Preprocess | None
) -> int | None:
    """Return the most that a pixel's byte differs from the input's; None where no image is one."""
    if preprocess is None:
        return None
    pixels = np.arange(SIDE * SIDE, dtype=np.uint8).reshape(SIDE, SIDE)
    levels = Preprocess(mean=preprocess.mean, std=preprocess.std)
    try:
        values = apply(levels, Image.fromarray(pixels), (*shape[:2], SIDE, SIDE))
    except DataError:  # an input of other channels, which no image file feeds
        return None
    made = target.quantize_input(values, params) + params.unsigned().zero
    return int((made - torch.from_numpy(pixels)).abs().max())
