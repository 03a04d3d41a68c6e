"""Rows of a table: named pieces of work, each saved as it ends, those that are there left out."""

from __future__ import annotations

import argparse
import tempfile
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine
from benchmarks.places import DATA, print_row, rows_in, save_rows

Row = dict[str, Any]
FAILED = "failed"
LETTERS = 300
"""Of an error's text that a row keeps."""


@dataclass(frozen=True)
class Wish:
    """What was asked for on the command line.

    Attributes:
        table: Which.
        data: The data pack.
        out: The folder of results.
        only: Names of rows to measure, also where they are there; () for all that are not.
        part: (K, N): every N-th row from the K-th.
        threads: Of torch.
        device: Where networks train.
        images: The most images of each data set; None: as settings say. For trying out.
        minutes: In place of the settings', where a table has some.
    """

    table: str
    data: Path
    out: Path
    only: tuple[str, ...]
    part: tuple[int, int]
    threads: int
    device: str
    images: int | None
    minutes: float | None

    def at_most(self, count: int) -> int:
        """Return a number of images, or the fewer that were asked for."""
        return count if self.images is None else min(count, self.images)

    @property
    def running(self) -> Path:
        """The folder of what runs that are not done need to go on."""
        return self.out / "running"


@dataclass(frozen=True, eq=False)
class Job:
    """Rows that are made together, under one name."""

    name: str
    work: Callable[[], list[Row]]


def measure(
    arguments: Sequence[str] | None,
    program: str,
    tables: Mapping[str, Callable[[Wish], list[Job]]],
    out: Path,
) -> None:
    """Measure what a command line asks for and is not there yet; save each row.

    Args:
        tables: What makes the jobs of each, by name.
        program, out: As of `wish_of`.
    """
    wish = wish_of(arguments, program, tables, out)
    torch.set_num_threads(wish.threads)
    run(tables[wish.table](wish), wish, f"python -m {program} {wish.table}")


def wish_of(
    arguments: Sequence[str] | None, program: str, tables: Collection[str], out: Path
) -> Wish:
    """Return what a command line asks for.

    Args:
        program: The module that is run.
        tables: Their names.
        out: The folder of results, unless another one is named.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {program}")
    parser.add_argument("table", choices=tuple(tables))
    parser.add_argument("--data", type=Path, default=DATA, help="the data pack")
    parser.add_argument("--out", type=Path, default=out)
    parser.add_argument("--only", nargs="*", default=(), metavar="NAME", help="rows to measure")
    parser.add_argument("--part", type=part_of, default=(1, 1), metavar="K/N")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--minutes", type=float, help="of a run, where the table counts in minutes")
    parser.add_argument("--images", type=int, help="the most of each data set, for trying out")
    found = parser.parse_args(arguments)
    if found.images is not None and found.out == out:
        parser.error(f"--images tries out: give an --out of its own, {tempfile.gettempdir()}/try")
    return Wish(**{**vars(found), "only": tuple(found.only)})


def run(jobs: Sequence[Job], wish: Wish, command: str) -> None:
    """Do what was asked for and is not done, and save the rows of each job as it ends.

    A job that fails leaves a row that says why, and is tried again the next time.
    """
    wish.out.mkdir(parents=True, exist_ok=True)
    first, step = wish.part
    path = wish.out / (wish.table + (f"-{first}-of-{step}" if step > 1 else "") + ".json")
    chosen = (
        [job for job in jobs if job.name in wish.only] if wish.only else jobs[first - 1 :: step]
    )
    done = set() if wish.only else finished(wish.out, wish.table)
    for job in chosen:
        if job.name in done:
            continue
        for row in (made := _made(job, wish)):
            print_row(row)
        save_rows(path, command, [*_others(path, job.name), *made])


def finished(out: Path, table: str) -> set[str]:
    """Return the names of the jobs that have rows in any part of a table, and did not fail."""
    return {row["row"] for row in all_rows(out, table) if FAILED not in row}


def files_of(out: Path, table: str) -> list[Path]:
    """Return the files of a table: the whole, and its parts."""
    return sorted([*out.glob(f"{table}.json"), *out.glob(f"{table}-*-of-*.json")])


def all_rows(out: Path, table: str) -> list[Row]:
    """Return the rows of all parts of a table."""
    return [row for path in files_of(out, table) for row in rows_in(path)]


def part_of(text: str) -> tuple[int, int]:
    """Return K and N of "K/N"."""
    first, _, count = text.partition("/")
    if not (first.isdigit() and count.isdigit() and 1 <= int(first) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text} is not K/N with K from 1 to N")
    return int(first), int(count)


def device_name(wish: Wish) -> str:
    """Return what computed, in words."""
    if wish.device.startswith("cuda"):
        return torch.cuda.get_device_name(wish.device)
    return f"{machine()['cpu']}, {wish.threads} thread" + "s" * (wish.threads > 1)


def _made(job: Job, wish: Wish) -> list[Row]:
    began = time.perf_counter()
    try:
        made = job.work()
    except Exception as error:  # the other rows are worth having
        traceback.print_exc()
        made = [{FAILED: f"{type(error).__name__}: {error}"[:LETTERS]}]
    rest: Row = {"device": device_name(wish), "at": round(time.time())}
    if wish.images is not None:
        rest["tried_with"] = wish.images
    whole = {"seconds": round(time.perf_counter() - began, 1)}
    return [{"row": job.name, **row, **({} if "seconds" in row else whole), **rest} for row in made]


def _others(path: Path, name: str) -> list[Row]:
    return [row for row in rows_in(path) if row["row"] != name]
