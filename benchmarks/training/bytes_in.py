"""Training for files with bytes at their ends: ranges that follow, and `--io uint8`.

MobileNetV2 for 32x32 images, trained from scratch as in `friendly`, then once in float and once
with ranges that follow their values (moving averages, Jacob et al. 2018), both with the same budget
on the same images. The integer network's file takes and gives uint8; it is compared with its twin,
every tensor of it, on all test images.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.networks import RESNET20
from benchmarks.training.friendly import planned
from benchmarks.training.rows import Job, Row, Wish
from benchmarks.training.runs import (
    Run,
    at,
    epochs_for,
    samples_of,
    start_of,
    told,
    top1,
    trained,
    trained_float,
    twin_of,
)
from benchmarks.training.settings import (
    BYTES,
    BYTES_BUDGET,
    BYTES_METHOD,
    BYTES_MODEL,
    FRIENDLY,
    FRIENDLY_CALIBRATION,
)
from intaglio.data.image_samples import ImageSamples
from intaglio.methods.learn.processes import Processes
from intaglio.read.module.export import capture
from intaglio.read.named import build_model, parse_model
from intaglio.runtimes import LITERT
from intaglio.targets.runtime import About

AT_ONCE = 100


def jobs(wish: Wish) -> list[Job]:
    """Return the table's one row."""
    return [Job(BYTES_MODEL, lambda: [measured(wish)])]


def measured(wish: Wish) -> Row:
    """Return the row: trained three times, judged, and its file compared."""
    torch.manual_seed(FRIENDLY.seed)
    built = build_model(parse_model(BYTES_MODEL))
    module, preprocess, shape = built.module.eval(), built.preprocess, built.input_shape
    assert preprocess is not None
    assert shape is not None
    subject = at(RESNET20, wish.data)
    train = samples_of(subject.calibration, preprocess, shape, wish.images)
    test = samples_of(subject.judged, preprocess, shape, wish.images)
    first = trained_float(
        capture(module, train.take([0]).images), planned(BYTES_MODEL, train, wish)
    )
    module.load_state_dict(first.weights, strict=False)
    images = train.take(range(min(FRIENDLY_CALIBRATION, len(train)))).images
    options = BYTES.model_copy(
        update={"epochs": epochs_for(wish.at_most(BYTES_BUDGET), BYTES, len(train))}
    )
    start = start_of(module, shape, "w8a8", images)
    run = Run(options, train, method=BYTES_METHOD, processes=Processes(device=wish.device))
    again = trained_float(capture(module, images[:1]), Run(options, train))
    ended = trained(start, run)
    assert ended.state is not None, "it is in integers"
    twin = twin_of(ended.state)
    files = LITERT.write(ended.state.graph, ended.state.encodings, "uint8", About())
    counts = LITERT.check(files, twin, _images(test))
    real, found = top1(again.outputs, test), top1(twin.outputs, test)
    return {
        "method": BYTES_METHOD,
        "n": len(test),
        "float_top1": round(real, 2),
        "start_top1": round(top1(start.twin.outputs, test), 2),
        "integer_top1": round(found, 2),
        "drop": round(real - found, 2),
        "checked": counts.images,
        "values": counts.values_compared,
        "differing": counts.mismatches,
        **told(ended.learned, options),
    }


def _images(samples: ImageSamples) -> list[Tensor]:
    """Return all images of a data set, batch by batch."""
    return [
        samples.take(range(first, min(first + AT_ONCE, len(samples)))).images
        for first in range(0, len(samples), AT_ONCE)
    ]
