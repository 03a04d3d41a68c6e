"""Trying the remedies: each is run through the whole pipeline, and what it regains is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from intaglio.data.batches import BATCH_SIZE, Data
from intaglio.data.held import HeldImages, hold_images
from intaglio.doctor.finding import Diagnosis, Finding, InputChange, Treatment
from intaglio.doctor.preprocessing import changed
from intaglio.errors import RequestError
from intaglio.host.progress import Progress, Silent
from intaglio.ir.graph import Graph
from intaglio.job.compress import compress_graph
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import Recipe
from intaglio.run.float import run_float
from intaglio.run.twin import Twin
from intaglio.tasks.classify import compare

MOST_IMAGES = 320
"""Images held for trials: 256 to tune on, a fifth apart."""

JUDGED_SHARE = 0.2

LabelledBatches = Callable[[], Iterable[tuple[Tensor, Tensor]]]
"""Gives all labelled images anew each time: (images [N, C, H, W], labels [N]) a batch."""


@dataclass(frozen=True, eq=False)
class Trial:
    """What remedies are tried with.

    Attributes:
        captured: The network as captured.
        held: Images to calibrate and tune with, and a fifth apart.
        evaluate: Labelled images; None: the fifth apart is what counts, by its labels where it has
            some, else by agreement with the float network.
        target: Name of the runtime.
        scheme: As on the command line.
        seed: Of every random choice.
    """

    captured: Graph
    held: HeldImages
    evaluate: LabelledBatches | None
    target: str
    scheme: str
    seed: int = 0
    _scores: dict[Treatment, float] = field(default_factory=dict, repr=False)

    def score(self, treatment: Treatment) -> float:
        """Return percent of images that the integer network gets right; measured once.

        Raises:
            RequestError: If the target refuses what the treatment makes.
        """
        if treatment not in self._scores:
            self._scores[treatment] = self._measured(treatment)
        return self._scores[treatment]

    def _measured(self, treatment: Treatment) -> float:
        recipe = Recipe(
            name="doctor",
            calibrator=treatment.calibrator or "minmax",
            steps=[{"name": name} for name in treatment.steps],
        )
        options = Options(
            scheme=self.scheme, seed=self.seed, keep_float=tuple(treatment.keep_float)
        )
        images = _as_trained(self.held.tuning, treatment.images)
        result = compress_graph(
            self.captured, data=images, target=self.target, recipe=recipe, options=options
        )
        found = compare(
            self._float,
            lambda batch: _scores_of(result.twin, batch),
            self._judged(treatment.images),
        )
        return found.second.top1

    def _float(self, images: Tensor) -> Tensor:
        return run_float(self.captured, images)[0]

    def _judged(self, change: InputChange | None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the images that count, with their labels or the float network's answers."""
        if self.evaluate is not None:
            for images, labels in self.evaluate():
                yield _as_trained(images, change), labels
            return
        judged = self.held.judged if len(self.held.judged) else self.held.tuning
        for number, images in enumerate(torch.split(judged, BATCH_SIZE)):
            batch = _as_trained(images, change)
            known = self.held.labels if len(self.held.judged) else None
            if known is None:
                yield batch, self._float(batch).argmax(1)
            else:
                yield batch, known[number * BATCH_SIZE :][: len(batch)]


def hold_for_trials(data: Data, captured: Graph, seed: int) -> HeldImages:
    """Return the first images of `data`, a fifth of them apart."""
    shape = captured[captured.inputs[0]].shape[1:]
    return hold_images(data, shape, count=MOST_IMAGES, judged_share=JUDGED_SHARE, seed=seed)


def apply_remedies(
    diagnosis: Diagnosis, trial: Trial, progress: Progress | None = None
) -> Diagnosis:
    """Return the diagnosis with the points that each remedy regains, against plain quantization.

    A remedy acts on the whole network: findings with the same remedy have the same points. Points
    are percents of top-1, or of agreement where there are no labels. What cannot be tried (more
    images, a remedy that the target refuses) has none; where it was refused the remedy says so.
    Where images are changed and there are no labels, agreement says nothing: there are none either.
    """
    shown = progress or Silent()
    treatments = {finding.treatment for finding in diagnosis.findings} - {None}
    if not treatments:
        return diagnosis
    shown.begin("try remedies", len(treatments) + 1)
    try:
        before = trial.score(Treatment())
        shown.advance(1)
        done: set[Treatment] = set()
        tried = []
        for finding in diagnosis.findings:
            tried.append(_tried(finding, trial, before))
            if finding.treatment is not None and finding.treatment not in done:
                done.add(finding.treatment)
                shown.advance(1)
    finally:
        shown.end()
    return Diagnosis(tuple(tried))


def _tried(finding: Finding, trial: Trial, before: float) -> Finding:
    treatment = finding.treatment
    has_labels = trial.evaluate is not None or trial.held.labels is not None
    if treatment is None or (treatment.images is not None and not has_labels):
        return finding
    try:
        return replace(finding, points=trial.score(treatment) - before)
    except RequestError as error:
        return replace(finding, remedy=f"{finding.remedy} (not tried: {error})")


def _as_trained(images: Tensor, change: InputChange | None) -> Tensor:
    return images if change is None else changed(images, change)


def _scores_of(twin: Twin, images: Tensor) -> Tensor:
    outputs = twin(images)
    return outputs if isinstance(outputs, Tensor) else outputs[0]
