"""How classes of pixels come of a segmenter's first output, as its graph proves it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from intaglio.errors import DataError
from intaglio.ir.graph import Graph, Node
from intaglio.maps.postprocess import MOST_CLASSES, MapPostProcess, Scores
from intaglio.tasks.segment.outputs import misfit_of
from intaglio.tasks.task import output_shapes

CHANNELS = (1, -3)
"""The axis of classes of [N, classes, h, w], as it may be said."""
HIGHEST = {torch.ops.aten.argmax.default: None, torch.ops.aten.max.dim: 1}
"""Calls that give the place of the highest value, and which of their results that is."""
BETWEEN = ("resize",)
"""Ops whose values lie between those they read: of probabilities they make probabilities."""


@dataclass(frozen=True, eq=False)
class Scored:
    """A segmenter that gives scores.

    Attributes:
        graph: Of it; where the network gives classes, without what chooses them.
        post: How classes come of the scores.
    """

    graph: Graph
    post: MapPostProcess


def without_choice(graph: Graph, post: MapPostProcess | None = None) -> Scored | None:
    """Return a network that gives classes as one that gives the scores which they are chosen by.

    Args:
        graph: As captured; not changed.
        post: What the network says of itself; names of classes stay.

    Returns:
        None of any other network: its output is no highest place over the channels of a map, or is
        read by something else.
    """
    place = post.output if post is not None else 0
    if (post is not None and post.rule != "index") or place >= len(graph.outputs):
        return None
    last = graph[graph.outputs[place]]
    scores = _chosen_from(graph, last)
    if scores is None or graph.readers(last.name) or graph.outputs.count(last.name) > 1:
        return None
    classes = scores.shape[1]
    if post is not None and post.classes != classes:
        return None
    made = graph.copy()
    made.outputs[place] = scores.name
    made.drop_unused()
    kind = _scores(made, scores)
    if post is None:
        return Scored(made, MapPostProcess(classes, place, scores=kind))
    return Scored(made, replace(post, rule="highest", scores=kind))


def end_of_maps(graph: Graph) -> MapPostProcess:
    """Return how classes come of the first output of a network that is a segmenter.

    One channel behind a sigmoid is the probability of class 1. Several channels are scores of as
    many classes: probabilities behind a softmax over them, else logits.

    Raises:
        DataError: If it is no map of classes, or it cannot be told how classes come of it.
    """
    shapes = output_shapes(graph)
    first = graph[graph.outputs[0]]
    if _is_map(first) and first.shape[1] == 1 and _made_by(graph, first).op == "sigmoid":
        return MapPostProcess(2, rule="threshold", scores="probabilities")
    reason = misfit_of(None, shapes)
    if reason is not None:
        raise DataError(f"task 'segment': {reason}")
    return MapPostProcess(first.shape[1], scores=_scores(graph, first))


def _is_map(node: Node) -> bool:
    return len(node.shape) == 4 and node.shape[2] * node.shape[3] > 1


def _scores(graph: Graph, node: Node) -> Scores:
    made = _made_by(graph, node)
    is_share = made.op == "softmax" and made.attrs["axis"] in CHANNELS
    return "probabilities" if is_share else "logits"


def _made_by(graph: Graph, node: Node) -> Node:
    """Return what makes a value, but for what only brings it to another size."""
    while node.op in BETWEEN:
        node = graph[node.inputs[0]]
    return node


def _chosen_from(graph: Graph, node: Node) -> Node | None:
    """Return the scores [N, classes, h, w] of which a node is the highest place; None: of none."""
    call = node.attrs.get("call")
    if node.op != "opaque" or call not in HIGHEST or node.attrs["output"] != HIGHEST[call]:
        return None
    scores = graph[node.inputs[0]]
    settings = [*node.attrs["args"][1:], *node.attrs["kwargs"].values()]
    is_over_channels = bool(settings) and settings[0] in CHANNELS and not any(settings[1:])
    is_known = is_over_channels and _is_map(scores) and 1 < scores.shape[1] <= MOST_CLASSES
    return scores if is_known else None
