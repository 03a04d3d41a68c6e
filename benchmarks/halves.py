"""Networks in integers on few pictures: split in two by a seed, each half calibrates and is judged.

A row is a network, a scheme, a recipe and a seed: two runs, each calibrated with one half and
judged on the other. Without images it is one run, judged on all.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from benchmarks.rows import Job, Row, Wish
from intaglio.ir.graph import Graph
from intaglio.job.of_graph import compress_graph
from intaglio.job.result import Result
from intaglio.read.reader import Source
from intaglio.recipe.options import Options, Provenance
from intaglio.tasks.evaluate import SideBySide

SEEDS = (0, 1, 2)


class Subject(Protocol):
    """A network."""

    @property
    def name(self) -> str:
        """In rows."""


class Scene(Protocol):
    """A network and its pictures."""

    @property
    def source(self) -> Source:
        """The network with its weights."""

    @property
    def graph(self) -> Graph:
        """Captured."""

    @property
    def images(self) -> Tensor:
        """[N, C, H, W]."""


@dataclass(frozen=True, eq=False)
class Half:
    """One run, judged.

    Attributes:
        side: Both networks on the pictures that judge.
        result: Of the run.
        seconds: Of the run.
    """

    side: SideBySide
    result: Result
    seconds: float


@dataclass(frozen=True, eq=False)
class Asked:
    """What is measured of which networks.

    Attributes:
        subjects: Networks.
        runs: Scheme and recipe of each run with images.
        without: Schemes of those without.
        scene: Returns a network with its pictures, of a data pack, that many at most.
        judged: Returns a run that was made, judged on some of the pictures.
        row: Returns what the halves of one seed came to.
    """

    subjects: Sequence[Any]
    runs: Sequence[tuple[str, str]]
    without: Sequence[str]
    scene: Callable[[Any, Path, int | None], Any]
    judged: Callable[[Any, tuple[Result, float], Tensor], Half]
    row: Callable[[Any, Sequence[Half]], Row]


def jobs_of(asked: Asked, wish: Wish) -> list[Job]:
    """Return the rows: with images each scheme and seed, then without images."""
    with_images = [
        Job(
            f"{subject.name} {scheme} {recipe} {seed}",
            _both(asked, subject, (scheme, recipe, seed), wish),
        )
        for seed, (scheme, recipe), subject in itertools.product(SEEDS, asked.runs, asked.subjects)
    ]
    without = [
        Job(f"{subject.name} {scheme} no data", _without(asked, subject, scheme, wish))
        for subject, scheme in itertools.product(asked.subjects, asked.without)
    ]
    return [*with_images, *without]


def _both(
    asked: Asked, subject: Subject, run: tuple[str, str, int], wish: Wish
) -> Callable[[], list[Row]]:
    scheme, recipe, seed = run

    def work() -> list[Row]:
        """Return the row of both halves."""
        found = asked.scene(subject, wish.data, wish.images)
        order = torch.randperm(len(found.images), generator=torch.Generator().manual_seed(seed))
        first, second = order.chunk(2)
        halves = [
            asked.judged(found, compressed(found, scheme, recipe, found.images[own]), other)
            for own, other in ((first, second), (second, first))
        ]
        return [asked.row(subject, halves)]

    return work


def _without(asked: Asked, subject: Subject, scheme: str, wish: Wish) -> Callable[[], list[Row]]:
    def work() -> list[Row]:
        """Return the row of one run."""
        found = asked.scene(subject, wish.data, wish.images)
        made = compressed(found, scheme, None, None)
        return [asked.row(subject, [asked.judged(found, made, torch.arange(len(found.images)))])]

    return work


def compressed(
    found: Scene, scheme: str, recipe: str | None, images: Tensor | None
) -> tuple[Result, float]:
    """Return the result of a run and its seconds."""
    source = found.source
    where = Provenance(
        model=source.name, preprocess=source.preprocess, postprocess=source.postprocess
    )
    began = time.perf_counter()
    result = compress_graph(
        found.graph, data=images, recipe=recipe, options=Options(scheme=scheme, provenance=where)
    )
    return result, time.perf_counter() - began


def of_files(halves: Sequence[Half]) -> Row:
    """Return what is told of the halves' files: size, check, and the seconds that they took."""
    reports = [half.result.report for half in halves]
    checks = [report.check for report in reports if report.check is not None]
    return {
        "file_bytes": reports[0].integer.size_bytes,
        "checked": sum(check.values_compared for check in checks),
        "mismatches": sum(check.mismatches for check in checks),
        "made_in_seconds": round(mean([half.seconds for half in halves]), 1),
    }


def mean(values: Sequence[float]) -> float:
    """Return the mean of some numbers."""
    return sum(values) / len(values)
