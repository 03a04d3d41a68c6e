"""What a recipe leaves to the network: known once that is read, before anything is made."""

from __future__ import annotations

from dataclasses import replace

from intaglio.cost.macs import count_macs
from intaglio.ir.graph import Graph, Node
from intaglio.recipe.settings import Settings
from intaglio.recipe.without_images import fitted


def fitted_settings(captured: Graph, settings: Settings) -> Settings:
    """Return the settings with the steps for a captured network, where they are not stated.

    Those of the recipe for no images alone are: whether it makes images depends on what they cost,
    and on whether batch norms are there to make them of.
    """
    if not settings.is_spelled:
        return settings
    recipe = fitted(
        settings.recipe,
        settings.scheme,
        macs=sum(count_macs(captured).values()),
        has_norms=any(_states_something(captured, node) for node in captured),
    )
    return replace(settings, recipe=recipe)


def _states_something(graph: Graph, node: Node) -> bool:
    return node.op == "batch_norm" and bool((graph.param(node, "var") > 0.0).any())
