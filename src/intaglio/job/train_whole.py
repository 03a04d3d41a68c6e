"""Training a detector of two stages that its own Python runs, in float, from end to end."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from intaglio.boxes.postprocess import Grid, TwoStage
from intaglio.data.samples import Samples
from intaglio.errors import DataError, RequestError
from intaglio.job.cut import in_order
from intaglio.job.teach import Session, float_recipe, kept, record_of, remarks, told
from intaglio.job.trained import TrainResult
from intaglio.job.training import TrainWish, by_user_names, fingerprint_of
from intaglio.methods.learn.feed import check_changes
from intaglio.methods.learn.lesson import Learned
from intaglio.methods.train.two_stage import Course, check_stages, train_stages
from intaglio.read.module.core_inputs import core_inputs
from intaglio.read.module.core_whole import Whole
from intaglio.tasks.detect.classes import class_map
from intaglio.tasks.detect.detect import DETECT, Detect
from intaglio.tasks.detect.losses.two_stage import Stages, stages_of
from intaglio.tasks.detect.whole import Asked, compare_wholes
from intaglio.zoo.faster_rcnn import FasterRcnn

LOOKED_AT = 64
"""Images of the data whose boxes are looked at before any work."""


@dataclass(frozen=True, eq=False)
class _Pupil:
    """A copy of the user's detector, which learns.

    Attributes:
        module: All of it.
        stages: The two parts of it that have weights.
    """

    module: nn.Module
    stages: Stages


def train_whole(session: Session, wish: TrainWish, data: Samples, evaluate: Any) -> TrainResult:
    """Return a detector of two stages after training in float.

    Args:
        session: Of a detector that was cut into cores; it is not changed.
        wish: What is asked for, with what network and data bring.
        data: Images with their boxes.
        evaluate: Pairs of images and their boxes, as `compress` takes them of such a detector.

    Raises:
        RequestError: If it is no Faster R-CNN, is to be trained in integers or by several
            processes; else as `train_stages`.
    """
    pupil = _pupil(session)
    _refuse(session, wish)
    head = pupil.stages.post.head
    task = Detect(head, wish.choices.provenance.categories or getattr(data, "categories", ()))
    asked = Asked(class_map(head, task.categories), task.kind, session.recorder.progress.advance)
    course, learned = _taught(session, wish, pupil, Course(data, task))
    start, final = dict[str, Any](), dict[str, Any]()
    if evaluate is not None:
        found = session.recorder.step(
            "evaluate",
            lambda: compare_wholes(_whole(session).module, pupil.module, evaluate, asked),
            changed=lambda made: None,
        )
        n = {"n": found.judgement.n}
        start, final = {**found.float_figures, **n}, {**found.figures, **n}
    wish = replace(wish, settings=replace(wish.settings, task=task.name))
    record = record_of(wish, course, learned, (start, final))
    notes = [*session.source.notes, *_whole(session).left_out]
    record["warnings"] = [*notes, *remarks(learned, data)]
    weights = by_user_names(pupil.module.state_dict(), session.source.tensors)
    return TrainResult(None, weights, record, float_recipe(wish, learned), course.place)


def _taught(
    session: Session, wish: TrainWish, pupil: _Pupil, course: Course
) -> tuple[Course, Learned]:
    """Train a pupil; return the course as it was kept, and what came of it."""
    with kept(session) as (folder, resume):
        course = replace(
            course,
            place=folder,
            resume=resume,
            about={**wish.about(), "weights": fingerprint_of(pupil.module.state_dict())},
            processes=session.processes,
            progress=session.recorder.progress,
        )
        _check(pupil.stages, course, wish)
        learned = told(
            session.recorder,
            lambda: train_stages(pupil.module, pupil.stages, course, wish.options),
        )
    return course, learned


def _whole(session: Session) -> Whole:
    assert isinstance(session.taken, Whole), "a graph is trained by train_graph"
    return session.taken


def _refuse(session: Session, wish: TrainWish) -> None:
    """Raise RequestError where more is asked for than can be done."""
    name = session.source.name
    if not wish.is_float:
        raise RequestError(
            f"'{name}' runs in Python around its networks, and is trained in float alone, not with"
            f" scheme '{wish.scheme_name}': train with --scheme float (scheme=\"float\"), then"
            " compress what comes of it, intaglio compress MODEL --weights OUT/weights.safetensors"
        )
    if session.processes.count > 1:
        raise RequestError(
            f"'{name}' runs in Python around its networks, and is trained by one process, not by"
            f" {session.processes.count}: run intaglio train without torchrun"
        )
    if wish.settings.task not in (None, DETECT.name):
        raise RequestError(
            f"'{name}' gives boxes, and the task is to be '{wish.settings.task}': leave --task out"
        )


def _pupil(session: Session) -> _Pupil:
    """Return a copy of the detector, and its stages.

    Raises:
        RequestError: If it is not known to have two stages, or changes the size of images.
    """
    given = _whole(session)
    height, width = session.source.input_shape[2:]
    if isinstance(given.module, FasterRcnn):
        module = copy.deepcopy(given.module)
        return _Pupil(module, stages_of(module, (height, width)))
    post = None if session.source.recognise is None else session.source.recognise(given)
    if not isinstance(post, TwoStage) or not _is_laid_out(post, given):
        raise RequestError(
            f"'{session.source.name}' runs in Python around its networks, and of such detectors"
            " Faster R-CNN alone is trained: this one is not known to be one by what it makes of"
            " the first image. Train it in your own loop and compress what comes of it, or give a"
            " network whose outputs are tensors"
        )
    if post.head.input_size != (height, width):
        raise RequestError(
            f"'{session.source.name}' makes images of {height} x {width} into"
            f" {post.head.input_size[0]} x {post.head.input_size[1]} before its first layer, and"
            " boxes would have to follow: give images of that size, or set its own"
        )
    whole = copy.deepcopy(given)
    first, second = in_order(whole)
    return _Pupil(whole.module, Stages(first.module, second.module, post, _seen(whole)))


def _is_laid_out(post: TwoStage, whole: Whole) -> bool:
    """Whether the loss can read a detector: two cores, anchors on grids, channels first."""
    is_grid = all(isinstance(level.places, Grid) for level in post.regions.levels)
    return is_grid and post.pooling.layout == "map" and len(whole.cores) == 2


def _seen(whole: Whole) -> Callable[[Tensor], Tensor]:
    """Return what makes of images what the detector's first core is given."""
    core = in_order(whole)[0]

    def seen(images: Tensor) -> Tensor:
        """Return the first core's input [N, C, H, W]."""
        given: Any = images.clone()  # some detectors change their images
        if not isinstance(whole.example, Tensor):
            given = list(given)
        (entry,) = core_inputs(whole, core, [given])
        if len(entry) != len(images):
            raise DataError(
                f"core '{core.name}' is given {len(entry)} of {len(images)} images at once: a"
                " detector that takes its images apart is not trained"
            )
        return entry.to(images.device)

    return seen


def _check(stages: Stages, course: Course, wish: TrainWish) -> None:
    """Make sure, before any work, that the first images have boxes that can be learned.

    Raises:
        DataError: If they have none, or of classes that the detector has not.
        RequestError: If the options do not go with boxes.
    """
    taken = course.samples.take(range(min(LOOKED_AT, len(course.samples))))
    if not len(taken.indices):
        return
    if taken.labels is None:
        raise DataError(
            f"{course.samples.name}: there are no boxes to learn from, and a whole detector learns"
            " from nothing else: give some"
        )
    course.task.check([taken.images], taken.labels)
    check_changes(wish.options, taken.labels)
    check_stages(stages, course, wish.options)
