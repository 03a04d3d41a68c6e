"""What the channels of a detector's last layers hold: boxes, scores, or both.

Followed by numbers: each channel of such a layer gives its own number at every place, the outputs
are computed of these, and what is then read as a box or a score says whose it was. So every layout
is known that can be read at all, through whatever moves values on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from intaglio.boxes.parts import numbers
from intaglio.boxes.postprocess import Part, Places, PostProcess
from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.ops import OPS
from intaglio.ops.traits import ENDING, MOVING, WEIGHTED
from intaglio.run.partial import run_partial

BOXES, SCORES, OTHERS = "boxes", "scores", "others"
"""Kinds of numbers. Objectness is one of the scores, which have its range: of YOLOv3-Nano each
spans 41 to 56 where boxes span 7 to 10, and grids of their own for both gained 0.01 dB."""
PLAIN = MOVING - ENDING - {"pad"}
"""Ops that move values and choose by no value; what is moved stays what it is."""
NOTHING = -1.0


def kinds_of_channels(graph: Graph, post: PostProcess) -> dict[str, dict[str, list[int]]]:
    """Return the channels of each kind, in order, of layers whose channels are of several kinds.

    By layer: those whose values are only moved, down to the outputs. Channels that nothing is read
    of are of the kind OTHERS. A layer of which one channel is of two kinds is left out; so are all
    where the outputs are not what `post` reads (whoever reads them says so).
    """
    layers = _last_layers(graph)
    first, ids = 0, dict[str, range]()
    for layer in layers:
        count = graph.param(layer, "weight").shape[WEIGHTED[layer.op]]
        ids[layer.name] = range(first, first + count)
        first += count
    if not layers:
        return {}
    try:
        read = _read(post, _followed(graph, ids))
    except ValueError:
        return {}
    found = {name: _kinds(own, read) for name, own in ids.items()}
    return {name: kinds for name, kinds in found.items() if len(kinds) > 1}


def _last_layers(graph: Graph) -> list[Node]:
    """Return the layers with weights whose values are only moved, and make outputs alone."""
    last: set[str] = set()
    for node in reversed(list(graph)):
        readers = graph.readers(node.name)
        if all(reader.name in last and reader.op in PLAIN for reader in readers):
            is_used = readers or node.name in graph.outputs
            last |= {node.name} if is_used and node.op in PLAIN | WEIGHTED.keys() else set()
    return [node for node in graph if node.name in last and node.op in WEIGHTED]


def _followed(graph: Graph, ids: Mapping[str, range]) -> list[np.ndarray]:
    """Return the outputs of one image, [1, ...], where each channel's values are its number."""
    given = {}
    for node in graph:
        if node.op not in PLAIN or not node.inputs:
            given[node.name] = _numbered(node, ids.get(node.name))

    def moved(node: Node, inputs: Sequence[Tensor]) -> Tensor:
        """Return a value that is moved."""
        return OPS[node.op].function(node, inputs, graph.params_of(node))

    names = list(dict.fromkeys(graph.outputs))
    values = run_partial(graph, given, names, moved)
    return [values[name].numpy() for name in graph.outputs]


def _numbered(node: Node, own: range | None) -> Tensor:
    """Return a value of one image that holds numbers of channels, or of nothing."""
    shape = tuple(1 if size == BATCH else size for size in node.shape)
    if own is None:
        return torch.tensor(NOTHING).expand(shape)
    axis = len(shape) - 1 if node.op == "linear" else 1
    sizes = [len(own) if place == axis else 1 for place in range(len(shape))]
    return torch.arange(own.start, own.stop, dtype=torch.float32).reshape(sizes).expand(shape)


def _read(post: PostProcess, outputs: Sequence[np.ndarray]) -> dict[str, set[int]]:
    """Return the numbers that are read as each kind."""
    found: dict[str, set[int]] = {BOXES: set(), SCORES: set()}
    for kind, part, places in _parts(post):
        found[kind] |= set(np.unique(numbers(part, places, outputs)).astype(int).tolist())
    return found


def _parts(post: PostProcess) -> Iterator[tuple[str, Part, Places]]:
    for level in post.levels:
        for part in level.parts:
            yield BOXES if part in level.boxes else SCORES, part, level.places


def _kinds(own: range, read: Mapping[str, set[int]]) -> dict[str, list[int]]:
    """Return the channels of a layer by kind; none where one is of two kinds."""
    kinds = {kind: [number - own.start for number in own if number in read[kind]] for kind in read}
    known = [channel for channels in kinds.values() for channel in channels]
    if len(known) > len(set(known)):
        return {}
    kinds[OTHERS] = sorted(set(range(len(own))) - set(known))
    return {kind: channels for kind, channels in kinds.items() if channels}
