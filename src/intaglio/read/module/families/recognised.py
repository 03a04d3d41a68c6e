"""The door: which post-processing a detector has, proved on its own code where it has any."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from intaglio.boxes.postprocess import PostProcess, TwoStage
from intaglio.errors import CaptureError
from intaglio.ir.graph import Graph
from intaglio.maps.postprocess import MapPostProcess
from intaglio.read.module.core_whole import Whole
from intaglio.read.module.families.candidate import Candidate
from intaglio.read.module.families.centernet import centernet_maps
from intaglio.read.module.families.evidence import Evidence, gathered
from intaglio.read.module.families.limits import holders_of
from intaglio.read.module.families.one_stage import one_stage
from intaglio.read.module.families.proof import proven, real_behind
from intaglio.read.module.families.rig import rig_of
from intaglio.read.module.families.shown import shown
from intaglio.read.module.families.two_stage import two_stage
from intaglio.read.module.families.yolo_decoded import decoded_yolo
from intaglio.read.module.families.yolo_raw import raw_yolo
from intaglio.read.module.unwrap import borrowed, unwrapped
from intaglio.targets.ending import Ending


def postprocess_of(
    captured: Graph | Whole,
    module: nn.Module,
    example: Tensor | None,
    own: Ending | None,
) -> Ending | None:
    """Return how boxes, or classes of pixels, come of a module's outputs; None: nobody knows.

    Args:
        captured: The module's graph, or the module cut into cores.
        module: The user's.
        example: Of a module with a graph, its input [N, C, H, W].
        own: What the module itself says: believed of a graph, proved of cores, whose outputs it
            does not number.
    """
    if isinstance(captured, Whole):
        return recognised(captured, None if isinstance(own, MapPostProcess) else own)
    if own is not None or example is None:
        return own
    return recognised_whole(module, captured, example)


def recognised(
    whole: Whole, own: PostProcess | TwoStage | None = None
) -> PostProcess | TwoStage | None:
    """Return how boxes come of the outputs of a module's cores; None where it cannot be proved.

    Readings are made of what a run of the module shows (anchors, shapes of outputs, plain
    attributes), and held against what the module's own code makes of the same outputs. The first
    that says the same is returned, in pixels of what the first core sees.

    Args:
        whole: The module, cut into cores.
        own: What the module itself says, which is tried first.
    """
    evidence = gathered(whole)
    if evidence is None:
        return None
    try:
        rig = rig_of(whole, evidence)
    except CaptureError:  # it cannot be copied
        return None
    rig.outputs, rig.behind = evidence.outputs[0], real_behind(evidence)
    known = rig.run()
    if known is None or len(known) != len(evidence.given):
        return None
    for candidate in itertools.chain(_own(own), _readings(whole, evidence)):
        if proven(candidate, evidence, rig, known):
            return candidate.post
    return None


def recognised_whole(module: nn.Module, graph: Graph, example: Tensor) -> PostProcess | None:
    """Return how boxes come of the outputs of a module that is captured as a whole, or None.

    There is no code behind these outputs that could prove a reading: it must be the only one that
    fits their shapes and values for a noisy picture, and what attributes say (classes, strides,
    anchors). How many boxes are kept is customary (`boxes.limits`): low scores are kept, as average
    precision wants, and at most 300 boxes.

    Args:
        module: The user's.
        graph: What was captured of it.
        example: [N, C, H, W] of the size that it was captured at.
    """
    if example.ndim != 4 or all(len(graph[name].shape) < 3 for name in graph.outputs):
        return None  # a classifier: nothing of it is run
    noise = torch.rand((1, *example.shape[1:]), generator=torch.Generator().manual_seed(0))
    network = unwrapped(module)
    with borrowed(network) as plain:
        if plain is network:  # it cannot be copied, and is not run: it may remember
            return None
        outputs = _outputs(plain, graph, noise)
        if not outputs:
            return None
        seen = shown(plain, outputs, graph.output_names, (example.shape[2], example.shape[3]))
    return raw_yolo(seen) or decoded_yolo(seen) or centernet_maps(seen)


def _outputs(module: nn.Module, graph: Graph, picture: Tensor) -> list[Tensor]:
    """Return what a module gives for a picture, in the order of the graph's outputs; else []."""
    try:
        with torch.no_grad():
            made = module(picture)
    except Exception:  # the user's code, on a picture that it never saw
        return []
    found = [own for own in pytree.tree_leaves(made) if isinstance(own, Tensor)]
    if [tuple(own.shape[1:]) for own in found] != [graph[n].shape[1:] for n in graph.outputs]:
        return []
    return found if all(own.is_floating_point() for own in found) else []


def _own(post: PostProcess | TwoStage | None) -> Iterator[Candidate]:
    if post is not None:
        yield Candidate(post)


def _readings(whole: Whole, evidence: Evidence) -> Iterator[Candidate]:
    if not holders_of(whole.module):
        return
    yield from one_stage(whole.module, evidence)
    yield from two_stage(whole.module, evidence)
