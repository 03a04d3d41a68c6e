"""Quantization-aware training of a network whose ranges are known, and of one in float."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from intaglio.methods.learn.lesson import Learned
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.steps.state import Prepared, Quantized
from intaglio.methods.train.ground import Ground, fitting_epochs, taught
from intaglio.registry import Registry
from intaglio.run.fake import RANGE_METHODS, Deployment, FakeNetwork, trainable
from intaglio.targets.target import Target


@dataclass(frozen=True)
class Method:
    """How a network in integers is trained.

    Attributes:
        ranges: How its grids follow, a name of `RANGE_METHODS`.
        exact: Whether the way forward is the twin's.
    """

    ranges: str
    exact: bool = False


METHODS: Registry[Method] = Registry("method")
for _name, _method in sorted(
    {
        **{name: Method(name) for name in RANGE_METHODS},
        "exact": Method("lsq", exact=True),
    }.items()
):
    METHODS.register(_name)(_method)


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


def train_quantized(
    state: Quantized, ground: Ground, options: TrainOptions, *, target: Target, method: str = "lsq"
) -> Trained:
    """Return the network after quantization-aware training; plan and structure stay.

    Args:
        state: Weights, biases and grids to start from.
        ground: What it is trained on.
        options: How.
        target: The runtime, which settles grids.
        method: A name of `METHODS`.

    Raises:
        UnknownName: If there is no such method.
        RequestError, DataError, OutputError: As `learn`.
    """
    network = learner_of(state, options, target=target, method=method)
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
    learner = learner_of(state, options, target=target, method=method)
    return fitting_epochs(learner, ground, options)


def learner_of(
    state: Quantized, options: TrainOptions, *, target: Target, method: str
) -> FakeNetwork:
    """Return the network that trains; arguments and errors as of `train_quantized`."""
    chosen = METHODS[method]
    return trainable(
        state.graph,
        state.prepared.current_norms(),
        Deployment(state.plan, state.encodings, target),
        method=chosen.ranges,
        exact=chosen.exact,
        observer_delay=options.observer_delay,
    )


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
