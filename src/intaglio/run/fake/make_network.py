"""A network that trains, by what is wished of it."""

from __future__ import annotations

from collections.abc import Mapping

from intaglio.errors import RequestError
from intaglio.ir.graph import Graph
from intaglio.numerics.batch_norm import BatchNorm
from intaglio.run.fake.grids import Deployment
from intaglio.run.fake.network import FakeNetwork


def trainable(
    graph: Graph,
    norms: Mapping[str, BatchNorm],
    deployment: Deployment | None = None,
    *,
    method: str = "lsq",
    exact: bool = False,
    observer_delay: int = 0,
) -> FakeNetwork:
    """Return a network that trains, in training mode.

    Args:
        graph: Lowered and planned, with the weights to start from; not changed. Of a float network:
            canonical.
        norms: The batch norm that each layer took in.
        deployment: What it is quantized to; None: it trains in float.
        method: How grids follow, a name of `RANGE_METHODS`.
        exact: Whether the way forward is the twin's, once batch norms keep their statistics.
        observer_delay: Training steps in which ranges are only observed, and values not rounded;
            weights are. For methods that observe.

    Raises:
        UnknownName: If there is no such method.
        RequestError: If ranges are to be observed by a method that does not.
    """
    network = FakeNetwork(
        graph, norms, deployment, method=method, exact=exact, observer_delay=observer_delay
    )
    if observer_delay and (network.value_grids is None or not network.value_grids.observing):
        raise RequestError(
            f"observer_delay is {observer_delay}, but the method '{method}' does not observe"
            " ranges: leave it at 0, or take 'moving-average'"
        )
    return network
