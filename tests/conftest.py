"""Fixtures that several test folders share, what marks tests, and on which processor they run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from processor import description, prepare

REPOSITORY = Path(__file__).resolve().parent.parent
TESTS = Path(__file__).resolve().parent
MARKED = {
    "bits": (
        "run/integer",
        "export/tflite",
        "export/test_metadata.py",
        "end_to_end/test_architectures.py",
        "end_to_end/test_low_bits.py",
        "calibrate/test_fit_operands.py",
        "passes/test_align_constants.py",
        "test_keep_float.py",
        "test_pipeline.py",
    ),
    "floats": (
        "calibrate",
        "capture",
        "ir",
        "numerics",
        "ops",
        "passes",
        "ptq",
        "zoo/test_networks.py",
    ),
    "long": (
        "calibrate/test_nudge.py",
        "end_to_end",
        "passes/test_channel_statistics.py",
        "ptq/test_blocks.py",
        "ptq/test_file_size.py",
        "run/integer/test_agreement.py",
        "test_pipeline.py",
        "zoo/test_networks.py",
    ),
}
"""Marker to the folders and files whose every test has it (pyproject.toml says what it means)."""

prepare()


def pytest_report_header() -> list[str]:
    """Say which processor ran the tests, and how."""
    return description()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the place that they are in."""
    places = {mark: [TESTS / place for place in places] for mark, places in MARKED.items()}
    gone = [str(place) for found in places.values() for place in found if not place.exists()]
    if gone:
        raise pytest.UsageError(f"tests/conftest.py marks tests in {gone[0]}, which is gone")
    for item in items:
        for mark, found in places.items():
            if any(item.path == place or place in item.path.parents for place in found):
                item.add_marker(mark)


@pytest.fixture(scope="session")
def data_pack() -> Path:
    """The folder of real weights and images; the test is skipped where it is absent."""
    folder = Path(os.environ.get("INTAGLIO_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs the data pack: no folder {folder} (set INTAGLIO_DATA)")
    return folder
