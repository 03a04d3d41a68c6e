"""Training for files with bytes at their ends: ranges that follow, and `--io uint8`.

MobileNetV2 for 32x32 images, trained from scratch as in `friendly`, then once in float and once
with ranges that follow their values (moving averages, Jacob et al. 2018), both with the same budget
on the same images. The integer network's file takes and gives uint8; it is compared with its twin,
every tensor of it, on all test images.
"""

from __future__ import annotations

from benchmarks.rows import Job, Row, Wish
from benchmarks.training.friendly import from_scratch
from benchmarks.training.runs import (
    Run,
    batches_of,
    epochs_for,
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
)
from intaglio.methods.learn.processes import Processes
from intaglio.read.module.export import capture
from intaglio.runtimes import LITERT
from intaglio.targets.runtime import About


def jobs(wish: Wish) -> list[Job]:
    """Return the table's one row."""
    return [Job(BYTES_MODEL, lambda: [measured(wish)])]


def measured(wish: Wish) -> Row:
    """Return the row: trained three times, judged, and its file compared."""
    made = from_scratch(BYTES_MODEL, wish)
    module, train, test, images = made.module, made.train, made.test, made.calibration
    options = BYTES.model_copy(
        update={"epochs": epochs_for(wish.at_most(BYTES_BUDGET), BYTES, len(train))}
    )
    start = start_of(module, made.shape, "w8a8", images)
    run = Run(options, train, method=BYTES_METHOD, processes=Processes(device=wish.device))
    again = trained_float(capture(module, images[:1]), Run(options, train))
    ended = trained(start, run)
    assert ended.state is not None, "it is in integers"
    twin = twin_of(ended.state)
    files = LITERT.write(ended.state.graph, ended.state.encodings, "uint8", About())
    counts = LITERT.check(files, twin, (taken.images for taken in batches_of(test)))
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
