"""The cut of a user's detector as a result keeps it, and the same cut made again."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intaglio.errors import RequestError
from intaglio.ir.graph import Graph
from intaglio.read.module.core_whole import Core, Whole
from intaglio.read.module.cores import find_cores
from intaglio.read.module.export import capture
from intaglio.store.cores import StoredCore, StoredWhole

SEED = 0
"""Of the pictures that a module is cut with again."""


def stored_whole(whole: Whole) -> StoredWhole:
    """Return what a result keeps of a cut module: names and shapes, and no picture."""
    example = whole.example
    pictures = list(example) if isinstance(example, list | tuple) else [example]
    shapes = tuple(tuple(one.shape) for one in pictures if isinstance(one, Tensor))
    takes = "tensor" if isinstance(example, Tensor) else "pictures"
    return StoredWhole(tuple(map(_stored, in_order(whole))), takes, shapes)  # type: ignore[arg-type]


def in_order(whole: Whole) -> list[Core]:
    """Return the cores, the one that is given the pictures first."""
    return sorted(whole.cores, key=lambda core: core.entered)


def graphs_of(whole: Whole) -> list[Graph]:
    """Return the graph of each core, the one that is given the pictures first."""
    return list(map(graph_of, in_order(whole)))


def graph_of(core: Core) -> Graph:
    """Return the graph of a core, its outputs by their places in the user's module."""
    graph = capture(core.module, core.example)
    if len(graph.outputs) == len(core.output_names):
        graph.output_names = core.output_names
    return graph


def same_cut(module: nn.Module, stored: StoredWhole, where: str) -> Whole:
    """Return a module cut as a result says.

    Args:
        module: The user's.
        where: The result's folder, for messages.

    Raises:
        CaptureError: If it cannot be cut.
        RequestError: If its cores lie elsewhere or have other shapes; names the first difference.
    """
    generator = torch.Generator().manual_seed(SEED)
    pictures = [torch.rand(shape, generator=generator) for shape in stored.shapes]
    whole = find_cores(module, pictures[0] if stored.takes == "tensor" else pictures)
    found = list(map(_stored, in_order(whole)))
    if len(found) != len(stored.cores):
        raise RequestError(
            f"the module has {len(found)} cores and the result {where} holds {len(stored.cores)}:"
            " give the module that it was made of"
        )
    for own, kept in zip(found, stored.cores, strict=True):
        for what in ("places", "input_shape", "outputs"):
            if getattr(own, what) != getattr(kept, what):
                raise RequestError(
                    f"core '{own.name}' of the module has other {what.replace('_', ' ')} than in"
                    f" the result {where}: {getattr(own, what)} and {getattr(kept, what)}: give the"
                    " module that it was made of"
                )
    return whole


def _stored(core: Core) -> StoredCore:
    return StoredCore(core.name, core.places, tuple(core.example.shape[1:]), core.output_names)
