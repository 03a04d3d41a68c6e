"""Fixtures of the data floor's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.generated_images import MakeImage, noise


@pytest.fixture
def make_image(tmp_path: Path) -> MakeImage:
    """Write an image of 12 x 12 random pixels to a path below tmp_path, and return the path."""

    def make(name: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise(sum(name.encode())).save(path)
        return path

    return make
