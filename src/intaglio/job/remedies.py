"""Trying the remedies: each is run through the whole pipeline, and what it regains is measured."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from intaglio.boxes.postprocess import PostProcess
from intaglio.data.batches import BATCH_SIZE, Data
from intaglio.data.held import HeldImages, Share, hold_images
from intaglio.doctor.finding import Diagnosis, Finding, InputChange, Treatment
from intaglio.doctor.preprocessing import changed
from intaglio.errors import RequestError
from intaglio.host.progress import Progress, Silent
from intaglio.ir.graph import Graph
from intaglio.job.of_graph import compress_graph
from intaglio.recipe.options import Options, Provenance
from intaglio.recipe.recipe import Recipe
from intaglio.run.float import run_float
from intaglio.run.twin import Twin
from intaglio.tasks.detect.detect import Detect
from intaglio.tasks.evaluate import evaluate, listed
from intaglio.tasks.task import Task, labelled_task_for, output_shapes

TRIALS = Share(tuning=256, judged=0.2, judging=64)
"""Images held for trials."""

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
        own: The task that the network brings; None: its outputs tell.
    """

    captured: Graph
    held: HeldImages
    evaluate: LabelledBatches | None
    target: str
    scheme: str
    seed: int = 0
    own: Task | None = None
    _scores: dict[Treatment, float] = field(default_factory=dict, repr=False)

    @functools.cached_property
    def task(self) -> Task:
        """What the network is for."""
        return self.own or labelled_task_for(output_shapes(self.captured))

    def score(self, treatment: Treatment) -> float:
        """Return the task's figure of the integer network, else its agreement; measured once.

        Percent; agreement is that with the float network, where there are no labels.

        Raises:
            RequestError: If the target refuses what the treatment makes, or no task with labels
                fits the network.
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
            scheme=self.scheme,
            seed=self.seed,
            keep_float=tuple(treatment.keep_float),
            provenance=Provenance(postprocess=self._post),
        )
        images = _as_trained(self.held.tuning, treatment.images)
        result = compress_graph(
            self.captured, data=images, target=self.target, recipe=recipe, options=options
        )
        change = treatment.images
        labelled = self._labelled(change)
        if labelled is None:
            return self._agreement(result.twin, change)
        return next(iter(evaluate(result.twin, labelled, self.task).values()))

    @property
    def _post(self) -> PostProcess | None:
        """How boxes come of the outputs: what is treated is split as the diagnosis saw it."""
        return self.own.post if isinstance(self.own, Detect) else None

    def _labelled(self, change: InputChange | None) -> Iterator[tuple[Tensor, Tensor]] | None:
        """Return the labelled images that count; None where there are none."""
        if self.evaluate is not None:
            return ((_as_trained(images, change), labels) for images, labels in self.evaluate())
        if self.held.labels is None or not len(self.held.judged):
            return None
        parts = torch.split(self.held.judged, BATCH_SIZE), torch.split(self.held.labels, BATCH_SIZE)
        pairs = zip(*parts, strict=True)
        return ((_as_trained(images, change), labels) for images, labels in pairs)

    def _agreement(self, twin: Twin, change: InputChange | None) -> float:
        """Return percent of the images for which float and integer network say the same."""
        beside = self.task.beside(self.captured.output_titles, is_told=False)
        judged = self.held.judged if len(self.held.judged) else self.held.tuning
        for images in torch.split(judged, BATCH_SIZE):
            batch = _as_trained(images, change)
            beside.add(run_float(self.captured, batch), listed(twin(batch)))
        percent = beside.agreement().percent
        if percent is None:
            raise RequestError(
                f"of '{self.task.name}' it cannot be said whether two networks say the same: give"
                " labelled images with --eval"
            )
        return percent


def hold_for_trials(data: Data, captured: Graph, seed: int) -> HeldImages:
    """Return the first images of `data`, a fifth of them apart."""
    shape = captured[captured.inputs[0]].shape[1:]
    return hold_images(data, shape, TRIALS, seed=seed)


def apply_remedies(
    diagnosis: Diagnosis, trial: Trial, progress: Progress | None = None
) -> Diagnosis:
    """Return the diagnosis with the points that each remedy regains, against plain quantization.

    A remedy acts on the whole network: findings with the same remedy have the same points. Points
    are percents of the task's figure, or of agreement where there are no labels. What cannot be
    tried (more images, a remedy that the target refuses) has none; where it was refused the remedy
    says so. Where images are changed and there are no labels, agreement says nothing: there are
    none either.
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
