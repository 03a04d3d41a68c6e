"""Detectors at four bits, weights and values: without images, and fine-tuned on real ones.

coco128 split in two by seed 0: one half calibrates or teaches, the other one judges. Networks that
were made without images are judged on all, and `judged half` is theirs on the half of the others.

    plain, accurate  after training, the recipes
    datafree         the recipe for no images, with fewer images made and shorter steps (`OF_MADE`)
    zaq              a generator against the network (Liu et al. 2021), a short game (`GAME`)
    fine-tuned       trained on the boxes of the other half, from `accurate`
    taught           the same, taught by the float network: nobody looks at the boxes

The paper's SSD has a MobileNetV2 and is judged on VOC2012, with a quantizer that leaves sums and
outputs in float: AP50 64.44 of ZAQ, 62.72 of ZeroQ, 64.28 fine-tuned on real images (its table).
Ours are other networks, 64 images and minutes of one core: what can be compared are our rows with
each other. `w4a4-academic` is the paper's kind of scheme; `w4a4` has a grid on every value. No
runtime holds either: the twin alone computes them, and nothing is checked against a file.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import torch

import intaglio
from benchmarks.detection.integers import judged, row_of
from benchmarks.detection.subjects import PICTURES, SUBJECTS, Scene, Subject, scene
from benchmarks.halves import Half, compressed
from benchmarks.rows import LETTERS, Job, Row, Wish
from intaglio.cost.macs import count_macs
from intaglio.data.image_samples import ImageSamples
from intaglio.data.images import open_dataset
from intaglio.data.part import SamplesPart
from intaglio.job.result import Result
from intaglio.job.training import TrainRun
from intaglio.methods.learn.options import TrainOptions
from intaglio.numerics.scheme import parse_scheme
from intaglio.recipe.options import Options, Provenance
from intaglio.recipe.recipe import DATA_FREE, Recipe, find_recipe
from intaglio.recipe.without_images import fitted, taught_on
from intaglio.tasks.detect.coco import coco_figures

DEPLOYED, ACADEMIC = "w4a4", "w4a4-academic"
ZAQ = "zaq"
BATCH = 8
GAME = {"batch": BATCH, "steps": 60, "warmup": 20}
"""Of ZAQ, where the recipe has 32, 200 and 100: at 300 x 300 pixels the generator costs as much as
the detector."""
STEPS_OF_MADE = 80
OF_MADE = {"images": 32, "batch": 32}
"""Images that the recipe for no images makes here, of 256: they cost most of its time."""
REAL = TrainOptions(
    epochs=10,
    batch=BATCH,
    lr=2e-5,
    clip=1.0,
    optimizer="adamw",
    warmup=0.08,
    freeze=0.0,
    flip=True,
    held_out=0,
    evaluations=0,
)
"""Of 64 images: 80 steps, small ones. Those of 1e-4 undo what rounding had found: so taught, the
SSD ended farther from its float network than it began, on the very images that taught it."""
TAUGHT = REAL.model_copy(update={"distill": 1.0})
TRAINED = {"fine-tuned": REAL, "taught": TAUGHT}
AFTER_TRAINING = ("plain", "accurate")
WAYS = (*AFTER_TRAINING, *TRAINED, ZAQ, DATA_FREE)
WISHES = (*itertools.product((ACADEMIC, DEPLOYED), WAYS),)
"""Scheme and what is done."""
EXPECTED = ("output ", "and ", "the wish ")
"""What every row is warned of: figures say it better."""


def jobs(wish: Wish) -> list[Job]:
    """Return the rows, those of a scheme together."""
    return [
        Job(f"{subject.name} {scheme} {way}", _work(subject, scheme, way, wish))
        for (scheme, way), subject in itertools.product(WISHES, SUBJECTS)
    ]


def _work(subject: Subject, scheme: str, way: str, wish: Wish) -> Callable[[], list[Row]]:
    def work() -> list[Row]:
        """Return the row."""
        found = scene(subject, wish.data, wish.images)
        order = torch.randperm(len(found.images), generator=torch.Generator().manual_seed(0))
        own, other = order.chunk(2)
        if way in (ZAQ, DATA_FREE):
            recipe = _recipe(found, scheme, way)
            half = judged(found, compressed(found, scheme, recipe, None), order.sort().values)
            return [{**_told(half, way), **_on_half(half, other)}]
        if way in TRAINED:
            options = TRAINED[way]
            row = _told(judged(found, _trained(found, wish, scheme, options, own), other), way)
            return [{**row, "epochs": options.epochs, "lr": options.lr}]
        half = judged(found, compressed(found, scheme, way, found.images[own]), other)
        return [_told(half, way)]

    return work


def _recipe(found: Scene, scheme: str, name: str) -> Recipe:
    """Return a recipe for no images, in batches that suit large images and few minutes."""
    recipe = find_recipe(name)
    if name == ZAQ:
        steps = [{**step, **GAME} if step["name"] == "train-zaq" else step for step in recipe.steps]
        return recipe.model_copy(update={"steps": steps})
    whole = fitted(
        recipe,
        parse_scheme(scheme),
        macs=sum(count_macs(found.graph).values()),
        has_norms=any(node.op == "batch_norm" for node in found.graph),
    )
    if whole.synthetic is None:
        return whole
    epochs = STEPS_OF_MADE * BATCH / OF_MADE["images"]
    options = taught_on(OF_MADE["images"], batch=BATCH, epochs=epochs)
    steps = [
        {**step, "options": options} if step["name"] == "train" else step for step in whole.steps
    ]
    synthetic = whole.synthetic.model_copy(update=OF_MADE)
    return whole.model_copy(update={"synthetic": synthetic, "steps": steps})


def _trained(
    found: Scene, wish: Wish, scheme: str, options: TrainOptions, own: torch.Tensor
) -> tuple[Result, float]:
    """Return the network trained on some of the pictures, and its seconds."""
    source = found.source
    samples = ImageSamples(
        open_dataset(wish.data / PICTURES), source.preprocess, source.input_shape
    )
    where = Provenance(categories=found.categories)
    began = time.perf_counter()
    made = intaglio.train(
        source,
        data=SamplesPart(samples, tuple(own.tolist())),
        scheme=scheme,
        options=options,
        run=TrainRun(choices=Options(provenance=where)),
    )
    assert made.result is not None, "an integer scheme has one"
    return made.result, time.perf_counter() - began


def _told(half: Half, way: str) -> Row:
    """Return the figures of a run, and what it says of itself."""
    row = {**row_of([half]), "way": way}
    told = [text for text in half.result.report.warnings if not text.startswith(EXPECTED)]
    return {**row, "note": "; ".join(told)[:LETTERS]} if told else row


def _on_half(half: Half, chosen: torch.Tensor) -> Row:
    """Return the figures of the two networks on some of the pictures that judged them."""
    row: Row = {}
    for title, meter in zip(("float ", ""), half.side.meters, strict=True):
        found, truths = meter.found, meter.truths  # type: ignore[attr-defined]
        numbers = chosen.tolist()
        figures = coco_figures([found[i] for i in numbers], [truths[i] for i in numbers])
        for name in ("ap", "ap50"):
            row[f"judged half: {title}{name}"] = round(figures[name], 2)
    return row
