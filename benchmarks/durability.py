"""Kills, races, and everything that may lie in the output place: what is lost, what is half done.

python -m benchmarks.durability [places|kills|races|sums]

Whole runs of the command are killed at random moments; runs in processes and threads of one process
id write to one place at the same time; each kind of thing that a file system can hold is offered as
--out. Root is needed for device files, mounts and process ids that are equal.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import signal
import socket
import stat
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import intaglio
from benchmarks.networks import V2
from benchmarks.paired import interleaved, ratio
from benchmarks.places import earlier_rows, write_result
from intaglio.cli.main import main as command
from intaglio.errors import OutputError
from intaglio.host.sums import verify_sums, write_sums

KILLS, RACES, RACERS = 300, 60, 3
CLONE_NEWPID, CLONE_NEWNS = 0x20000000, 0x00020000
NETWORK = "mobilenet_v2(width=0.1,num_classes=10,small_input=True)"
REQUEST = ("compress", NETWORK, "--data", "images", "--recipe", "plain", "--json", "--preprocess")
REQUEST += ("resize=none,crop=none,mean=0.5,std=0.5",)

Row = dict[str, Any]


def run(out: str, *more: str) -> int:
    """Run the command in this process, told to nobody; return its exit code."""
    kept = os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        return command([*REQUEST, "--out", out, *more])
    finally:
        sys.stdout.flush()
        for number, descriptor in enumerate(kept, start=1):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(nowhere)


def state(place: Path) -> str:
    """Return "nothing", "whole", or what is wrong."""
    if not place.exists():
        return "nothing"
    try:
        intaglio.load(place)
    except Exception as error:
        return f"damaged: {error}"[:120]
    return "whole"


def digest(folder: Path) -> dict[str, Any]:
    """Return what is below a folder: kinds, and contents of files."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        found[str(path)] = (mode, path.read_bytes() if stat.S_ISREG(mode) else None)
    return found


def kills() -> Row:
    """Whole runs killed at random moments, half of them with an older result in the place."""
    began = time.monotonic()
    assert run("out", "--replace") == 0
    assert run("out", "--replace") == 0
    lasts = (time.monotonic() - began) / 2
    draw, counts = random.Random(0), Counter[str]()
    for number in range(KILLS):
        had_older = number % 2 == 0
        if not had_older:
            shutil.rmtree("out", ignore_errors=True)
        elif not os.path.isdir("out"):
            assert run("out") == 0
        child = os.fork()
        if not child:
            os._exit(run("out", "--replace", "--seed", str(number)))
        share = draw.random() if number % 4 < 2 else draw.uniform(0.8, 1.1)
        time.sleep(share * lasts)
        os.kill(child, signal.SIGKILL)
        killed = os.waitpid(child, 0)[1] == signal.SIGKILL
        found = state(Path("out"))
        counts["killed" if killed else "done before"] += 1
        counts["half results"] += found.startswith("damaged")
        counts["lost older results"] += had_older and found == "nothing"
    assert run("out", "--replace") == 0
    counts["hidden folders that the next run left"] = len(list(Path().glob(".out*")))
    counts["notes of the user lost"] = int(Path("notes.txt").read_text() != "thoughts")
    return row("kills", KILLS, counts, innocent=("killed", "done before"))


def row(what: str, tried: int, counts: Counter[str], *, innocent: tuple[str, ...]) -> Row:
    """Return a row of the table; all that is counted is a defect, but what is innocent."""
    defects = sum(count for name, count in counts.items() if name not in innocent)
    seen = ", ".join(f"{name}: {count}" for name, count in counts.items())
    return {"what": what, "tried": tried, "defects": defects, "seen": seen}


def in_own_process_ids(work: Callable[[], int]) -> int:
    """Run work in a process whose id is 1, as all that are started so; return the child's id."""
    child = os.fork()
    if child:
        return child
    if ctypes.CDLL(None).unshare(CLONE_NEWPID):
        os._exit(99)
    inner = os.fork()
    if not inner:
        os._exit(work() if os.getpid() == 1 else 98)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]))


def races() -> Row:
    """Runs of equal process ids that put results into one place at the same time."""
    result = intaglio.load("out")
    counts = Counter[str]()
    for number in range(RACES):
        replace = number % 4 < 2
        shutil.rmtree("raced", ignore_errors=True)
        started = time.monotonic() + 0.05

        def race(replace: bool = replace, started: float = started) -> int:
            while time.monotonic() < started:
                pass
            try:
                result.save("raced", replace=replace)
            except OutputError:
                return 2
            return 0

        codes = by_processes(race) if number % 2 else by_threads(race)
        counts["races of processes" if number % 2 else "races of threads"] += 1
        counts["half results"] += state(Path("raced")) != "whole"
        expected = RACERS if replace else 1
        counts["told wrongly"] += codes.count(0) != expected or set(codes) - {0, 2} != set()
        counts["hidden folders left"] += len(list(Path().glob(".raced*")))
    kinds = ("races of processes", "races of threads")
    return row(f"races of {RACERS}", RACES, counts, innocent=kinds)


def by_processes(race: Callable[[], int]) -> list[int]:
    """Return the exit codes of processes that all have the id 1."""
    children = [in_own_process_ids(race) for _ in range(RACERS)]
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def by_threads(race: Callable[[], int]) -> list[int]:
    """Return what threads of this process return."""
    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(race())) for _ in range(RACERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return codes


def a_socket(place: Path) -> None:
    """Bind a socket to the place."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(place))


def filled(name: str, content: str) -> Callable[[Path], None]:
    """Return what makes a folder with one file."""

    def make(place: Path) -> None:
        place.mkdir()
        (place / name).write_text(content)

    return make


def a_result_with(name: str) -> Callable[[Path], None]:
    """Return what makes a result with one more file in it."""

    def make(place: Path) -> None:
        shutil.copytree("out", place)
        (place / name).write_text("thoughts")

    return make


THINGS: dict[str, Callable[[Path], object]] = {
    "file": lambda place: place.write_text("thoughts"),
    "link to a folder": lambda place: place.symlink_to("images"),
    "link to a result": lambda place: place.symlink_to("out"),
    "link to nothing": lambda place: place.symlink_to("nowhere"),
    "pipe": os.mkfifo,
    "socket": a_socket,
    "character device": lambda place: os.mknod(place, stat.S_IFCHR | 0o600, os.makedev(1, 3)),
    "block device": lambda place: os.mknod(place, stat.S_IFBLK | 0o600, os.makedev(7, 200)),
    "folder of notes": filled("notes.txt", "thoughts"),
    "foreign report.json": filled("report.json", '{"title": "thesis"}'),
    "weights alone": filled("model.tflite", "weights"),
    "result with notes": a_result_with("notes.txt"),
    "result with a hidden file": a_result_with(".keep"),
}
PLACES = (".", "..", "images", "images/c0", "images/c0/out", "weights-folder")


def places() -> Row:
    """Offer everything as --out, with and without --replace; nothing may change."""
    counts = Counter[str]()
    made = []
    for number, make in enumerate(THINGS.values()):
        place = Path(f"thing{number}")
        make(place)
        made.append(str(place))
    Path("weights-folder").mkdir()
    torch.save({}, "weights-folder/weights.pth")
    before = digest(Path())
    for place in (*made, *PLACES):
        for more in ((), ("--replace",)):
            weights = ("--weights", "weights-folder/weights.pth")
            code = run(place, *more, *(weights if place == "weights-folder" else ()))
            counts["refused"] += code == 2
            counts["taken or touched"] += code != 2 or digest(Path()) != before
    for kind, (codes, found) in mounts().items():
        counts[f"{kind} mount point wrong"] += codes != [0, 2, 0] or found != "whole"
    tried = 2 * (len(made) + len(PLACES)) + 2
    return row("places", tried, counts, innocent=("refused",))


def mounts() -> dict[str, Any]:
    """Compress into mount points of a mount namespace of its own: exit codes and what is there."""
    script = "import sys; from benchmarks.durability import mounted; mounted(sys.argv[1])"
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", script, os.getcwd()],
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parent.parent,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def mounted(folder: str) -> None:
    """Print what became of results in a mounted file system and in a bind mount."""
    os.chdir(folder)
    found = {}
    for kind, words in {
        "tmpfs": ["-t", "tmpfs", "none"],
        "bind": ["--bind", "volume"],
    }.items():
        Path("volume").mkdir(exist_ok=True)
        Path(kind).mkdir()
        subprocess.run(["mount", *words, kind], check=True)
        codes = [run(kind), run(kind), run(kind, "--replace")]
        found[kind] = (codes, state(Path(kind)))
    print(json.dumps(found))


def sums() -> Row:
    """What SHA256SUMS and its verification cost, beside a plain run of MobileNetV2."""
    module, _, _ = V2.build()
    images = torch.cat(list(V2.images(V2.calibration, 128)))
    result = intaglio.compress(module, images[:1], data=images, recipe="plain")
    result.save("costly")
    seconds = interleaved(
        {
            "run": lambda: intaglio.compress(module, images[:1], data=images, recipe="plain"),
            "write": lambda: write_sums(Path("costly")),
            "verify": lambda: verify_sums(Path("costly")),
        },
        rounds=5,
    )
    share = 100 * sum(ratio(seconds, part, "run")[0] for part in ("write", "verify"))
    seen = (
        f"writing and verifying SHA256SUMS takes {share:.3f} % of a plain run of MobileNetV2 on 128"
        f" images ({statistics.median(seconds['run']):.2f} s, {torch.get_num_threads()} thread)"
    )
    return {"what": "sums", "tried": 5, "defects": int(share >= 1.0), "seen": seen}


def prepared(folder: Path) -> None:
    """Make images, notes of the user, and a result to start from."""
    draw = np.random.default_rng(0)
    for number in range(8):
        place = folder / "images" / f"c{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{number}.png")
    (folder / "notes.txt").write_text("thoughts")


PARTS: dict[str, Callable[[], Row]] = {
    "places": places,
    "kills": kills,
    "races": races,
    "sums": sums,
}


def main(names: list[str] | None = None) -> None:
    """Run the parts that are named, or all."""
    torch.set_num_threads(1)
    home = Path.cwd()
    rows = {row["part"]: row for row in earlier_rows("durability")} if names else {}
    for name in names or list(PARTS):
        with tempfile.TemporaryDirectory() as folder:
            # one folder further down: its parent is offered as --out too
            work = Path(folder) / "work"
            work.mkdir()
            prepared(work)
            os.chdir(work)
            try:
                assert run("out") == 0
                began = time.perf_counter()
                found = {"part": name, **PARTS[name]()}
                rows[name] = {**found, "seconds": round(time.perf_counter() - began)}
            finally:
                os.chdir(home)
        write_result("durability", "python -m benchmarks.durability", list(rows.values()))


if __name__ == "__main__":
    main(sys.argv[1:])
