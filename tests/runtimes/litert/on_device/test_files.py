"""The runner's files: the room of boxes under another name, the same bytes every time."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import intaglio.boxes
from intaglio.host.files import RESULT_FILES
from intaglio.runtimes import TARGETS
from intaglio.runtimes.litert.on_device.files import BOXES, RUNNER, device_files

ROOM = Path(intaglio.boxes.__file__).parent


def archive() -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(device_files()[BOXES]))


def test_there_are_two_files_and_a_result_may_have_them():
    assert set(device_files()) == {RUNNER, BOXES} <= set(RESULT_FILES)


def test_the_archive_holds_every_file_of_the_room_of_boxes():
    names = archive().namelist()

    assert sorted(names) == sorted(f"intaglio_boxes/{file.name}" for file in ROOM.glob("*.py"))
    assert archive().testzip() is None


def test_the_same_bytes_come_every_time_with_no_time_in_them():
    assert device_files() == device_files()
    assert {entry.date_time for entry in archive().infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_python_lists_the_archive(tmp_path):
    (tmp_path / BOXES).write_bytes(device_files()[BOXES])

    done = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", tmp_path / BOXES],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "intaglio_boxes/postprocess.py" in done.stdout
    assert "1980-01-01" in done.stdout


def imported(text: str) -> set[str]:
    """Return the names of the packages that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


def test_files_import_no_package_but_numpy_and_the_interpreter():
    texts = [device_files()[RUNNER].decode()]
    texts += [archive().read(name).decode() for name in archive().namelist()]

    found = set().union(*map(imported, texts)) - set(sys.stdlib_module_names)

    assert found == {"numpy", "ai_edge_litert", "intaglio_boxes"}


def test_no_file_speaks_of_intaglio_boxes_by_its_old_name():
    texts = [device_files()[RUNNER], *map(archive().read, archive().namelist())]

    assert not [text for text in texts if b"intaglio.boxes" in text]


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_only_targets_with_an_interpreter_have_a_runner(name):
    files = TARGETS[name].device_files()

    assert files in ({}, device_files())
    assert bool(files) == name.startswith("litert")
