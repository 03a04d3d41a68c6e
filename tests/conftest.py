"""Fixtures that several test folders share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_pack() -> Path:
    """The folder of real weights and images; the test is skipped where it is absent."""
    folder = Path(os.environ.get("INTAGLIO_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs the data pack: no folder {folder} (set INTAGLIO_DATA)")
    return folder
