"""The twin's own kernels for a network whose numbers change with every step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from intaglio.ir.graph import Graph, Node
from intaglio.numerics.accumulate import exact_float32
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.spec import QuantParams
from intaglio.run.twin import prepare
from intaglio.targets.site import Kernel
from intaglio.targets.target import Target

Computed = Callable[[Node, list[Tensor]], Tensor]
"""Returns the value of a node in the twin's form from those of its inputs."""


@dataclass(eq=False)
class ExactKernels:
    """Kernels, made anew where a weight or a grid has changed.

    Attributes:
        target: Whose kernels they are.
    """

    target: Target
    _kept: dict[str, tuple[tuple[QuantParams | None, ...], Kernel]] = field(default_factory=dict)

    def of(self, graph: Graph, encodings: Encodings) -> Computed | None:
        """Return what computes a node of the graph as it is now.

        None where a weight or bias is not finite: there is no integer for it.
        """
        if not all(bool(value.isfinite().all()) for value in graph.params.values()):
            return None
        kernels: dict[str, Kernel] = {}
        # kernels refuse infinite ratios of scales by name
        with np.errstate(all="ignore"), exact_float32():
            for node in graph:
                if node.op != "input":
                    kernels[node.name] = self._kernel(graph, node, encodings)

        def computed(node: Node, inputs: list[Tensor]) -> Tensor:
            """Return what the node's kernel makes."""
            with torch.no_grad(), exact_float32():
                return kernels[node.name](inputs)

        return computed

    def _kernel(self, graph: Graph, node: Node, encodings: Encodings) -> Kernel:
        if node.params and node.op != "constant":
            return prepare(graph, node, encodings, self.target)
        grids = tuple(encodings.activations.get(name) for name in (*node.inputs, node.name))
        kept = self._kept.get(node.name)
        if kept is not None and all(a is b for a, b in zip(kept[0], grids, strict=True)):
            return kept[1]
        kernel = prepare(graph, node, encodings, self.target)
        self._kept[node.name] = (grids, kernel)
        return kernel
