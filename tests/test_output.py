"""Whole folders or nothing, whatever happens and whenever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from intaglio.errors import OutputError
from intaglio.output import whole_folder, write_file


def write_result(place: Path, content: str = "new") -> None:
    with whole_folder(place) as folder:
        write_file(folder / "report.json", content)
        write_file(folder / "model.tflite", content.encode())


def contents(place: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in place.iterdir()}


NEW, OLD = ({"report.json": word, "model.tflite": word} for word in ("new", "old"))


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    write_result(tmp_path / "out")

    assert contents(tmp_path / "out") == NEW
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_nothing_is_in_place_while_it_is_written(tmp_path: Path) -> None:
    place = tmp_path / "out"

    with whole_folder(place) as folder:
        write_file(folder / "report.json", "new")
        assert not place.exists()
        assert folder.name.startswith(".out.intaglio-new-")


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "out") as folder:
        write_file(folder / "report.json", str(1 // 0))

    assert list(tmp_path.iterdir()) == []


def test_an_older_result_is_replaced_as_a_whole(tmp_path: Path) -> None:
    place = tmp_path / "out"
    write_result(place, "old")
    (place / "of-an-older-version.json").write_text("")

    write_result(place)

    assert contents(place) == NEW
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_error_leaves_the_older_result(tmp_path: Path) -> None:
    place = tmp_path / "out"
    write_result(place, "old")

    with pytest.raises(ZeroDivisionError), whole_folder(place) as folder:
        write_file(folder / "report.json", str(1 // 0))

    assert contents(place) == OLD


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    write_result(tmp_path / "out")

    assert contents(tmp_path / "out") == NEW


def test_files_of_others_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")

    with pytest.raises(OutputError, match="not a result of intaglio"):
        write_result(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_the_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")

    with pytest.raises(OutputError, match="is a file"):
        write_result(tmp_path / "out")


def test_a_file_for_a_parent_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError, match="cannot be written"):
        write_result(tmp_path / "file" / "out")


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    left = tmp_path / f".out.intaglio-new-{_dead_process()}"
    left.mkdir()
    (left / "model.tflite").write_text("half")

    write_result(tmp_path / "out")

    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_result_between_two_renames_is_put_back(tmp_path: Path) -> None:
    write_result(tmp_path / "out", "old")
    (tmp_path / "out").rename(tmp_path / f".out.intaglio-old-{_dead_process()}")

    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "out") as folder:
        write_file(folder / "report.json", str(1 // 0))

    assert contents(tmp_path / "out") == OLD


def test_what_a_living_run_writes_is_left_alone(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out") as folder:
        others = folder.rename(tmp_path / f".out.intaglio-new-{_dead_process()}")

        write_result(tmp_path / "out")

        assert others.is_dir()
        folder.mkdir()  # what this run goes on to put in place


def test_a_run_with_the_number_of_a_dead_one_is_no_reason_to_keep_what_it_left(
    tmp_path: Path,
) -> None:
    (tmp_path / f".out.intaglio-new-{os.getppid()}").mkdir()

    write_result(tmp_path / "out")

    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_error_leaves_no_parent_folders(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "a" / "b" / "out") as folder:
        write_file(folder / "report.json", str(1 // 0))

    assert list(tmp_path.iterdir()) == []


def test_what_a_link_points_to_is_replaced(tmp_path: Path) -> None:
    write_result(tmp_path / "real", "old")
    (tmp_path / "out").symlink_to(tmp_path / "real")

    write_result(tmp_path / "out")

    assert (tmp_path / "out").is_symlink()
    assert contents(tmp_path / "real") == NEW


def test_folders_of_other_places_are_left_alone(tmp_path: Path) -> None:
    others = tmp_path / f".out2.intaglio-new-{_dead_process()}"
    others.mkdir()

    write_result(tmp_path / "out")
    write_result(tmp_path / "[o]ut")

    assert others.is_dir()


DYING = """
import os, shutil, signal, sys
from pathlib import Path
from intaglio.output import whole_folder, write_file

STEPS = ("mkdir", "rename", "open", "rmdir", "unlink", "fsync")

def dies_at(number):
    count = 0
    def counted(function):
        def call(*arguments, **options):
            nonlocal count
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)
        return call
    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))

def write(place, content):
    with whole_folder(place) as folder:
        write_file(folder / "report.json", content)
        write_file(folder / "model.tflite", content)

def state(place):
    files = sorted(place.iterdir()) if place.exists() else []
    return [(file.name, file.read_text()) for file in files]

parent, old = Path(sys.argv[1]), sys.argv[2] == "old"
place = parent / "out"
for number in range(1, 100):
    shutil.rmtree(place, ignore_errors=True)
    if old:
        write(place, "old")
    child = os.fork()
    if not child:
        dies_at(number)
        write(place, "new")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    seen = state(place)
    write(place, "last")
    print(number, status, seen, state(place), sorted(p.name for p in parent.iterdir()), sep="|")
    if status == 0:
        break
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("before", ["nothing", "old"])
def test_killed_at_any_step_leaves_a_whole_result_or_none(tmp_path: Path, before: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DYING, str(tmp_path), before],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines()]

    whole = [str(sorted(result.items())) for result in (NEW, OLD)]
    last = str([("model.tflite", "last"), ("report.json", "last")])
    statuses = [row[1] for row in rows]
    assert len(rows) > 5
    assert statuses == ["9"] * (len(rows) - 1) + ["0"]  # killed at each step, then not at all
    for _, _, seen, after, names in rows:
        assert seen in ("[]", *whole)
        assert after == last
        assert names == "['out']"


def _dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid
