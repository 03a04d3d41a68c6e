"""A graph as a module: for whoever has torch, and nothing of ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from intaglio.ir.graph import Graph, Node
from intaglio.ops import OPS
from intaglio.run.partial import run_whole


class GraphModule(nn.Module):
    """A graph in float32; layers hang where the user's module has them.

    Attributes:
        graph: What it computes.
    """

    def __init__(self, graph: Graph) -> None:
        """Copy the graph's weights."""
        super().__init__()
        self.graph = graph
        self._layers: dict[str, Callable[..., Tensor]] = {}
        for node in graph:
            layer = GraphLayer(node, graph.params_of(node))
            _hang(self, node.name, layer)
            self._layers[node.name] = layer

    def forward(self, images: Tensor) -> Any:
        """Return the output for images [N, C, H, W]; a dict or tuple where there are several."""

        def step(node: Node, inputs: Sequence[Tensor]) -> Tensor:
            """Return what the node's layer makes of its inputs."""
            return self._layers[node.name](*inputs)

        graph = self.graph
        outputs = run_whole(graph, {graph.inputs[0]: images}, step)
        if graph.output_names:
            return dict(zip(graph.output_names, outputs, strict=True))
        return outputs[0] if len(outputs) == 1 else tuple(outputs)


class GraphLayer(nn.Module):
    """One node: its weights, and what it makes of its inputs."""

    def __init__(self, node: Node, params: dict[str, Tensor]) -> None:
        """Copy the weights."""
        super().__init__()
        self._node = node
        for role, value in params.items():
            self.register_parameter(role, nn.Parameter(value.clone(), requires_grad=False))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the node's value."""
        return OPS[self._node.op].function(self._node, list(inputs), dict(self._parameters))  # type: ignore[arg-type]


def _hang(root: nn.Module, path: str, layer: nn.Module) -> None:
    """Put a layer under a dotted path, or under the next free name where it is taken."""
    *folders, last = path.split(".")
    for folder in folders:
        below = root._modules.get(folder)
        if below is None:
            below = nn.Module()
            root.add_module(folder, below)
        root = below
    name, number = last, 0
    while name in root._modules or hasattr(root, name):
        number += 1
        name = f"{last}_{number}"
    root.add_module(name, layer)
