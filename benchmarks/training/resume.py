"""Runs that are killed and go on, and runs in two processes, against one that runs through.

`killed` rows: a run killed with SIGKILL while it does the step named, and resumed; `equal` says
whether all its weights and grids have the same SHA-256 as those of the run that was not killed.
`together` rows: after 1 step and after 20, one process against two (gloo, torchrun) with the same
batch over both: the largest difference of a learned number and of a running statistic, beside the
largest of each. Both sum in another order, and steps amplify the last bits; so does one process
with one thread more, the control. `images_differing` is how many of the tested images get another
class when two processes judge the network, before training.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.places import REPOSITORY
from benchmarks.rows import Job, Row, Wish
from benchmarks.training.child import STEP, ChildWish, written
from benchmarks.training.settings import (
    RESUME,
    RESUME_IMAGES,
    RESUME_KILLS,
    RESUME_SEED,
    RESUME_STEPS,
    TOGETHER_STEPS,
    TOGETHER_TESTED,
)

SCHEME = "w4a4"
CONTROL = "a thread more"
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
CHILD = ("-m", "benchmarks.training.child")
ERROR_LETTERS = 500


class ChildFailed(Exception):
    """A process ended with an error: says which."""


def jobs(wish: Wish) -> list[Job]:
    """Return the table's rows."""
    return [
        Job(f"killed {SCHEME}", lambda: killed(wish)),
        *(Job(f"together {scheme}", _together(scheme, wish)) for scheme in ("float", SCHEME)),
    ]


def _together(scheme: str, wish: Wish) -> Callable[[], list[Row]]:
    return lambda: together(scheme, wish)


def killed(wish: Wish) -> list[Row]:
    """Return a row for each step at which a run was killed."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        whole = _child(wish, SCHEME, Path(folder), RESUME_STEPS)
        run_through(whole, Path(folder))
        expected = digest(load_file(whole.out))
        drawn = sorted(random.Random(RESUME_SEED).sample(range(5, RESUME_STEPS - 1), RESUME_KILLS))
        for step in drawn:
            place = str(Path(folder) / f"place-{step}")
            mine = replace(whole, place=place, out=str(Path(folder) / f"killed-{step}"))
            reached = run_until(mine, step, Path(folder))
            run_through(replace(mine, resume=True), Path(folder))
            found = digest(load_file(mine.out))
            row = {"scheme": SCHEME, "steps": RESUME_STEPS, "killed_at": reached}
            rows.append(
                row
                | {"equal": "yes" if found == expected else "no", "sha256": found[:16], "seed": 0}
            )
    return rows


def together(scheme: str, wish: Wish) -> list[Row]:
    """Return the rows of one process against two, and against one with two threads."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for steps in TOGETHER_STEPS:
            tested = wish.at_most(TOGETHER_TESTED)
            change = {"evaluations": 0}
            one = replace(_child(wish, scheme, place, steps), tested=tested, change=change)
            run_through(one, place)
            alone = load_file(one.out)
            two = replace(one, out=str(place / "two"))
            run_through(two, place, TORCHRUN)
            threads = replace(one, out=str(place / "threads"), threads=one.threads + 1)
            run_through(threads, place)
            for against, other in (("2 processes", two), (CONTROL, threads)):
                row: Row = {"scheme": scheme, "steps": steps, "against": against}
                rows.append(row | _apart(alone, load_file(other.out)) | {"seed": RESUME.seed})
    return rows


def _apart(one: dict[str, Tensor], other: dict[str, Tensor]) -> Row:
    """Return how far two runs are apart, learned numbers and statistics each by themselves."""
    names = {name for name in one if name.startswith("weights.") and one[name].is_floating_point()}
    statistics = {name for name in names if "running" in name.rpartition(".")[2]}
    made: Row = {}
    for what, chosen in (("weights", names - statistics), ("statistics", statistics)):
        apart = max(float((one[name] - other[name]).abs().max()) for name in chosen)
        largest = max(float(one[name].abs().max()) for name in chosen)
        made |= {f"{what}_apart": f"{apart:.2g}", f"largest_of_{what}": f"{largest:.3g}"}
    differing = int((one["classes"] != other["classes"]).sum())
    return made | {"tested": len(one["classes"]), "images_differing": differing}


def _child(wish: Wish, scheme: str, folder: Path, steps: int) -> ChildWish:
    return ChildWish(
        data=str(wish.data),
        scheme=scheme,
        images=wish.at_most(RESUME_IMAGES),
        steps=steps,
        place="",
        resume=False,
        out=str(folder / "whole"),
        tested=0,
        threads=wish.threads,
        change={},
    )


def run_through(wish: ChildWish, folder: Path, launcher: tuple[str, ...] = ()) -> None:
    """Run a child to its end.

    Raises:
        ChildFailed: If it ends with an error.
    """
    command = [sys.executable, *launcher, *CHILD, str(written(wish, folder))]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, env=_variables(wish)
    )
    if done.returncode:
        raise ChildFailed(f"{done.returncode}: {done.stderr[-ERROR_LETTERS:]}")


def run_until(wish: ChildWish, step: int, folder: Path) -> int:
    """Run a child until it has told of a step, and kill it; return the last step that it told."""
    command = [sys.executable, *CHILD, str(written(wish, folder))]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, env=_variables(wish)
    )
    assert process.stdout is not None, "it was asked for"
    reached = 0
    for line in process.stdout:
        word, _, number = line.partition(" ")
        reached = int(number) if word == STEP else reached
        if reached >= step:
            process.kill()
            break
    process.stdout.close()
    if process.wait() >= 0:
        raise ChildFailed(f"it ended with {process.returncode} before step {step}")
    return reached


def digest(tensors: dict[str, Tensor]) -> str:
    """Return the SHA-256 of tensors, names and shapes included."""
    made = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        made.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        made.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return made.hexdigest()


def _variables(wish: ChildWish) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": str(wish.threads)}
