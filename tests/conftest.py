"""Fixtures that several test folders share, what marks tests, and on which processor they run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from processor import description, prepare

prepare()  # before anything imports LiteRT's interpreter

import intaglio.runtimes  # noqa: E402, F401  names the files of results
from architectures import catalogue  # noqa: E402
from intaglio import zoo  # noqa: E402
from packages import install  # noqa: E402, F401

ARCHITECTURES = {f"zoo.{name}" for name in zoo.names()} | set(catalogue.ARCHITECTURES)
REPOSITORY = Path(__file__).resolve().parent.parent
TESTS = Path(__file__).resolve().parent
MARKED = {
    "bits": (
        "end_to_end/test_architectures.py",
        "end_to_end/test_low_bits.py",
        "job/test_compress.py",
        "job/test_keep_float.py",
        "run/fake/test_exact.py",
        "runtimes",
        "zoo/test_quantization_friendly.py",
    ),
    "floats": (
        "calibrate",
        "ir",
        "methods",
        "numerics",
        "ops",
        "passes",
        "read/module",
        "read/program",
        "run/fake",
        "runtimes/litert/lower",
        "runtimes/litert/scales",
        "zoo/test_networks.py",
    ),
    "long": (
        "end_to_end",
        "job/test_compress.py",
        "methods/blocks/test_blocks.py",
        "methods/learn/test_resume.py",
        "methods/learn/test_two_processes.py",
        "passes/test_channel_statistics.py",
        "run/fake/test_exact.py",
        "runtimes/litert/file/test_size.py",
        "runtimes/litert/lower/test_forms_at_random.py",
        "runtimes/litert/scales/test_agreement.py",
        "runtimes/litert/scales/test_nudge.py",
        "zoo/test_networks.py",
    ),
}
"""Marker to the folders and files whose every test has it (pyproject.toml says what it means)."""


def pytest_report_header() -> list[str]:
    """Say which processor ran the tests, and how."""
    return description()


@pytest.fixture(scope="session")
def data_pack() -> Path:
    """The folder of real weights and images; the test is skipped where it is absent."""
    folder = Path(os.environ.get("INTAGLIO_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs the data pack: no folder {folder} (set INTAGLIO_DATA)")
    return folder


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --quick: the loop of a developer, a part of the tests of every room."""
    parser.addoption(
        "--quick", action="store_true", help="the first row of each test that is not marked slow"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests by the place that they are in; leave of them what --quick asks for."""
    _mark(items)
    if config.getoption("quick"):
        chosen = _quick(items)
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


def _mark(items: list[pytest.Item]) -> None:
    places = {mark: [TESTS / place for place in places] for mark, places in MARKED.items()}
    gone = [str(place) for found in places.values() for place in found if not place.exists()]
    if gone:
        raise pytest.UsageError(f"tests/conftest.py marks tests in {gone[0]}, which is gone")
    for item in items:
        for mark, found in places.items():
            if any(item.path == place or place in item.path.parents for place in found):
                item.add_marker(mark)


def _quick(items: list[pytest.Item]) -> dict[pytest.Item, None]:
    """Return the first row of each test function that is not marked slow, in order.

    So a new test, file or room is in it from its first day, and a new row makes it no slower.
    """
    first: dict[str, pytest.Item] = {}
    for item in items:
        if item.get_closest_marker("slow") is None:
            first.setdefault(item.nodeid.partition("[")[0], item)
    return dict.fromkeys(first.values())


class Together(LoadScopeScheduling):
    """Gives tests that share what is dear to make to the same process.

    All tests of an architecture are a group: torch.export takes a second for each, and `captured`
    keeps what it made. Other tests go with their file, whose fixtures they share.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, row = nodeid.partition("::")
        for value in row.partition("[")[2].rstrip("]").split("-"):
            for name in (value, f"zoo.{value}"):
                if name in ARCHITECTURES:
                    return name
        return file


@pytest.hookimpl(optionalhook=True)  # there is none where pytest-xdist is switched off
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Together | None:
    """Return how `-n` shares out the tests, unless `--dist` says it."""
    return Together(config, log) if config.getoption("dist") == "load" else None
