"""What segmenters cost: calibration against bare forwards, memory at 513 pixels, the task's work.

`calibrate` is folding, calibrating 64 pictures and encoding against 64 bare forwards of the module,
one picture after the other, interleaved, medians. `memory` is the peak of `intaglio compress` of
DeepLab at 513 x 513 pixels and 21 classes, judged on 32 and on 128 pictures with masks, in a
process of its own; once without images to calibrate with, once with 8. `own work` is what an
evaluation of two networks does of one such picture beside running them, against a forward of the
float network, both in seconds of the processor.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.detection.cost import CALIBRATED, ROUNDS, against_bare, growing, repeated
from benchmarks.memory import peak_of
from benchmarks.paired import interleaved, ratio
from benchmarks.rows import Job, Row, Wish
from benchmarks.segmentation.subjects import DEEPLAB, PICTURES, SUBJECTS, Subject
from intaglio.data.coco_masks import open_coco_masks
from intaglio.data.image_samples import ImageSamples
from intaglio.maps.postprocess import MapPostProcess
from intaglio.read.named.build import build_model
from intaglio.read.named.request import parse_model
from intaglio.read.reader import Source
from intaglio.read.source import read
from intaglio.run.float import run_float
from intaglio.tasks.evaluate import SideBySide
from intaglio.tasks.segment.segment import Segment

LARGE = (1, 3, 513, 513)
CALIBRATED_LARGE = 8
STEPS = 64
"""Of the grid on which the second network's outputs are made to lie, in the range of the first's:
what it says differs at borders, as that of integers does."""


def jobs(wish: Wish) -> list[Job]:
    """Return the rows."""
    calibration = [Job(f"calibrate {one.name}", _calibrate(one, wish)) for one in SUBJECTS]
    return [
        *calibration,
        Job("memory without images", lambda: growing(lambda count: _peak_mb(wish.data, count, 0))),
        Job(
            f"memory with {CALIBRATED_LARGE} images",
            lambda: growing(lambda count: _peak_mb(wish.data, count, CALIBRATED_LARGE)),
        ),
        Job("own work", lambda: _own_work(wish)),
    ]


def _samples(source: Source, data: Path) -> tuple[ImageSamples, Segment]:
    """Return all pictures as the network takes them, and the task that judges it on them."""
    assert isinstance(source.postprocess, MapPostProcess)
    dataset = open_coco_masks(data / PICTURES, source.postprocess.names)
    samples = ImageSamples(dataset, source.preprocess, source.input_shape)
    return samples, Segment(source.postprocess, dataset.categories)


def _calibrate(subject: Subject, wish: Wish) -> Callable[[], list[Row]]:
    def work() -> list[Row]:
        """Return the row."""
        source = read(subject.model, weights=wish.data / subject.weights)
        images = _samples(source, wish.data)[0].take(range(CALIBRATED)).images
        module = build_model(parse_model(subject.model)).module
        return [against_bare(module, source.capture(), images)]

    return work


def _peak_mb(data: Path, count: int, calibrated: int) -> float:
    """Return the largest resident size of one run, in 10^6 bytes.

    Args:
        count: Pictures that judge.
        calibrated: Pictures to calibrate with; 0: none.
    """
    with tempfile.TemporaryDirectory() as folder:
        pictures = repeated(data / PICTURES, Path(folder), count)
        command = [sys.executable, "-m", "intaglio", "compress", DEEPLAB.model, "--json"]
        command += ["--weights", str(data / DEEPLAB.weights), "--recipe", "plain"]
        command += ["--input-shape", ",".join(map(str, LARGE)), "--eval", str(pictures)]
        command += ["--data", str(pictures) if calibrated else "none"]
        command += ["--limit", str(calibrated)] if calibrated else []
        return peak_of([*command, "--out", f"{folder}/out"])


def _own_work(wish: Wish) -> list[Row]:
    source = read(DEEPLAB.model, weights=wish.data / DEEPLAB.weights, input_shape=LARGE)
    graph = source.capture()
    samples, task = _samples(source, wish.data)
    taken = samples.take([0])
    given = run_float(graph, taken.images)
    found = [_on_grid(output) for output in given]

    def forward() -> None:
        run_float(graph, taken.images)

    def own() -> None:
        side = SideBySide(task, graph.output_titles, is_told=True)
        for outputs in (given, found):
            task.check(outputs, taken.labels)
        side.add(given, found, taken.labels)
        side.look(taken.images)

    seconds = interleaved({"forward": forward, "own": own}, ROUNDS, clock=time.process_time)
    middle, low, high = ratio(seconds, "own", "forward")
    return [
        {
            "what": "an evaluation's own work on two maps / a forward, 513 pixels",
            "ratio": round(middle, 3),
            "quartiles": [round(low, 3), round(high, 3)],
            "own_ms": round(1e3 * statistics.median(seconds["own"]), 1),
            "forward_ms": round(1e3 * statistics.median(seconds["forward"]), 1),
            "rounds": ROUNDS,
        }
    ]


def _on_grid(output: Tensor) -> Tensor:
    """Return an output on a grid, channels last in memory, as a twin gives it."""
    step = (output.max() - output.min()) / STEPS
    return ((output / step).round() * step).contiguous(memory_format=torch.channels_last)
