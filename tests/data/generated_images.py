"""Small generated images that several tests of the data floor share."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

MakeImage = Callable[[str], Path]


def noise(seed: int, width: int = 12, height: int = 12) -> Image.Image:
    """Return an RGB image of random bytes."""
    generator = np.random.default_rng(seed)
    return Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))


def jpeg_bytes(seed: int, width: int = 12, height: int = 12) -> bytes:
    """Return the same as the bytes of a JPEG file."""
    buffer = io.BytesIO()
    noise(seed, width, height).save(buffer, "JPEG")
    return buffer.getvalue()
