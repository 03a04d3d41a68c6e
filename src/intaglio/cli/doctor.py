"""`intaglio doctor`: what will cost accuracy, in which layer, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from intaglio.cli.images import Images
from intaglio.cli.labelled import has_masks, labelled_for
from intaglio.cli.options import LOOKED_AT, DoctorRequest
from intaglio.cli.progress import shown_progress
from intaglio.cli.request import NO_DATA
from intaglio.cli.screen import print_json, print_line
from intaglio.cli.source import open_named, tell_notes
from intaglio.data.dataset import Dataset
from intaglio.data.images import draw, open_dataset
from intaglio.doctor import Diagnosis, Finding, diagnose
from intaglio.errors import RequestError
from intaglio.host.progress import Progress, told
from intaglio.ir.graph import Graph
from intaglio.job.compress import with_postprocess
from intaglio.job.maps import with_maps
from intaglio.job.remedies import Trial, apply_remedies, hold_for_trials
from intaglio.read.reader import Source
from intaglio.recipe.settings import DEFAULT_SEED
from intaglio.runtimes import DEFAULT_TARGET, TARGETS
from intaglio.targets.target import Target, integer_scheme
from intaglio.tasks.own import own_task
from intaglio.tasks.task import TASKS, Shapes, Task, labelled_task_for, output_shapes, task_for


def run(request: DoctorRequest) -> None:
    """Diagnose the network, and show what was found.

    Raises:
        RequestError: If the network, a name or the data cannot be used.
    """
    job = _opened(request)
    job.target.quiet()
    with shown_progress(as_json=request.as_json) as progress:
        network = open_named(request, job.seed)
        if request.weights:
            tell_notes(network)
        found = job.labelled_for(network).diagnosis(network, progress)
    if request.as_json:
        print_json(found.to_dict())
    else:
        _show(found, job)


@dataclass(frozen=True)
class _Job:
    """Everything but the network: names looked up, data sets opened."""

    target: Target
    scheme: str
    calibration: Dataset | None
    evaluation: Dataset | None
    apply: bool
    task: str | None
    skip_bad: bool
    seed: int

    def labelled_for(self, network: Source) -> _Job:
        """Return the job with the labels that the network's task has."""
        sets = [
            None if one is None else labelled_for(one, network.postprocess, self.task)
            for one in (self.calibration, self.evaluation)
        ]
        return replace(self, calibration=sets[0], evaluation=sets[1])

    def images(self, dataset: Dataset, network: Source) -> Images:
        """Return a data set as the network takes it."""
        return Images(dataset, network.preprocess, network.input_shape, self.skip_bad)

    def diagnosis(self, network: Source, progress: Progress) -> Diagnosis:
        """Return what ails the network, and what remedies regain where that was asked for."""
        if self.calibration is not None:
            self.images(self.calibration, network).try_first()
        progress.begin("capture", None)
        masked = has_masks(self.evaluation or (self.calibration if self.apply else None))
        captured = network.capture()
        network = with_postprocess(network, captured)
        network, captured = with_maps(network, captured, task=self.task, is_masked=masked)
        progress.end()
        own = self._stated_task(network, output_shapes(captured))
        self._refuse_misfits(output_shapes(captured), own)
        batches = None
        if self.calibration is not None:
            images = self.images(self.calibration, network)
            batches = told(images.alone(), progress.advance)
        progress.begin("measure", len(self.calibration) if self.calibration else None)
        found = diagnose(
            captured,
            batches,
            target=self.target,
            scheme=self.scheme,
            preprocess=network.preprocess,
            postprocess=network.postprocess,
            seed=self.seed,
        )
        progress.end()
        if not self.apply:
            return found
        return self._applied(found, captured, network, progress=progress, own=own)

    def _stated_task(self, network: Source, outputs: Shapes) -> Task | None:
        """Return the task that the user says, else the network brings; None: its outputs tell.

        Raises:
            DataError: If that task is none for its outputs.
        """
        judged = self.evaluation or self.calibration
        own = own_task(network.postprocess, judged.categories if judged else ())
        return own if self.task is None else task_for(outputs, name=self.task, own=own)

    def _refuse_misfits(self, outputs: Shapes, stated: Task | None) -> None:
        """Raise RequestError where no task fits the network, or a label is none of its own."""
        if stated is not None and not stated.has_metric:
            if self.apply:
                raise RequestError(
                    f"--apply counts the points that a remedy regains, and the task"
                    f" '{stated.name}' has none: leave --apply out"
                )
            return
        judged = self.evaluation
        if judged is None and self.apply and self.calibration and self.calibration.labelled:
            judged = self.calibration
        if judged is not None:
            (stated or labelled_task_for(outputs)).labels(judged, outputs)
        elif self.apply and stated is None:
            labelled_task_for(outputs)

    def _applied(
        self,
        found: Diagnosis,
        captured: Graph,
        network: Source,
        *,
        progress: Progress,
        own: Task | None,
    ) -> Diagnosis:
        assert self.calibration is not None, "--apply without --data is refused"
        calibration = self.images(self.calibration, network)
        evaluation = self.images(self.evaluation, network) if self.evaluation else None
        data = calibration.labelled() if self.calibration.labelled else calibration.alone()
        held = hold_for_trials(data, captured, self.seed)
        labelled = evaluation.labelled if evaluation else None
        trial = Trial(captured, held, labelled, self.target.name, self.scheme, self.seed, own)
        return apply_remedies(found, trial, progress)


def _opened(request: DoctorRequest) -> _Job:
    """Return the job of a request; no image is opened yet."""
    target = TARGETS[request.target or DEFAULT_TARGET]
    seed = DEFAULT_SEED if request.seed is None else request.seed
    if request.task is not None:
        TASKS[request.task]  # raises what is to be told, before anything is opened
    return _Job(
        target=target,
        scheme=integer_scheme(request.scheme or None, target).name,
        calibration=_calibration(request, seed),
        evaluation=(
            open_dataset(request.evaluation, need_labels=True) if request.evaluation else None
        ),
        apply=request.apply,
        task=request.task,
        skip_bad=request.skip_bad_images,
        seed=seed,
    )


def _calibration(request: DoctorRequest, seed: int) -> Dataset | None:
    """Return the images of --data; None where there are to be none."""
    if request.data is None or request.data == NO_DATA:
        if request.apply:
            raise RequestError(
                "--apply tries remedies on images and there are none: give --data DIR, or leave"
                " --apply out"
            )
        return None
    return draw(open_dataset(request.data), request.limit or LOOKED_AT, seed)


def _show(found: Diagnosis, job: _Job) -> None:
    count = 0 if job.calibration is None else len(job.calibration)
    print_line(f"{job.scheme} for {job.target.name}, {count} images looked at")
    if found.healthy:
        print_line(
            "Healthy: none of the known causes found."
            if count
            else "Nothing found in weights and batch norms; with --data DIR values are judged too."
        )
    for number, finding in enumerate(found.findings, 1):
        _show_finding(number, finding)
    if job.evaluation is not None and not job.apply:
        print_line("No remedy was tried, so --eval was not read: --apply tries them.")


def _show_finding(number: int, finding: Finding) -> None:
    print_line("")
    print_line(f"{number}. {finding.cause} in '{finding.layer}'")
    plain = finding.to_dict()["evidence"]
    print_line(f"   {', '.join(f'{name} {value:g}' for name, value in plain.items())}")
    print_line(f"   Remedy: {finding.remedy}")
    if finding.points is not None:
        print_line(f"   Tried: {finding.points:+.2f} points")
