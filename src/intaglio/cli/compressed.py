"""What `compress` does once its network is captured: as a whole, or cut into cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from intaglio.cli.images import Images
from intaglio.cli.labelled import labelled_for
from intaglio.cli.options import CompressRequest
from intaglio.cli.source import open_named
from intaglio.data.dataset import Dataset
from intaglio.data.labels import names_of
from intaglio.errors import RequestError
from intaglio.ir.graph import Graph
from intaglio.job.of_graph import compress_graph
from intaglio.job.quantize import most_used
from intaglio.job.recorder import Recorder
from intaglio.job.result import Result
from intaglio.job.whole import WholeWish, compress_whole
from intaglio.read.module.core_whole import Whole
from intaglio.read.reader import Source
from intaglio.recipe.options import Options, Provenance
from intaglio.recipe.settings import Settings
from intaglio.tasks.crf.parameters import DEEPLAB_VOC
from intaglio.tasks.task import output_shapes, task_for

MOST_OF_WHOLE = 256
"""Pictures that a whole detector is calibrated with, at most: each runs the user's Python too."""


@dataclass(frozen=True)
class Job:
    """Everything but the network: wishes settled, data sets opened."""

    request: CompressRequest
    wishes: Options
    settled: Settings
    calibration: Dataset | None
    labels: tuple[str, ...]
    evaluation: Dataset | None

    def network(self) -> Source:
        """Return the network that was named, its weights loaded."""
        return open_named(self.request, self.settled.seed)

    def labelled_for(self, network: Source) -> Job:
        """Return the job with the labels that the network's task has."""
        task, post, crf = self.settled.task, network.postprocess, self.request.crf
        if crf and self.evaluation is None:
            raise RequestError("--crf refines maps where they are judged: give --eval, or no --crf")
        learned, judged = self.calibration, self.evaluation
        learned = learned and labelled_for(learned, post, task)
        judged = judged and labelled_for(judged, post, task, crf=crf)
        named = learned or (judged if self.settled.scheme.is_half else None)
        labels = names_of(named) if named and named.categories else self.labels
        return replace(self, calibration=learned, evaluation=judged, labels=labels)

    def images(self, dataset: Dataset, network: Source) -> Images:
        """Return a data set as the network takes it."""
        skip_bad = self.request.skip_bad_images
        return Images(dataset, network.preprocess, network.input_shape, skip_bad)


@dataclass(frozen=True)
class Work:
    """A job with its network and its images."""

    job: Job
    network: Source
    calibration: Images | None
    evaluation: Images | None
    recorder: Recorder

    def provenance(self, used: Images | None) -> Provenance:
        """Return where things come from; `used` are the images that are calibrated with."""
        job, network = self.job, self.network
        where = Provenance(
            model=network.name,
            preprocess=network.preprocess,
            labels=job.labels,
            postprocess=network.postprocess,
            categories=job.evaluation.categories if job.evaluation else (),
            crf=DEEPLAB_VOC if job.request.crf else None,
        )
        if self.calibration is None or used is None:
            return where
        return replace(
            where,
            data=str(self.calibration.dataset.path),
            images=len(used),
            offered=len(self.calibration),
            skipped=used.skipped,
        )

    def drawn(self, most: int | None) -> Images | None:
        """Return at most so many of the images to calibrate with; None where there are none."""
        return self.calibration and self.calibration.drawn(most, self.job.settled.seed)


def of_graph(work: Work, graph: Graph) -> Result:
    """Return the result of a network that was captured as a whole."""
    settled, wishes, judged = work.job.settled, work.job.wishes, None
    used = work.drawn(most_used(settled, graph))
    provenance = work.provenance(used)
    if work.evaluation is not None:  # what is wrong with the labels is told before the work
        task = task_for(output_shapes(graph), name=settled.task, own=provenance.task)
        judged = work.evaluation.for_task(task, output_shapes(graph))
        wishes = replace(wishes, task=task.name)
    return compress_graph(
        graph,
        data=used.batches() if used else None,
        target=settled.target.name,
        evaluate=judged,
        recipe=settled.recipe,
        options=replace(wishes, provenance=provenance, progress=work.recorder.progress),
        steps=work.recorder.steps,
    )


def of_whole(work: Work, whole: Whole) -> Result:
    """Return the result of a detector that was cut into cores.

    Raises:
        RequestError: If it is to be evaluated, and its classes cannot be told from the labels'.
    """
    settled = work.job.settled
    used = work.drawn(MOST_OF_WHOLE)
    wish = WholeWish(
        data=Again(used.alone) if used else None,
        evaluate=work.evaluation.labelled() if work.evaluation else None,
        target=settled.target.name,
        recipe=settled.recipe,
        options=replace(
            work.job.wishes,
            provenance=work.provenance(used),
            progress=work.recorder.progress,
        ),
    )
    return compress_whole(whole, work.network, wish, work.recorder)


@dataclass(frozen=True)
class Again:
    """What can be gone through again and again, made anew each time."""

    make: Callable[[], Iterator[Any]]

    def __iter__(self) -> Iterator[Any]:
        return self.make()
