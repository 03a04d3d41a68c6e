"""Packages that are installed for a test: a module beside what pip writes about it."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a package of one module, of the same name; it is gone behind the test.

    Called with the package's name, the module's text, the group, and the entry points' names.
    """
    installed = []

    def install(package: str, code: str, group: str, *names: str) -> None:
        folder = tmp_path / "installed" / package
        about = folder / f"{package}-1.5.dist-info"
        about.mkdir(parents=True)
        (folder / f"{package}.py").write_text(textwrap.dedent(code))
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.5\n")
        lines = [f"{name} = {package}\n" for name in names]
        (about / "entry_points.txt").write_text(f"[{group}]\n{''.join(lines)}")
        monkeypatch.syspath_prepend(folder)
        importlib.invalidate_caches()
        installed.append(package)

    yield install
    for package in installed:
        sys.modules.pop(package, None)
