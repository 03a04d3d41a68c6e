"""Networks ready to be trained, and what tests ask of them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from architectures import captured, images
from calibrate.planned import planned
from intaglio.calibrate import CALIBRATORS, choose_encodings, observe_ranges
from intaglio.ir.graph import Graph
from intaglio.numerics.batch_norm import BatchNorm
from intaglio.numerics.spec import per_tensor
from intaglio.passes.canonicalize import canonicalize
from intaglio.passes.folded_norms import folded_norms
from intaglio.read.module.export import capture
from intaglio.run.fake import Deployment, FakeNetwork, trainable
from intaglio.run.fake.fake_quantize import Edges
from intaglio.run.fake.ranges import edges_of
from intaglio.run.twin import Twin, build_twin
from intaglio.runtimes import LITERT


@dataclass(frozen=True, eq=False)
class Ready:
    """A calibrated network.

    Attributes:
        captured: The graph as the user's network has it.
        graph: Lowered and planned.
        norms: That its layers took in.
        deployment: What it is quantized to.
        images: That it was calibrated on, [N, 3, H, W].
    """

    captured: Graph
    graph: Graph
    norms: Mapping[str, BatchNorm]
    deployment: Deployment
    images: Tensor

    def trainable(self, method: str = "lsq", **wishes: object) -> FakeNetwork:
        """Return the network in training."""
        return trainable(self.graph, self.norms, self.deployment, method=method, **wishes)


def edges_of_kind(step: Tensor, kind: str) -> Edges:
    """Return a grid whose ends "follow", are its "own", or are those of a "clamp"."""
    if kind == "follow":
        return edges_of(per_tensor(float(step.detach()), -60), step)
    own = Edges(step, step * -30, step * 40)
    return own if kind == "own" else own.within((0.0, 6.0))


def deployed(
    graph: Graph, data: Tensor, scheme: str = "w8a8", *, keep_float: tuple[str, ...] = ()
) -> Ready:
    """Return a captured graph, calibrated on images for LiteRT."""
    canonical = graph.copy()
    canonicalize(canonical)
    lowered = LITERT.lower(canonical).graph
    norms = folded_norms(graph, canonical, lowered)
    ready, plan = planned(lowered, LITERT, scheme, keep_float=keep_float)
    ranges = observe_ranges(ready, plan, [data], calibrator=CALIBRATORS["minmax"])
    encodings = choose_encodings(ready, plan, ranges, LITERT)
    return Ready(graph, ready, norms, Deployment(plan, encodings, LITERT), data)


@functools.cache
def architecture(name: str, scheme: str = "w8a8", keep_float: tuple[str, ...] = ()) -> Ready:
    """Return a network of the catalogue, calibrated on four images."""
    network = captured(name)
    data = images(network.input_shape, 4, seed=3)
    return deployed(network.source, data, scheme, keep_float=keep_float)


def of_module(module: nn.Module, data: Tensor, scheme: str = "w8a8") -> Ready:
    """Return a module, calibrated on images."""
    return deployed(capture(module, data[:1]), data, scheme)


def train_steps(network: nn.Module, data: Tensor, steps: int, rate: float = 0.02) -> list[float]:
    """Move all parameters by SGD towards random targets; return the losses."""
    optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9)
    losses = []
    for step in range(steps):
        optimizer.zero_grad()
        outputs = network(data)
        generator = torch.Generator().manual_seed(step)
        loss = torch.stack(
            [F.mse_loss(one, torch.randn(one.shape, generator=generator)) for one in outputs]
        ).sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def twin_of(network: FakeNetwork) -> Twin:
    """Return the twin of what is read out of a network."""
    graph, encodings = network.read_out()
    return build_twin(graph, encodings, LITERT)


def steps_apart(network: FakeNetwork, twin: Twin, data: Tensor) -> list[Tensor]:
    """Return by how many integers the network's outputs are off the twin's, float64.

    Outputs without a grid: the difference over the largest magnitude, in thousandths.
    """
    network.eval()
    with torch.no_grad():
        found = network(data)
    apart = []
    for name, ours, theirs in zip(twin.graph.outputs, found, twin.outputs(data), strict=True):
        grid = twin.encodings.activations.get(name)
        size = float(grid.step) if grid is not None else float(theirs.abs().max()) / 1000
        apart.append((ours.double() - theirs.double()).abs() / size)
    return apart
