"""What we write: each file of a saved result, with SHA256SUMS as it lies and made again."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import intaglio
from benchmarks.fuzz.formats import CHECKSUMS, MUST_REFUSE, ChildEnded, Format, digest_of
from benchmarks.fuzz.inputs import graph_digest, network, pixels
from benchmarks.fuzz.mutations import Mutation, of_bytes, of_json, of_toml
from intaglio.cli.images import Images
from intaglio.cli.saved import open_saved
from intaglio.data.images import open_dataset
from intaglio.errors import RequestError
from intaglio.host.files import SUMS
from intaglio.host.sums import write_sums
from intaglio.job.result import load
from intaglio.numerics.encodings import Encodings
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.interpreter.isolated import isolated
from intaglio.runtimes.litert.interpreter.network import as_network

MODEL = "model.tflite"
FILES_OF_A_CHILD, TIME_LIMIT_S = 100, 60.0
FILES: dict[str, Mutation] = {
    MODEL: of_bytes,
    "report.json": of_json,
    "encodings.json": of_json,
    "recipe.toml": of_toml,
    "graph.json": of_json,
    "graph.safetensors": of_bytes,
}


def result_formats(folder: Path) -> list[Format]:
    """Write a result for each format; return the formats."""
    torch.manual_seed(1)
    images = torch.rand(8, 3, 16, 16)
    sample, data = folder / "sample", folder / "data"
    intaglio.compress(network(), images[:1], data=images, recipe="plain").save(sample)
    (data / "a").mkdir(parents=True)
    pixels().save(data / "a" / "0.png")
    formats = []
    for name, mutation in FILES.items():
        formats += _rows(sample, data, name, mutation)
    place = _copied(sample, "sums") / SUMS
    read = _result_reader(place.parent, images[:1])
    formats.append(Format(f"result {SUMS}", place, of_bytes, read, CHECKSUMS))
    alone = folder / "alone" / MODEL
    alone.parent.mkdir()
    shutil.copy(sample / MODEL, alone)
    read = _file_reader(str(alone), data)
    return [*formats, Format(".tflite on its own", alone, of_bytes, read)]


def _rows(sample: Path, data: Path, name: str, mutation: Mutation) -> Iterator[Format]:
    """Yield a file's row behind SHA256SUMS, and the one in which the sums notice every change."""
    images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    place = _copied(sample, f"as-it-lies-{name}") / name
    read = _result_reader(place.parent, images)
    yield Format(f"result {name}", place, mutation, read, MUST_REFUSE)
    place = _copied(sample, f"behind-{name}") / name
    read = _result_reader(place.parent, images)
    if name == MODEL:
        read = _file_reader(str(place.parent), data)
    prepare = functools.partial(write_sums, place.parent)
    yield Format(f"result {name}, sums made again", place, mutation, read, prepare=prepare)


def _copied(sample: Path, name: str) -> Path:
    place = sample.parent / name
    shutil.copytree(sample, place)
    return place


def _result_reader(folder: Path, image: Tensor) -> Callable[[], str]:
    def read() -> str:
        result = load(folder)
        return digest_of(
            graph_digest(result.graph),
            *_grids(result.encodings),
            result.report.to_json(),
            result.recipe.model_dump_json(),
            result.content,
            result.io,
            result.twin(image),
        )

    return read


def _grids(encodings: Encodings) -> Iterator[Any]:
    for grids in (encodings.activations, encodings.weights):
        for name in sorted(grids):
            yield from (name, grids[name].spec, grids[name].scale, grids[name].zero_point)


def _file_reader(text: str, data: Path) -> Callable[[], str]:
    """Return what reads and runs a file as `intaglio evaluate` does, a child process for many."""
    child = _Child()

    def read() -> str:
        saved = open_saved(text)
        with child.runtime() as runtime:
            scored = as_network(runtime.open(saved.files[MODEL]), text)
            dataset = open_dataset(data, need_labels=True)
            wanted = saved.preprocess("resize=none")
            images = Images(dataset, wanted, scored.input_shape)
            scores = [score for batch, _ in images.labelled() for score in scored(batch)]
            return digest_of(scored.input_shape, scored.output_shapes, *scores)

    return read


class _Child:
    """One child process after the other: a new one where the last has ended or had many files."""

    def __init__(self) -> None:
        self._owner = self._files = 0
        self._stack = ExitStack()
        self._runtime: Any = None

    @contextmanager
    def runtime(self) -> Iterator[Any]:
        """Give what opens files; raise ChildEnded where a RequestError was its end."""
        if self._owner != os.getpid() or self._files > FILES_OF_A_CHILD or self._has_ended():
            if self._owner == os.getpid():
                self._stack.close()
            self._owner, self._files, self._stack = os.getpid(), 0, ExitStack()
            started = isolated(LITERT, where=MODEL, time_limit_s=TIME_LIMIT_S)
            self._runtime = self._stack.enter_context(started)
        self._files += 1
        try:
            yield self._runtime
        except RequestError as error:
            if self._has_ended():
                raise ChildEnded(str(error)) from error
            raise

    def _has_ended(self) -> bool:
        with suppress(subprocess.TimeoutExpired):
            self._runtime.child.process.wait(0.01)
            return True
        return False
