"""Equal bits: a network in training against its twin, and the twin against the file.

Rows of a network: before training and after EXACT_STEPS steps of method `exact`. `compared` and
`differing` count every integer of every value of the network in measuring mode, against the twin of
what is read out; `outputs_differing` the real outputs, bit for bit; `file_compared` and
`file_differing` that twin against the written file, run by LiteRT. `moved` is the share of weights
that have other integers than before, in percent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.networks import RESNET20, V1_025, V2, V3_SMALL, Subject
from benchmarks.places import IMAGENET
from benchmarks.rows import Job, Row, Wish
from benchmarks.training.runs import Start, at, network_of, samples_of, start_of, twin_of
from benchmarks.training.settings import (
    EXACT,
    EXACT_CALIBRATION,
    EXACT_COMPARED,
    EXACT_SIZE,
    EXACT_STEPS,
)
from benchmarks.training.small import Pools
from intaglio.data.image_samples import ImageSamples
from intaglio.data.preprocess import Preprocess, parse_preprocess
from intaglio.ir.graph import Node
from intaglio.methods.learn.processes import Processes
from intaglio.methods.steps.state import Quantized
from intaglio.methods.train.ground import Ground, taught
from intaglio.numerics.affine import quantize
from intaglio.run.fake import FakeNetwork
from intaglio.run.fake.network import Both
from intaglio.run.twin import Twin
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.file.write import write_tflite
from intaglio.tasks import TASKS

SCHEME, METHOD = "w8a8", "exact"
SMALL = "joined branches and pools"


@dataclass(frozen=True)
class Small(Subject):
    """The small network, random weights under seed 0."""

    def build(self) -> tuple[nn.Module, Preprocess, tuple[int, ...]]:
        """Return the module in evaluation mode, what is done to images, and its input shape."""
        torch.manual_seed(0)
        preprocess = parse_preprocess(self.preprocess, Preprocess(mean=(0.5,), std=(0.5,)))
        return Pools().eval(), preprocess, (1, 3, 224, 224)


POOLS = Small(SMALL, None, IMAGENET / "calib.csv", IMAGENET / "val227.csv", "resize=none")
NETWORKS = (V2, V3_SMALL, RESNET20, V1_025, POOLS)


def jobs(wish: Wish) -> list[Job]:
    """Return the table's rows, two of each network."""
    return [Job(subject.model, _work(at(subject, wish.data), wish)) for subject in NETWORKS]


def _work(subject: Subject, wish: Wish) -> Callable[[], list[Row]]:
    return lambda: compared(subject, wish)


def compared(subject: Subject, wish: Wish) -> list[Row]:
    """Return the rows of a network: before and after training."""
    module, preprocess, shape = subject.build()
    if shape[-1] > EXACT_SIZE:
        pixels = f"resize={EXACT_SIZE},crop={EXACT_SIZE}"
        preprocess = parse_preprocess(pixels, preprocess)
        shape = (*shape[:2], EXACT_SIZE, EXACT_SIZE)
    limit = wish.at_most(1000)
    samples = samples_of(subject.calibration, preprocess, shape, limit)
    images = samples.take(range(min(EXACT_CALIBRATION, limit))).images
    if subject.weights is None:
        settle(module, images)
    start = start_of(module, shape, SCHEME, images)
    network = network_of(start, METHOD)
    about: Row = {"pixels": shape[-1], "seed": EXACT.seed}
    rows = [{"trained": 0, **differences(network, start, images), "moved": 0.0, **about}]
    before = read_out(start, network)
    _teach(network, start, samples, wish)
    moved = share_moved(before, read_out(start, network))
    after = differences(network, start, images)
    rows.append({"trained": EXACT_STEPS, **after, "moved": moved, **about})
    return rows


def settle(module: nn.Module, images: Tensor) -> None:
    """Give the batch norms of a network with random weights the statistics of real images."""
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the mean over all batches
        norm.reset_running_stats()
    module.train()
    with torch.no_grad():
        module(images)
    module.eval()
    for norm in norms:
        norm.momentum = 0.1


def _teach(network: FakeNetwork, start: Start, samples: ImageSamples, wish: Wish) -> None:
    """Train the network for EXACT_STEPS steps."""
    each = max(1, len(samples) // EXACT.batch)
    options = EXACT.model_copy(update={"epochs": EXACT_STEPS / each, "held_out": 0})
    processes = Processes(device=wish.device)
    reference = start.state.reference
    taught(network, Ground(samples, TASKS["classify"], reference, processes=processes), options)


def read_out(start: Start, network: FakeNetwork) -> Quantized:
    """Return what is read out of a network, as a state."""
    graph, encodings = network.read_out()
    return replace(start.state.with_graph(graph), encodings=encodings)


def differences(network: FakeNetwork, start: Start, images: Tensor) -> Row:
    """Return how many integers differ between network, twin and file."""
    given = images[:EXACT_COMPARED]
    state = read_out(start, network)
    twin = twin_of(state)
    network.train(False)
    held, outputs = values_of(network, given)
    theirs: dict[str, Tensor] = {}
    twin.run(given, lambda node, value: theirs.update({node.name: value}))
    counted = [_differing(twin, name, held[name], theirs[name]) for name in theirs if name in held]
    reals = zip(outputs, twin.outputs(given), strict=True)
    files = {LITERT.file_name: write_tflite(state.graph, state.encodings, LITERT)}
    counts = LITERT.check(files, twin, [given])
    return {
        "images": len(given),
        "values": len(counted),
        "compared": sum(size for size, _ in counted),
        "differing": sum(wrong for _, wrong in counted),
        "outputs_differing": sum(int((one != other).sum()) for one, other in reals),
        "file_compared": counts.values_compared,
        "file_differing": counts.mismatches,
    }


@torch.no_grad()
def values_of(network: FakeNetwork, images: Tensor) -> tuple[dict[str, Tensor], Sequence[Tensor]]:
    """Return every value of a network by name, real numbers, and its outputs."""
    seen: dict[str, Tensor] = {}
    own = network._step

    def step(node: Node, inputs: Sequence[Both], computed: Any) -> Both:
        """Remember what a step makes: the number that the next layer goes on with."""
        made = own(node, inputs, computed)
        seen[node.name] = made.real
        return made

    network._step = step  # type: ignore[method-assign]
    try:
        outputs = network(images)
    finally:
        del network._step
    return seen, outputs


def _differing(twin: Twin, name: str, real: Tensor, value: Tensor) -> tuple[int, int]:
    """Return how many numbers a value has, and how many are others in the network."""
    grid = twin.encodings.activations.get(name)
    if grid is None:
        return value.numel(), int((real != value).sum())
    integers = quantize(real.float(), grid)
    return value.numel(), int((integers != twin.raw(name, value)).sum())


def share_moved(before: Quantized, after: Quantized) -> float:
    """Return the percentage of quantized weights whose integers are others."""
    count = moved = 0
    for name, grid in before.encodings.weights.items():
        old = quantize(before.graph.param(before.graph[name], "weight"), grid)
        weight = after.graph.param(after.graph[name], "weight")
        new = quantize(weight, after.encodings.weights[name])
        count, moved = count + old.numel(), moved + int((old != new).sum())
    return round(100.0 * moved / max(1, count), 2)
