"""What observing ranges costs with one calibrator of each kind, against the plain forwards.

    python -m benchmarks.calibrator_cost

128 images of 224 through MobileNetV2, one thread, interleaved with 128 bare batch-1 forwards of the
PyTorch module in one process. Peak memory is in the table of benchmarks.calibrators.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

import intaglio
from benchmarks.cost import IMAGES, bare_forwards, row_of
from benchmarks.networks import V2
from benchmarks.paired import interleaved
from benchmarks.places import write_result
from intaglio.calibrate import CALIBRATORS, make_plan, observe_ranges
from intaglio.numerics.scheme import parse_scheme
from intaglio.passes.canonicalize import canonicalize
from intaglio.runtimes import LITERT

TIMED = ("minmax", "percentile-99.99", "entropy", "mse", "aciq")
ROUNDS = 5


def main() -> None:
    """Measure every row and write benchmarks/results/calibrator-cost.json."""
    torch.set_num_threads(1)
    module, _, _ = V2.build()
    images = torch.cat(list(V2.images(V2.calibration, IMAGES)))
    graph = intaglio.capture(module, images[:1])
    canonicalize(graph)
    graph = LITERT.lower(graph).graph
    _, plan = make_plan(graph, LITERT, parse_scheme("w8a8"))
    batches = torch.split(images, 16)

    def observing(name: str) -> Callable[[], object]:
        return lambda: observe_ranges(graph, plan, batches, calibrator=CALIBRATORS[name])

    work: dict[str, Callable[[], object]] = {"bare": bare_forwards(module, images)}
    work |= {name: observing(name) for name in TIMED}
    seconds = interleaved(work, ROUNDS)
    label = f"observe the ranges of {IMAGES} images / {IMAGES} bare forwards: "
    rows = [row_of(label + name, seconds, name, threads=1) for name in TIMED]
    write_result("calibrator-cost", "python -m benchmarks.calibrator_cost", rows)


if __name__ == "__main__":
    main()
