"""A grid of their own for boxes and for scores, where a detector's last layer makes both in one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from intaglio.boxes.postprocess import PostProcess
from intaglio.ir.graph import Graph
from intaglio.passes.canonicalize import canonicalize
from intaglio.passes.folded_norms import folded_norms
from intaglio.passes.split_channels import joined_channels, split_channels
from intaglio.tasks.detect.kinds import kinds_of_channels


@dataclass(frozen=True)
class SplitLayers:
    """What was split.

    Attributes:
        kinds: By layer, the channels of each kind, in order.
        made: By layer, the name of each kind's own layer.
    """

    kinds: Mapping[str, Mapping[str, list[int]]] = field(default_factory=dict)
    made: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def split_outputs(
    captured: Graph, canonical: Graph, post: PostProcess, *, whole: Iterable[str] = ()
) -> SplitLayers:
    """Split layers that give boxes and scores in one value; return which were.

    Names, shapes and order of the outputs stay. A layer that took in a batch norm stays whole: what
    is known of it, and what trains it, is by its name.

    Args:
        captured: As `capture` made it.
        canonical: The same after `canonicalize`; changed in place.
        post: How boxes come of the outputs.
        whole: Layers that somebody names, by the graph or the user's module, which stay whole.
    """
    kinds = kinds_of_channels(canonical, post)
    if kinds:
        asked, norms = list(whole), folded_norms(captured, canonical, canonical)
        kinds = {
            name: own
            for name, own in kinds.items()
            if name not in norms and not _is_named(canonical, name, asked)
        }
    return SplitLayers(kinds, split_channels(canonical, kinds))


def whole_weights(
    captured: Graph, post: PostProcess, weights: Mapping[str, Tensor], *, whole: Iterable[str] = ()
) -> dict[str, Tensor]:
    """Return weights of a network with split layers by the names that they have in the user's.

    Args:
        captured: As `capture` made it.
        post: How boxes come of the outputs.
        weights: By the keys of the split network.
        whole: As for `split_outputs`.
    """
    canonical = captured.copy()
    canonicalize(canonical)
    parted, found = canonical.copy(), dict(weights)
    split = split_outputs(captured, parted, post, whole=whole)
    for layer, made in split.made.items():
        for role, key in canonical[layer].params.items():
            keys = {kind: parted[name].params[role] for kind, name in made.items()}
            if all(own in found for own in keys.values()):
                parts = {kind: found.pop(own) for kind, own in keys.items()}
                found[key] = joined_channels(canonical, layer, parts, split.kinds[layer])
    return found


def _is_named(graph: Graph, layer: str, names: Iterable[str]) -> bool:
    """Whether one of the names means a layer: its own, its module's, or that of a block."""
    source = graph[layer].source
    return any(name == layer or (name and f"{source}.".startswith(f"{name}.")) for name in names)
