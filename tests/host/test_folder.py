"""Whole folders or nothing, whatever happens and whenever."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from host.results import NAMES, fill, ran, report, word_of, write_result
from intaglio.errors import OutputError, UnknownName
from intaglio.host import folder as folder_module
from intaglio.host.files import write_file
from intaglio.host.folder import claim_place, whole_folder


@pytest.fixture(params=["exchange", "two renames", "file by file"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way in which a result gets into its place."""
    set_way(request.param, monkeypatch)
    return request.param


def set_way(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "two renames":
        monkeypatch.setattr(folder_module, "exchange", lambda first, second: False)
    if way == "file by file":
        monkeypatch.setattr("intaglio.host.place.is_mount", os.path.isdir)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_appears_whole_and_sealed(tmp_path: Path) -> None:
    write_result(tmp_path / "out", replace=False)

    assert word_of(tmp_path / "out") == "new"
    assert names(tmp_path) == ["out"]


def test_nothing_is_in_place_while_it_is_written(tmp_path: Path) -> None:
    place = tmp_path / "out"

    with whole_folder(claim_place(place)) as folder:
        fill(folder, "new")
        assert not place.exists()
        assert folder.name.startswith(".out.intaglio-new-")


def test_an_error_leaves_nothing_and_no_parent_folders(tmp_path: Path) -> None:
    place = claim_place(tmp_path / "a" / "b" / "out")

    with pytest.raises(ZeroDivisionError), whole_folder(place) as folder:
        write_file(folder / "report.json", str(1 // 0))

    assert names(tmp_path) == []


def test_an_older_result_is_replaced_as_a_whole_where_asked_for(tmp_path: Path, way: str) -> None:
    place = tmp_path / "out"
    write_result(place, "old")
    (place / "report.html").write_text("which the new one does not have")

    write_result(place)

    assert word_of(place) == "new"
    assert names(tmp_path) == ["out"]


def test_an_older_result_is_named_and_stays_where_nobody_asked(tmp_path: Path, way: str) -> None:
    write_result(tmp_path / "out", "old")

    with pytest.raises(OutputError, match=r"\(old, w8a8 per-channel, \d{4}-.*, top1 79.90\)"):
        write_result(tmp_path / "out", replace=False)

    assert word_of(tmp_path / "out") == "old"


def test_an_error_leaves_the_older_result(tmp_path: Path, way: str) -> None:
    place = tmp_path / "out"
    write_result(place, "old")

    with (
        pytest.raises(ZeroDivisionError),
        whole_folder(claim_place(place, replace=True)) as folder,
    ):
        write_file(folder / "report.json", str(1 // 0))

    assert word_of(place) == "old"
    assert names(place) == sorted(NAMES)
    assert names(tmp_path) == ["out"]


def test_an_empty_folder_is_filled_and_keeps_its_mode(tmp_path: Path, way: str) -> None:
    (tmp_path / "out").mkdir(mode=0o750)

    write_result(tmp_path / "out", replace=False)

    assert word_of(tmp_path / "out") == "new"
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o750


@pytest.mark.parametrize("before", ["nothing", "empty", "old"])
def test_what_comes_to_the_place_during_a_run_is_never_touched(
    tmp_path: Path, way: str, before: str
) -> None:
    place = tmp_path / "out"
    if before == "empty":
        place.mkdir()
    if before == "old":
        write_result(place, "old")
    claimed = claim_place(place, replace=True)

    with pytest.raises(OutputError, match=r"'notes\.txt'"), whole_folder(claimed) as folder:  # noqa: PT012
        fill(folder, "new")
        place.mkdir(exist_ok=True)
        (place / "notes.txt").write_text("thoughts")

    assert (place / "notes.txt").read_text() == "thoughts"
    assert names(place) == sorted({"notes.txt"} | (NAMES if before == "old" else set()))
    assert names(tmp_path) == ["out"]


def test_a_file_that_comes_at_the_last_moment_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "out"
    write_result(place, "old")
    trade = folder_module.exchange

    def late(first: Path, second: Path) -> bool:
        if word_of(place) == "old" and not (place / "notes.txt").exists():
            (place / "notes.txt").write_text("thoughts")
        return trade(first, second)

    monkeypatch.setattr(folder_module, "exchange", late)
    with pytest.raises(OutputError, match="at the last moment"):
        write_result(place)

    assert names(place) == sorted({*NAMES, "notes.txt"})
    assert report("old") == (place / "report.json").read_text()
    assert names(tmp_path) == ["out"]


def test_a_result_that_comes_during_a_run_needs_replace_too(tmp_path: Path, way: str) -> None:
    place = tmp_path / "out"
    place.mkdir()

    with pytest.raises(OutputError, match="--replace"), whole_folder(claim_place(place)) as folder:  # noqa: PT012
        fill(folder, "slower")
        write_result(place, "faster")

    assert word_of(place) == "faster"


def test_an_interrupt_between_the_two_renames_puts_the_older_result_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "out"
    write_result(place, "old")
    set_way("two renames", monkeypatch)
    rename = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        if ".intaglio-new-" in path.name:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_result(place)

    assert word_of(place) == "old"
    assert names(tmp_path) == ["out"]


def test_an_interrupt_between_two_files_finishes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "out"
    write_result(place, "old")
    set_way("file by file", monkeypatch)
    replace, calls = Path.replace, []

    def interrupted(path: Path, target: Path) -> Path:
        calls.append(path.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_result(place)

    assert word_of(place) == "new"


def test_a_full_disk_is_told_and_the_older_result_stays(
    tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_result(tmp_path / "out", "old")

    def full(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder_module, "write_sums", full)
    with pytest.raises(OutputError, match="the disk is full; nothing was written"):
        write_result(tmp_path / "out")

    assert word_of(tmp_path / "out") == "old"
    assert names(tmp_path) == ["out"]


def test_a_file_that_is_in_no_table_is_a_defect_and_not_written(tmp_path: Path) -> None:
    place = claim_place(tmp_path / "out")

    with pytest.raises(UnknownName, match=r"'weights\.bin'"), whole_folder(place) as folder:
        (folder / "weights.bin").write_bytes(b"")

    assert not (tmp_path / "out").exists()


DYING = """
import signal, shutil
from intaglio.host import folder as folder_module, place as place_module

parent, old, way = Path(sys.argv[1]), sys.argv[2] == "old", sys.argv[3]
trade = folder_module.exchange
if way == "file by file":
    place_module.is_mount = os.path.isdir

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
    for name in ("mkdir", "rename", "replace", "open", "rmdir", "unlink", "fsync", "chmod"):
        setattr(os, name, counted(getattr(os, name)))
    folder_module.exchange = counted(trade if way == "exchange" else lambda a, b: False)

place = parent / "out"
for number in range(1, 200):
    shutil.rmtree(place, ignore_errors=True)
    if way == "file by file":
        place.mkdir()
    if old:
        write_result(place, "old")
    child = os.fork()
    if not child:
        dies_at(number)
        write_result(place, "new")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    seen = word_of(place)
    write_result(place, "last")
    print(status, seen, word_of(place), sorted(p.name for p in parent.iterdir()), sep="|")
    if status == 0:
        break
"""


@pytest.mark.slow
@pytest.mark.parametrize("way_to_place", ["exchange", "two renames", "file by file"])
@pytest.mark.parametrize("before", ["nothing", "old"])
def test_killed_at_any_step_leaves_a_whole_result_or_what_the_next_run_mends(
    tmp_path: Path, before: str, way_to_place: str
) -> None:
    rows = [line.split("|") for line in ran(DYING, tmp_path, before, way_to_place)]

    statuses = [row[0] for row in rows]
    assert len(rows) > 10
    assert statuses == ["9"] * (len(rows) - 1) + ["0"]  # killed at each step, then not at all
    for _, seen, after, left in rows:
        if way_to_place == "file by file":
            assert seen in (before, "new") or seen.startswith("damaged")  # and never a mixture
        elif way_to_place == "two renames":
            assert seen in (before, "nothing", "new")
        else:
            assert seen in (before, "new")  # at every moment
        assert after == "last"
        assert left == "['out']"


RACING = """
import threading
place, ways = Path(sys.argv[1]), sys.argv[2]
os.getpid = lambda: 7  # as in two containers on one volume
words = ["a", "b", "c", "d"]
told = []

def run(word):
    try:
        write_result(place, word, replace=ways == "replace")
        told.append(word)
    except Exception as error:
        told.append(type(error).__name__)

for turn in range(10):
    told.clear()
    threads = [threading.Thread(target=run, args=(word,)) for word in words]
    if turn % 2:
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    else:
        children = [os.fork() or (run(word), os._exit(word != told[-1])) for word in words]
        told[:] = [w if not os.waitpid(c, 0)[1] else "OutputError" for c, w in zip(children, words)]
    print(word_of(place), ",".join(told), sorted(p.name for p in place.parent.iterdir()), sep="|")
    if ways != "replace":
        [path.unlink() for path in place.iterdir()]
"""


@pytest.mark.slow
@pytest.mark.parametrize("ways", ["replace", "first comes"])
def test_runs_at_the_same_time_leave_one_whole_result_and_tell_the_truth(
    tmp_path: Path, ways: str
) -> None:
    rows = [line.split("|") for line in ran(RACING, tmp_path / "out", ways)]

    assert len(rows) == 10
    for word, told, left in rows:
        assert word in told.split(",")
        assert left == "['out']"
        winners = [name for name in told.split(",") if name in "abcd"]
        assert len(winners) == (4 if ways == "replace" else 1)


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    for kind in ("new", "gone"):
        left = tmp_path / f".out.intaglio-{kind}-123abc"
        left.mkdir()
        (left / "model.tflite").write_text("half")

    write_result(tmp_path / "out")

    assert names(tmp_path) == ["out"]


def test_a_foreign_file_in_a_hidden_folder_is_left_alone(tmp_path: Path) -> None:
    left = tmp_path / ".out.intaglio-gone-123abc"
    left.mkdir()
    (left / "notes.txt").write_text("thoughts")

    write_result(tmp_path / "out")

    assert names(left) == ["notes.txt"]


def test_a_result_between_two_renames_is_put_back(tmp_path: Path) -> None:
    write_result(tmp_path / "out", "old")
    (tmp_path / "out").rename(tmp_path / ".out.intaglio-old-123abc")

    with pytest.raises(OutputError, match="--replace"):
        claim_place(tmp_path / "out")

    assert word_of(tmp_path / "out") == "old"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("kind", ["gone", "old"])
def test_what_was_half_removed_is_never_put_back(tmp_path: Path, kind: str) -> None:
    write_result(tmp_path / "out", "old")
    (tmp_path / "out" / "report.json").unlink()
    (tmp_path / "out").rename(tmp_path / f".out.intaglio-{kind}-123abc")

    claim_place(tmp_path / "out")

    assert names(tmp_path) == []


def test_what_a_living_run_writes_is_left_alone(tmp_path: Path) -> None:
    with whole_folder(claim_place(tmp_path / "out")) as folder:
        fill(folder, "slow")
        write_result(tmp_path / "other")
        claim_place(tmp_path / "out")

        assert names(folder) == ["model.tflite", "report.json"]


def test_folders_of_other_places_are_left_alone(tmp_path: Path) -> None:
    others = tmp_path / ".out2.intaglio-new-123abc"
    others.mkdir()

    write_result(tmp_path / "out")
    write_result(tmp_path / "[o]ut")

    assert others.is_dir()


def test_a_place_that_another_run_holds_for_long_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_result(tmp_path / "out", "old")
    monkeypatch.setattr("intaglio.host.lock._PATIENCE_SECONDS", 0.0)
    holding, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with folder_module.locked(tmp_path / "out"):
            holding.set()
            leave.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait()
    try:
        with pytest.raises(OutputError, match="other programs write there"):
            write_result(tmp_path / "out")
    finally:
        leave.set()
        thread.join()

    assert word_of(tmp_path / "out") == "old"
