"""Quantization-aware training of a network whose ranges are known, and of one in float."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from intaglio.errors import UnknownName
from intaglio.ir.graph import Graph
from intaglio.methods.learn.lesson import Learned
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.steps.state import Prepared, Quantized
from intaglio.methods.train.ground import Ground, fitting_epochs, taught
from intaglio.numerics.affine import fake_quantize
from intaglio.numerics.spec import QuantParams
from intaglio.run.fake import RANGE_METHODS, Deployment, FakeNetwork, trainable
from intaglio.targets.target import Target

EXACT = "exact"
"""The method whose way forward is the twin's; its steps are learned as LSQ's."""

INSIDE = 0.49
"""Of a step: what is that near to an integer is rounded to it, whatever float32 makes of it."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A network that was trained.

    Attributes:
        state: What it is now.
        learned: What came of the run.
        weights: Of the network before folding, by the names that the user's has for them.
    """

    state: Quantized
    learned: Learned
    weights: dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class TrainedFloat:
    """A float network that was trained; attributes as of `Trained`."""

    state: Prepared
    learned: Learned
    weights: dict[str, Tensor]


def methods() -> list[str]:
    """Return the names of the methods of training, in the alphabet's order."""
    return sorted([*RANGE_METHODS, EXACT])


def train_quantized(
    state: Quantized, ground: Ground, options: TrainOptions, *, target: Target, method: str = "lsq"
) -> Trained:
    """Return the network after quantization-aware training; plan and structure stay.

    Args:
        state: Weights, biases and grids to start from.
        ground: What it is trained on.
        options: How.
        target: The runtime, which settles grids.
        method: How grids follow; one of `methods()`.

    Raises:
        UnknownName: If there is no such method.
        RequestError, DataError, OutputError: As `learn`.
    """
    network = _learner(state, target, method)
    learned = taught(network, ground, options)
    graph, encodings = network.read_out()
    found = replace(state.with_graph(graph), encodings=encodings)
    return Trained(found, learned, network.user_weights())


def quantized_epochs(
    state: Quantized, ground: Ground, options: TrainOptions, *, target: Target, method: str = "lsq"
) -> float:
    """Return how many epochs of that training fit into the minutes of the options.

    Args, Raises: As `train_quantized`.
    """
    return fitting_epochs(_learner(state, target, method), ground, options)


def _learner(state: Quantized, target: Target, method: str) -> FakeNetwork:
    if method not in methods():
        raise UnknownName(f"unknown method '{method}': known: {', '.join(methods())}")
    is_exact = method == EXACT
    return trainable(
        latent_weights(state),
        state.prepared.current_norms(),
        Deployment(state.plan, state.encodings, target),
        method="lsq" if is_exact else method,
        exact=is_exact,
    )


def latent_weights(state: Quantized) -> Graph:
    """Return the graph with what training starts from: the same integers, but nearer to float.

    Where a step before has decided roundings, it left reals that lie on their grids, half a step
    from any other integer. What is next to the float weight and still rounded as decided is as good
    a start for the integers, and a better one for what is learned.
    """
    graph = state.graph.copy()
    for name, grid in state.encodings.weights.items():
        node, own = graph[name], graph.param(graph[name], "weight")
        before = state.reference.nodes.get(name)
        if before is None or state.reference.param(before, "weight").shape != own.shape:
            continue
        wished = state.reference.param(before, "weight")
        if not torch.equal(wished, own):
            centre, half = fake_quantize(own, grid), _half_steps(grid, own.ndim)
            graph.set_param(node, "weight", torch.clamp(wished, centre - half, centre + half))
    return graph


def _half_steps(grid: QuantParams, rank: int) -> Tensor:
    """Return what may be added to a point of a weight's grid and is rounded to it again."""
    scale = grid.scale * INSIDE
    if grid.spec.axis is None or not scale.ndim:
        return scale
    shape = [1] * rank
    shape[grid.spec.axis] = -1
    return scale.reshape(shape)


def train_float(state: Prepared, ground: Ground, options: TrainOptions) -> TrainedFloat:
    """Return the network after training in float.

    Args:
        state: A canonical graph, not lowered, and the batch norms that its layers took in.

    Raises:
        RequestError, DataError, OutputError: As `learn`.
    """
    network = trainable(state.graph, state.current_norms())
    learned = taught(network, ground, options)
    graph, _ = network.read_out()
    return TrainedFloat(
        replace(state, reference=graph, graph=graph), learned, network.user_weights()
    )
