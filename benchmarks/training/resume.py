"""Runs that are killed and go on, and runs in two processes, against one that runs through.

`killed` rows: a run killed with SIGKILL while it does the step named, and resumed; `equal` says
whether all its weights and grids have the same SHA-256 as those of the run that was not killed.
`together` rows: TOGETHER_STEPS steps in one process and in two (gloo, torchrun) with the same batch
over both: the largest difference of a weight, beside the largest weight; `images_differing` is how
many of the tested images get another class when two processes judge the network, before training.
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
from benchmarks.training.child import STEP, ChildWish, written
from benchmarks.training.rows import Job, Row, Wish
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
    return lambda: [together(scheme, wish)]


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


def together(scheme: str, wish: Wish) -> Row:
    """Return the row of two processes against one."""
    with tempfile.TemporaryDirectory() as folder:
        one = _child(wish, scheme, Path(folder), TOGETHER_STEPS)
        one = replace(one, tested=wish.at_most(TOGETHER_TESTED), change={"evaluations": 0})
        two = replace(one, out=str(Path(folder) / "two"))
        run_through(one, Path(folder))
        run_through(two, Path(folder), TORCHRUN)
        alone, both = load_file(one.out), load_file(two.out)
    weights = [name for name in alone if name.startswith("weights.")]
    apart = max(float((alone[name] - both[name]).abs().max()) for name in weights)
    largest = max(float(alone[name].abs().max()) for name in weights)
    return {
        "scheme": scheme,
        "steps": TOGETHER_STEPS,
        "processes": "1 against 2",
        "largest_difference": f"{apart:.3g}",
        "largest_weight": f"{largest:.3g}",
        "tested": one.tested,
        "images_differing": int((alone["classes"] != both["classes"]).sum()),
        "seed": RESUME.seed,
    }


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
