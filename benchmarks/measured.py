"""One setting measured: quantized, judged on images that nothing was tuned on, checked by file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.networks import Subject
from intaglio.data.images import batches, draw, open_dataset
from intaglio.errors import UnsupportedByTarget
from intaglio.ir.graph import Graph
from intaglio.job.quantize import quantize_network
from intaglio.job.recorder import Recorder
from intaglio.methods.steps.state import Prepared, Quantized
from intaglio.numerics.scheme import parse_scheme
from intaglio.passes.canonicalize import canonicalize
from intaglio.passes.channel_statistics import channel_statistics
from intaglio.read.module.export import capture
from intaglio.recipe.recipe import Recipe
from intaglio.recipe.settings import Settings
from intaglio.run.twin import Twin, build_twin
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.file.write import write_tflite
from intaglio.tasks.judge import Judge

CHECKED = 8
"""Images on which file and twin are compared bit for bit."""
PROJECTIONS = "projections at 8"


@dataclass(frozen=True)
class Row:
    """One setting to measure: a scheme and a recipe, over several draws of images."""

    subject: Subject
    scheme: str
    steps: tuple[dict[str, Any], ...] = ()
    calibrator: str = "minmax"
    seeds: tuple[int, ...] = (0,)
    images: int = 256
    weight_bits: str = "by scheme"


@dataclass(frozen=True, eq=False)
class Place:
    """A network, and the float network's answers on the images that it is judged on."""

    captured: Graph
    judge: Judge


def judged_at(subject: Subject, data: Path, limit: int | None = None) -> Place:
    """Return the captured network and its judge on labelled images."""
    module, preprocess, shape = subject.build()
    dataset = draw(open_dataset(data, need_labels=True), limit, seed=0)
    with batches(dataset, preprocess, shape, batch_size=16) as stream:
        found = list(stream)
    images = torch.cat([batch.images for batch in found])
    labels = torch.cat([batch.labels for batch in found if batch.labels is not None])
    captured = capture(module.eval(), torch.zeros(shape))
    return Place(captured, Judge(captured, images, labels))


def measured(row: Row, seed: int, place: Place) -> dict[str, Any]:
    """Quantize, judge, write and check; return what a table states."""
    prepared = lowered(place.captured)
    settings = Settings(
        Recipe(name="measured", steps=list(row.steps), calibrator=row.calibrator),
        LITERT,
        scheme=parse_scheme(row.scheme),  # simulated ones too, which a command would refuse
        calibrator=row.calibrator,
        io="float",
        seed=seed,
        weight_bits=_projections_at_8(prepared.graph) if row.weight_bits == PROJECTIONS else {},
    )
    images = torch.cat(list(row.subject.images(row.subject.calibration, row.images, seed)))
    began, began_cpu = time.perf_counter(), time.process_time()
    state = quantize_network(prepared, settings, images, Recorder(), device="cpu").state
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
    twin = build_twin(state.graph, state.encodings, settings.target)
    return {
        "model": row.subject.model,
        "scheme": row.scheme,
        "bits": row.weight_bits,
        "calibrator": row.calibrator,
        "steps": named_steps(row.steps),
        "images": len(images),
        "seed": seed,
        **judged(twin, place),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "threads": torch.get_num_threads(),
        **written(state, twin, place),
    }


def lowered(captured: Graph) -> Prepared:
    """Return the network before any recipe."""
    canonical = captured.copy()
    canonicalize(canonical)
    graph = LITERT.lower(canonical).graph
    return Prepared(graph, graph, channel_statistics(captured, canonical, graph))


def named_steps(steps: tuple[dict[str, Any], ...]) -> str:
    """Return the steps as a table states them."""
    return " + ".join(_named(step) for step in steps) or "none"


def _named(step: dict[str, Any]) -> str:
    said = [f"{key}={value}" for key, value in step.items() if key != "name"]
    return str(step["name"]) + (f" ({', '.join(said)})" if said else "")


def judged(twin: Twin, place: Place) -> dict[str, Any]:
    """Return the verdict's figures: percent, points and decibels."""
    verdict = place.judge.of(twin)
    return {
        "n": verdict.n,
        "float_top1": round(verdict.figures["float_top1"], 2),
        "integer_top1": round(verdict.figures["top1"], 2),
        "drop": round(verdict.figures["float_top1"] - verdict.figures["top1"], 2),
        "agreement": round(verdict.percent or 0.0, 2),
        "sqnr_db": round(verdict.sqnr_db, 2),
    }


def written(state: Quantized, twin: Twin, place: Place) -> dict[str, Any]:
    """Return the file's size and mismatches; nothing for a scheme that no file holds."""
    try:
        content = write_tflite(state.graph, state.encodings, LITERT)
    except UnsupportedByTarget:
        return {"file_bytes": None, "mismatches": None}
    files = {LITERT.file_name: content}
    counts = LITERT.check(files, twin, [place.judge.images[:CHECKED]])
    return {"file_bytes": len(content), "mismatches": counts.mismatches}


def _projections_at_8(graph: Graph) -> dict[str, int]:
    """Return 8 bits for every linear bottleneck: pointwise convolutions without activation."""
    return {
        node.name: 8
        for node in graph
        if node.op == "conv2d"
        and node.attrs["activation"] is None
        and graph.param(node, "weight").shape[2:] == (1, 1)
    }
