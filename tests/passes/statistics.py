"""What batch norms know, of a graph as captured, in the words of LiteRT."""

from __future__ import annotations

from intaglio.ir.graph import Graph
from intaglio.numerics.normal import Normal
from intaglio.passes.canonicalize import canonicalize
from intaglio.passes.channel_statistics import channel_statistics
from intaglio.runtimes import LITERT


def statistics_of(captured: Graph) -> dict[str, Normal]:
    """Return the distribution of layers' values before their activation."""
    canonical = captured.copy()
    canonicalize(canonical)
    return channel_statistics(captured, canonical, LITERT.lower(canonical).graph)
