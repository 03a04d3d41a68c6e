"""What a user may choose when compressing a network, and where things came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from intaglio.data.preprocess import Preprocess
from intaglio.data.truth import Category
from intaglio.host.progress import Progress, Silent
from intaglio.targets.ending import Ending
from intaglio.tasks.crf.parameters import Crf
from intaglio.tasks.own import own_task
from intaglio.tasks.task import Task


@dataclass(frozen=True)
class Provenance:
    """Where the network and the images came from; written into the report and the file.

    Attributes:
        model: As the user named it.
        data: Folder or manifest of the calibration images; "" for tensors given in Python.
        images: How many images the data holds, for progress; None where unknown.
        offered: How many there were before they were cut to what can be held; None where unknown.
        preprocess: What is done to every image before the network; None where nothing is known.
        labels: Names of the classes, in order; () where unknown.
        skipped: Names of unreadable images passed over on request; filled while they are read.
        postprocess: How boxes, or classes of pixels, come of the outputs; None of any other
            network.
        categories: Of the boxes or masks that it is evaluated on; () where labels have its classes.
        crf: What refines the maps of a segmenter where it is evaluated; None: nothing.
    """

    model: str = "model"
    data: str = ""
    images: int | None = None
    offered: int | None = None
    preprocess: Preprocess | None = None
    labels: tuple[str, ...] = ()
    skipped: list[str] = field(default_factory=list)
    postprocess: Ending | None = None
    categories: tuple[Category, ...] = ()
    crf: Crf | None = None

    @property
    def task(self) -> Task | None:
        """The task that the network brings; None where it brings none."""
        return own_task(self.postprocess, self.categories, crf=self.crf)


@dataclass(frozen=True)
class Options:
    """Settings of `compress`. None is: what the recipe says, else the default named here.

    Attributes:
        scheme: "w8a8" (weights per channel; the default), "w4a8", "w2a8" or "mixed", each with
            "-per-tensor" behind it where a weight is to have one scale; or one that no file holds
            and the twin alone runs: "w4a4", "w3a3", ...; or "fp16": float16 weights and float32
            arithmetic, without calibration.
        calibrator: Name of the calibrator of activations; default "minmax".
        io: "float" (the default): the file takes and gives float32; "int8": integers;
            "uint8": the same integers, each 128 higher.
        postprocess: Where boxes, or classes of pixels, come of the outputs: "beside" the file, in
            what runs it (the default), or "in-file": it ends in them.
        seed: Of every random choice; default 0.
        keep_float: Layers that stay float32, as the user's module names them; a block's name means
            all layers in it. Default: none. With "fp16" their weights are not rounded.
        task: What the network is for, a name of `TASKS`. Default: what its outputs tell.
        max_drop: Points of the task's metric that may be lost; default 1.0.
        min_sqnr: SQNR in dB that outputs without a metric of their own must have; default 25.
        minutes: What a search may take; default 10.
        allow_float: Whether layers without an integer form, and the worst ones in a search, may
            stay float32; default False. False overrides a recipe, None leaves it to the recipe.
        out: Where the result is going to be saved, of a run without images (`data=None`): beside it
            is kept what `resume` goes on from, where images are made or a network learns from them.
            Saving the result there is left to the caller, and ends the keeping.
        resume: Whether to go on with such a run that was killed.
        device: Where the float network runs while calibrating ("cpu", "cuda").
        provenance: Where things came from.
        progress: Told how far the work is.
    """

    scheme: str | None = None
    calibrator: str | None = None
    io: str | None = None
    postprocess: str | None = None
    seed: int | None = None
    keep_float: tuple[str, ...] = ()
    task: str | None = None
    max_drop: float | None = None
    min_sqnr: float | None = None
    minutes: float | None = None
    allow_float: bool | None = None
    out: str | Path | None = None
    resume: bool = False
    device: str = "cpu"
    provenance: Provenance = field(default_factory=Provenance)
    progress: Progress = field(default_factory=Silent)
