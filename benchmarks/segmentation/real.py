"""Float figures of the pack's segmenters on coco128, beside those that the pack's README states.

The last rows are the reference .tflite files of DeepLab, run by LiteRT as they are: the float one
at 257 pixels, and one trained in 8 bits at 513.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.rows import Job, Row, Wish
from benchmarks.segmentation.subjects import DEEPLAB, PICTURES, SUBJECTS, Subject, scene
from intaglio.data.coco_masks import open_coco_masks
from intaglio.data.images import batches
from intaglio.maps.postprocess import Rule
from intaglio.run.float import run_float
from intaglio.runtimes.litert.interpreter.program import open_plain, run_file
from intaglio.tasks.evaluate import evaluate
from intaglio.tasks.segment.meter import MeanIou
from intaglio.tasks.segment.segment import Segment

STATED = {"deeplabv3-dm05": {"stated miou": 34.4}, "selfie": {"stated iou": 65.1}}
REFERENCES = {
    "deeplabv3-dm05 reference float .tflite": (
        "tflite/deeplabv3_mnv2_dm05_257_float.tflite",
        257,
        34.4,
    ),
    "deeplabv3-dm05 reference uint8 .tflite at 513": (
        "tflite/deeplabv3_mnv2_dm05_513_qat_uint8.tflite",
        513,
        47.6,
    ),
}
BATCH = 8


def jobs(wish: Wish) -> list[Job]:
    """Return the rows."""
    rows = [Job(subject.name, _float(subject, wish)) for subject in SUBJECTS]
    return [*rows, *(Job(name, _reference(name, wish)) for name in REFERENCES)]


def _float(subject: Subject, wish: Wish) -> Callable[[], list[Row]]:
    def work() -> list[Row]:
        """Return the row."""
        found = scene(subject, wish.data, wish.images)
        meter = found.task.meter([])
        for images, masks in found.batches(torch.arange(len(found.images)), BATCH):
            meter.add([run_float(found.graph, images)[0]], masks)
        row = {**rounded(meter.figures()), "n": len(found.images), **STATED[subject.name]}
        return [{**row, "iou": round(class_iou(meter), 2)} if subject.only else row]

    return work


def class_iou(meter: MeanIou) -> float:
    """Return the IoU of class 1, over all pictures, in percent."""
    same, true, found = sum(meter.tally.counts)[1].tolist()  # type: ignore[index]
    return 100.0 * float(same) / float(max(true + found - same, 1))


def _reference(name: str, wish: Wish) -> Callable[[], list[Row]]:
    path, side, stated = REFERENCES[name]

    def work() -> list[Row]:
        """Return the row of a file of the pack."""
        place = scene(DEEPLAB, wish.data, 1)
        post = place.task.post
        assert post is not None
        dataset = open_coco_masks(wish.data / PICTURES, post.names)
        interpreter = open_plain((wish.data / path).read_bytes(), is_reference=False)
        is_float = side == 257
        rule: Rule = "highest" if is_float else "index"
        task = Segment(replace(post, rule=rule), dataset.categories)

        def network(images: Tensor) -> list[Tensor]:
            pixels = images if is_float else ((images + 1.0) * 127.5).round().to(torch.uint8)
            made = [
                run_file(interpreter, image.permute(1, 2, 0)[None].numpy())[0] for image in pixels
            ]
            outputs = torch.stack([torch.from_numpy(one[0]) for one in made])
            return [outputs.permute(0, 3, 1, 2) if is_float else outputs]  # of scores, of classes

        shape = (1, 3, side, side)
        with batches(dataset, place.source.preprocess, shape, batch_size=BATCH) as stream:
            figures = evaluate(network, ((one.images, one.labels) for one in stream), task)
        return [{**rounded(figures), "stated miou": stated}]

    return work


def rounded(figures: dict[str, float]) -> Row:
    """Return figures with two decimals."""
    return {name: round(value, 2) for name, value in figures.items()}
