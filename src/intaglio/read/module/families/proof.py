"""Whether a reading of a detector says what the detector's own code does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from intaglio.boxes.detect import Picture, found_in
from intaglio.boxes.detections import NOTHING, Detections
from intaglio.boxes.postprocess import PostProcess, TwoStage
from intaglio.boxes.regions import pooled_regions
from intaglio.read.module.families.candidate import NARROW, Candidate
from intaglio.read.module.families.drawn import drawn_behind, drawn_outputs
from intaglio.read.module.families.evidence import Evidence
from intaglio.read.module.families.rig import Behind, Rig

PIXELS = 1e-2
"""How far the same box may lie: float32 over some thousand pixels, summed in another order."""
SCORES = 1e-4
"""How far the same score may lie: an exponential of float32 values of some ten."""
TIES = 1e-5
"""Scores that are this near may stand in either order."""
SWAY = 2e-6
"""What rounding may do to an overlap: where a result turns on it, it is no proof."""
DRAWS = 4
"""Outputs that are drawn, at most, until rounding does not decide about them."""
FEW = 5
"""Boxes that drawn outputs must give, over all pictures: finding nothing proves nothing."""


@dataclass(frozen=True, eq=False)
class Probe:
    """What the user's code is asked.

    Attributes:
        outputs: Of the first core.
        behind: The second core.
        post: What should come of them.
    """

    outputs: Sequence[Tensor]
    behind: Behind
    post: PostProcess | TwoStage


def proven(candidate: Candidate, evidence: Evidence, rig: Rig, known: Sequence[Detections]) -> bool:
    """Return whether a reading gives what the user's code gives, and so may stand in its place.

    It must for the example, for outputs that are made up so that much is found, and with other
    limits, which are set in a copy of the user's module: as many boxes of the same classes in the
    same order of scores, apart by no more than float32 rounds. Boxes are cut off at the border of
    the picture itself, which for the example may be smaller than what the core sees.

    Args:
        candidate: The reading.
        evidence: Of a run of the module.
        rig: The module's code.
        known: What the module itself finds in each picture of the example.
    """
    if isinstance(candidate.post, TwoStage) and len(evidence.cores) < 2:
        return False
    real = Probe(evidence.outputs[0], real_behind(evidence), candidate.post)
    try:
        if _agrees(real, evidence, known) is False:
            return False
        others = (candidate.narrowed(limits) for limits in NARROW)
        readings = (Candidate(candidate.post), *others)
        return all(_says_all(own, evidence, rig) for own in readings)
    except ValueError:  # outputs that have other shapes than the reading says
        return False


def _says_all(candidate: Candidate, evidence: Evidence, rig: Rig) -> bool:
    """Return whether a reading agrees on outputs that are made up, with these settings."""
    for probe in _drawn(candidate.post, evidence):
        rig.outputs, rig.behind = probe.outputs, probe.behind
        known = rig.run(candidate.settings)
        if known is None or len(known) != len(evidence.given):
            return False
        verdict = _agrees(probe, evidence, known)
        if verdict is False:
            return False
        if verdict and sum(map(len, known)) >= FEW:
            return True
    return False


def _drawn(post: PostProcess | TwoStage, evidence: Evidence) -> Iterator[Probe]:
    first = post if isinstance(post, PostProcess) else post.regions
    for seed in range(DRAWS):
        generator = Generator().manual_seed(seed)
        outputs = drawn_outputs(first, evidence.outputs[0], generator)
        behind: Behind = real_behind(evidence)
        if isinstance(post, TwoStage):
            example, made = evidence.cores[1].example, evidence.outputs[1]
            behind = drawn_behind(post.head, example, made, generator)
        yield Probe(outputs, behind, post)


def real_behind(evidence: Evidence) -> Behind:
    """Return the second core in float; of a module with one core, nothing calls it."""
    core = evidence.cores[-1] if len(evidence.cores) < 2 else evidence.cores[1]

    def behind(regions: Tensor) -> Sequence[Tensor]:
        """Return what the float core gives."""
        with torch.no_grad():
            made: Sequence[Tensor] = core.module(regions)
        return made

    return behind


def _agrees(probe: Probe, evidence: Evidence, known: Sequence[Detections]) -> bool | None:
    """Return whether a reading gives what is known; None where rounding alone may decide."""
    made = by_data(probe, evidence)
    if all(map(same, made, known)):
        return True
    return None if _sways(probe, made, evidence) else False


def by_data(probe: Probe, evidence: Evidence) -> list[Detections]:
    """Return what the reading finds in each picture, in pixels of it as it was given."""
    outputs = [own.numpy() for own in probe.outputs]
    found, post = [], probe.post
    for number, (seen, given) in enumerate(zip(evidence.seen, evidence.given, strict=True)):
        if isinstance(post, PostProcess):
            own = found_in(replace(post, input_size=seen), Picture(outputs, number))
        else:
            own = _two_stage(post, outputs, number, seen=seen, behind=probe.behind)
        tall, wide = np.asarray(given, np.float32) / np.asarray(seen, np.float32)
        scale = np.asarray([wide, tall, wide, tall], np.float32)
        found.append(replace(own, boxes=own.boxes * scale))
    return found


def _two_stage(
    post: TwoStage,
    outputs: Sequence[NDArray[np.float32]],
    number: int,
    *,
    seen: tuple[int, int],
    behind: Behind,
) -> Detections:
    """Return what is found in one picture."""
    own = [output[number : number + 1] for output in outputs]
    regions = found_in(replace(post.regions, input_size=seen), Picture(own)).boxes
    pooled = pooled_regions(post.pooling, own, [regions], post.regions.input_size)
    if not len(pooled):
        return NOTHING
    made = [one.numpy()[None] for one in behind(torch.from_numpy(pooled))]
    return found_in(replace(post.head, input_size=seen), Picture(made, proposed=regions))


def same(made: Detections, known: Detections) -> bool:
    """Return whether two lists are of the same boxes, classes and order of scores."""
    if len(made) != len(known):
        return False
    scores = np.abs(made.scores[:, None] - known.scores[None])
    boxes = np.abs(made.boxes[:, None] - known.boxes[None]).max(axis=2)
    pairs = (made.classes[:, None] == known.classes[None]) & (boxes <= PIXELS) & (scores <= SCORES)
    order = np.arange(len(made))
    pairs &= (scores <= TIES) | (order[:, None] == order[None])
    return bool(pairs.any(axis=0).all() and pairs.any(axis=1).all())


def _sways(probe: Probe, made: Sequence[Detections], evidence: Evidence) -> bool:
    """Whether another rounding of overlaps would give another result."""
    for sway in (-SWAY, SWAY):
        other = by_data(replace(probe, post=_swayed(probe.post, sway)), evidence)
        if not all(map(same, made, other)):
            return True
    return False


def _swayed(post: PostProcess | TwoStage, sway: float) -> PostProcess | TwoStage:
    if isinstance(post, TwoStage):
        regions, head = _swayed(post.regions, sway), _swayed(post.head, sway)
        assert isinstance(regions, PostProcess), "it is of one stage"
        assert isinstance(head, PostProcess), "it is of one stage"
        return replace(post, regions=regions, head=head)
    if post.suppress is None:
        return post
    overlap = min(max(post.suppress.overlap + sway, 0.0), 1.0)
    return replace(post, suppress=replace(post.suppress, overlap=overlap))
