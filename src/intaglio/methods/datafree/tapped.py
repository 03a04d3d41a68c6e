"""Teacher and student run once, with the values on the way that losses look at.

Of the teacher no parameter ever asks for a gradient: it is a float graph, whose gradients end at
its input.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.ir.graph import Graph, Node
from intaglio.ops import OPS
from intaglio.ops.schema import activate, bare
from intaglio.ops.traits import TRAITS
from intaglio.run.float import channels_last, in_layout, run_node
from intaglio.run.partial import Route

BENT = frozenset(
    {"clamp", "leaky_relu", "hard_swish", "hard_sigmoid", "prelu", "function", "silu", "maximum"}
)
"""Ops that are activations themselves."""
GATES = frozenset({(1, 1)})
"""Sizes of values that weigh others (squeeze and excite), or are pooled: no stage."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What a network makes of images.

    Attributes:
        outputs: [N, ...] each, in order.
        features: At the taps, [N, C, H, W] (or [N, C]) each, in their order.
        before: By layer, what a batch norm states the statistics of: its value before its
            activation, [N, C, ...]; empty where it was not asked for.
    """

    outputs: list[Tensor]
    features: list[Tensor]
    before: dict[str, Tensor] = field(default_factory=dict)


def features_of(graph: Graph) -> tuple[str, ...]:
    """Return the values at which two networks are compared, in the graph's order.

    The end of each stage: of each height and width that values have, the last one behind an
    activation; where a size has none, the last that is computed at all. A network without places
    has one tap, its last hidden value.
    """
    outputs = set(graph.outputs)
    places = [node for node in graph if len(node.shape) == 4 and _is_made(node)]
    places = [node for node in places if node.shape[2:] not in GATES]
    if places:
        ends: dict[tuple[int, ...], Node] = {}
        for node in places:
            there = ends.get(node.shape[2:])
            if there is None or _is_bent(node) or not _is_bent(there):
                ends[node.shape[2:]] = node
        chosen = {node.name for node in ends.values()}
        return tuple(node.name for node in graph if node.name in chosen)
    flat = [n.name for n in graph if len(n.shape) == 2 and _is_made(n) and n.name not in outputs]
    return tuple(flat[-1:])


def _is_made(node: Node) -> bool:
    """Whether a node computes new values: pads and slices of stages are none of their ends."""
    return TRAITS[node.op].values == "computed" and bool(node.inputs) and node.op != "quantize"


def _is_bent(node: Node) -> bool:
    return node.attrs.get("activation") is not None or node.op in BENT


class Teacher:
    """A float network that is asked, and never changes.

    Attributes:
        graph: Its weights are on the device and ask for no gradient.
        taps: Where features are taken.
        norms: Layers whose values before the activation may be asked for.
    """

    def __init__(
        self, graph: Graph, taps: Sequence[str], norms: Collection[str], device: str = "cpu"
    ) -> None:
        """Copy the weights to where it computes."""
        self.graph = channels_last(graph, device)
        self.graph.params = {
            key: value.detach().requires_grad_(False) for key, value in self.graph.params.items()
        }
        self.taps, self.norms = tuple(taps), frozenset(norms)
        self._bare = {node.name: bare(node) for node in graph}
        self._strided = {
            node.name for node in graph if node.op == "conv2d" and max(node.attrs["stride"]) > 1
        }
        wanted = [*graph.outputs, *self.taps]
        self._route = Route.between(self.graph, self.graph.inputs, wanted)

    def __call__(
        self, images: Tensor, *, norms: bool = False, swing: torch.Generator | None = None
    ) -> Seen:
        """Return what the network makes of images [N, C, H, W], in one pass.

        Gradients go to the images, where these ask for them.

        Args:
            norms: Whether to keep what batch norms state the statistics of.
            swing: Of random numbers by which what layers with a stride read is moved, each by up
                to a pixel (Jeon et al. 2023, arXiv:2212.04780); None: nothing is moved.
        """
        before: dict[str, Tensor] = {}

        def step(node: Node, inputs: Sequence[Tensor]) -> Tensor:
            """Return a node's value; keep what it is before its activation where that counts."""
            if swing is not None and node.name in self._strided:
                inputs = [swung(inputs[0], swing), *inputs[1:]]
            if not norms or node.name not in self.norms:
                return run_node(self.graph, node, inputs)
            params = self.graph.params_of(node)
            value = OPS[node.op].function(self._bare[node.name], inputs, params)
            before[node.name] = value
            return activate(value, node.attrs.get("activation"))  # not in place: it is kept

        found = self._route.run({self.graph.inputs[0]: in_layout(images)}, step)
        outputs = [found[name] for name in self.graph.outputs]
        return Seen(outputs, [found[name] for name in self.taps], before)


def swung(values: Tensor, draws: torch.Generator) -> Tensor:
    """Return values [N, C, H, W] moved by -1, 0 or 1 place each way, the edges mirrored."""
    height, width = values.shape[2:]
    if min(height, width) < 2:
        return values
    down, across = torch.randint(0, 3, (2,), generator=draws).tolist()
    wide = F.pad(values, (1, 1, 1, 1), mode="reflect")
    return in_layout(wide[:, :, down : down + height, across : across + width])
