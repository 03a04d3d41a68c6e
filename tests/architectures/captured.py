"""Each architecture captured once per test session: torch.export takes a second or more."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from architectures.catalogue import architectures
from intaglio.ir.graph import Graph
from intaglio.read.module.export import capture
from intaglio.read.named import build_model, parse_model


@dataclass(frozen=True)
class Captured:
    """A network and its graph.

    Attributes:
        module: In eval mode; tests must not change it.
        input_shape: [1, 3, H, W].
        source: The graph as captured; tests change only copies.
    """

    module: nn.Module
    input_shape: tuple[int, ...]
    source: Graph

    @property
    def graph(self) -> Graph:
        """A copy of the captured graph, free to be changed."""
        return self.source.copy()

    def outputs(self, images: Tensor) -> list[Tensor]:
        """Return the module's tensors for `images`, in the order of the graph's outputs."""
        with torch.no_grad():
            result = self.module(images.clone())
        return [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, Tensor)]


@functools.cache
def captured(name: str) -> Captured:
    """Return the architecture `name`, captured."""
    factory, shape = architectures()[name]
    module = factory()
    return Captured(module, shape, capture(module, torch.zeros(shape)))


@functools.cache
def captured_zoo(model: str) -> Graph:
    """Return the network of a command line's `model`, captured at its own size, random weights.

    Tests change only copies.
    """
    built = build_model(parse_model(model))
    return capture(built.module, torch.zeros(built.input_shape))
