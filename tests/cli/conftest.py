"""Fixtures of the command line's tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cli.tiny import CALIBRATION, CLASSIFIER, intaglio, write_images, write_networks


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the module `tiny_networks`, `images`, and a compressed `result`."""
    folder = tmp_path_factory.mktemp("prepared")
    write_networks(folder)
    write_images(folder / "images")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert intaglio("compress", *CLASSIFIER, *CALIBRATION, "--out", "result") == 0
    return folder


@pytest.fixture
def place(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory of a test: a copy of `prepared`."""
    folder = tmp_path / "place"
    shutil.copytree(prepared, folder)
    monkeypatch.chdir(folder)
    return folder
