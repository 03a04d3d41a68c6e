"""Fixtures that several test folders share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from architectures import catalogue
from intaglio import zoo

ARCHITECTURES = {f"zoo.{name}" for name in zoo.names()} | set(catalogue.ARCHITECTURES)
REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_pack() -> Path:
    """The folder of real weights and images; the test is skipped where it is absent."""
    folder = Path(os.environ.get("INTAGLIO_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs the data pack: no folder {folder} (set INTAGLIO_DATA)")
    return folder


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put tests that share what is dear to make into the same process.

    All tests of an architecture are a group: torch.export takes a second for each, and `captured`
    keeps what it made. Other tests go with their file, whose fixtures they share.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(_group(item)))


def _group(item: pytest.Item) -> str:
    name = getattr(item, "callspec", None) and item.callspec.params.get("name")
    if name in ARCHITECTURES:
        return str(name)
    return item.nodeid.partition("::")[0]
