"""Every kind of thing that may lie where a result is to be, and what is done about it."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from host.results import ran, report, word_of, write_result
from intaglio.errors import OutputError
from intaglio.host.folder import claim_place, whole_folder
from intaglio.host.mounts import mount_points
from intaglio.host.place import Spot, look


def everything(folder: Path) -> dict[str, object]:
    """Return what is below a folder: kinds, times of change, contents of files."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        seen = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(seen.st_mode) else None
        found[str(path.relative_to(folder))] = (seen.st_mode, seen.st_mtime_ns, content)
    return found


def assert_refused(place: Path, said: str, **options: object) -> None:
    """Hold that the place is refused with or without --replace, and that nothing changes."""
    home = place.parent
    before = everything(home)
    for replace in (False, True):
        with pytest.raises(OutputError, match=said) as refusal:
            claim_place(place, replace=replace, **options)  # type: ignore[arg-type]
        assert "\n" not in str(refusal.value)
    assert everything(home) == before


def a_file(place: Path) -> None:
    place.write_text("years of work")


def a_link_to_a_folder(place: Path) -> None:
    (place.parent / "real").mkdir()
    place.symlink_to(place.parent / "real")


def a_link_to_a_result(place: Path) -> None:
    write_result(place.parent / "real", "old")
    place.symlink_to(place.parent / "real")


def a_link_to_nothing(place: Path) -> None:
    place.symlink_to(place.parent / "nowhere")


def a_pipe(place: Path) -> None:
    os.mkfifo(place)


def a_socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        home = os.getcwd()
        os.chdir(place.parent)  # names of sockets are short
        try:
            listening.bind(place.name)
        finally:
            os.chdir(home)


def a_device(place: Path) -> None:
    try:
        os.mknod(place, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("making a device file needs root")


KINDS = {
    a_file: "is a file",
    a_link_to_a_folder: "is a link",
    a_link_to_a_result: "is a link",
    a_link_to_nothing: "is a link",
    a_pipe: "is a pipe",
    a_socket: "is a socket",
    a_device: "is a device",
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_is_no_folder_is_refused(tmp_path: Path, kind) -> None:
    kind(tmp_path / "out")

    assert_refused(tmp_path / "out", KINDS[kind])


def a_report_of_others(place: Path) -> None:
    (place / "report.json").write_text('{"title": "my thesis", "model": "of the world"}')


def a_report_that_is_no_json(place: Path) -> None:
    (place / "report.json").write_text("[" * 100_000)


def a_thesis_beside_a_report(place: Path) -> None:
    (place / "report.json").write_text(report("old"))
    (place / "thesis.tex").write_text("years of work")


def a_folder_in_a_result(place: Path) -> None:
    (place / "report.json").write_text(report("old"))
    (place / "notes").mkdir()


def a_folder_with_the_name_of_a_file(place: Path) -> None:
    (place / "report.json").write_text(report("old"))
    (place / "model.tflite").mkdir()


def a_link_with_the_name_of_a_file(place: Path) -> None:
    (place / "report.json").write_text(report("old"))
    (place / "model.tflite").symlink_to("/etc/hostname")


def weights_without_a_report(place: Path) -> None:
    (place / "graph.safetensors").write_text("weights")


def hidden_files(place: Path) -> None:
    (place / ".git").mkdir()


FOREIGN = {
    a_report_of_others: "a report.json that intaglio did not write",
    a_report_that_is_no_json: "a report.json that intaglio did not write",
    a_thesis_beside_a_report: r"'thesis\.tex'",
    a_folder_in_a_result: "'notes'",
    a_folder_with_the_name_of_a_file: r"'model\.tflite'",
    a_link_with_the_name_of_a_file: r"'model\.tflite'",
    weights_without_a_report: r"no report\.json",
    hidden_files: r"'\.git'",
}


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.__name__)
def test_a_folder_with_anything_foreign_in_it_is_refused(tmp_path: Path, kind) -> None:
    (tmp_path / "out").mkdir()
    kind(tmp_path / "out")

    assert_refused(tmp_path / "out", f"nothing else.*{FOREIGN[kind]}")


def test_where_somebody_stands_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project" / "src").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project" / "src")

    for place in (Path(), tmp_path / "project" / "src", Path("../src")):
        assert_refused(place, "is the working directory")
    for place in (Path(".."), tmp_path / "project", Path("../..")):
        with pytest.raises(OutputError, match="is a parent of the working directory"):
            claim_place(place, replace=True)


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "file/out", "looping/out"])
def test_names_that_no_folder_can_have_are_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "looping").symlink_to(tmp_path / "looping")

    with pytest.raises(OutputError, match="choose another --out") as refusal:  # noqa: SIM117
        with whole_folder(claim_place(f"{tmp_path}/{name}")):
            pass

    assert "\n" not in str(refusal.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "looping"]


@pytest.mark.parametrize("within", ["out", "out/c1", "c0/a/b"])
def test_a_place_within_the_data_is_refused(tmp_path: Path, within: str) -> None:
    data = tmp_path / "images"
    (data / "c0").mkdir(parents=True)

    assert_refused(data / within, "lies within --data", apart={"--data": data})


def test_a_place_within_the_data_by_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "images")

    with pytest.raises(OutputError, match="lies within --eval"):
        claim_place(tmp_path / "images" / "out", apart={"--eval": tmp_path / "link"})
    with pytest.raises(OutputError, match="lies within --eval"):
        claim_place(tmp_path / "link" / "out", apart={"--eval": tmp_path / "images"})


def test_a_result_that_holds_the_weights_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "out"
    write_result(place, "old")

    assert_refused(place, "holds what --weights names", apart={"--weights": place / "model.tflite"})
    assert_refused(place, "holds what --data names", apart={"--data": place})


def test_a_place_beside_what_is_read_is_taken(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_text("")
    (tmp_path / "images").mkdir()
    apart = {"--weights": tmp_path / "weights.pth", "--data": tmp_path / "images"}

    assert claim_place(tmp_path / "images-w8a8", apart=apart).older is None


def test_a_parent_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    write_result(tmp_path / "link" / "out")

    assert word_of(tmp_path / "real" / "out") == "new"


def test_a_result_says_what_it_is(tmp_path: Path) -> None:
    write_result(tmp_path / "out", "mobilenet_v2")
    older = look(Spot(tmp_path / "out"))

    assert older is not None
    assert (older.model, older.scheme) == ("mobilenet_v2", "w8a8 per-channel")
    assert older.figure == ("top1", 79.9)

    content = json.loads((tmp_path / "out" / "report.json").read_text())
    content["integer"] = {}
    (tmp_path / "out" / "report.json").write_text(json.dumps(content))

    assert str(look(Spot(tmp_path / "out"))).endswith("accuracy not measured")


MOUNTED = """
import subprocess
from intaglio.errors import OutputError
from intaglio.host.folder import claim_place, whole_folder

home = Path(sys.argv[1])
def mount(*words):
    subprocess.run(["mount", *map(str, words)], check=True)

for kind in ("tmpfs", "bind"):
    place = home / kind
    place.mkdir()
    if kind == "tmpfs":
        mount("-t", "tmpfs", "none", place)
        (place / "lost+found").mkdir()  # as in a volume of its own
    else:
        (home / "volume").mkdir()
        mount("--bind", home / "volume", place)
    write_result(place, "old", replace=False)
    first = word_of(place) if kind == "bind" else "old"
    try:
        write_result(place, "new", replace=False)
    except OutputError as error:
        first += " named" * ("--replace" in str(error))
    write_result(place, "new")
    for path in place.glob("lost*"):
        path.rmdir()
    print(kind, first, word_of(place), sorted(p.name for p in place.glob(".*")))

place = home / "holder"
write_result(place, "old")
mount("--bind", place / "model.tflite", place / "model.tflite")
try:
    claim_place(place, replace=True)
except OutputError as error:
    print("a mount point" in str(error))
print(sorted(p.name for p in home.iterdir()))
"""


def test_a_mount_point_is_written_into_and_one_within_a_result_is_refused(tmp_path: Path) -> None:
    alone = ("unshare", "--mount")  # mounts of a namespace of its own, gone with the process
    try:
        subprocess.run([*alone, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting needs root, and unshare of util-linux")

    lines = ran(MOUNTED, tmp_path, before=alone)

    assert lines == [
        "tmpfs old named new []",
        "bind old named new []",
        "True",
        "['bind', 'holder', 'tmpfs', 'volume']",
    ]
    assert word_of(tmp_path / "volume") == "new"


def test_mount_points_are_those_of_the_system() -> None:
    if not Path("/proc/self/mountinfo").exists():
        pytest.skip("a table of Linux")

    assert Path("/") in mount_points()
    assert Path("/proc") in mount_points()


def test_a_folder_in_a_parent_that_may_not_be_written_is_written_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "out"
    place.mkdir()
    number = place.stat().st_ino
    # root may write everywhere: what the system would tell others is said in its stead
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)

    write_result(place, replace=False)

    assert word_of(place) == "new"
    assert place.stat().st_ino == number
