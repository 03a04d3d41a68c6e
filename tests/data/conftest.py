"""Small generated images that several tests of the data floor share."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
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


@pytest.fixture
def make_image(tmp_path: Path) -> MakeImage:
    """Write an image of 12 x 12 random pixels to a path below tmp_path, and return the path."""

    def make(name: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise(sum(name.encode())).save(path)
        return path

    return make
