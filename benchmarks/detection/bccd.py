"""Detectors fine-tuned on BCCD: trained on trainval, judged on test, VOC's AP50 by area.

ImageNet backbone of the data pack, 320 x 320 pixels, the last state counts. `integers` are of the
trained network, calibrated with trainval; `w4a4` after training, and trained with the integers in
the network.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

import intaglio
from benchmarks.rows import Job, Row, Wish
from intaglio.data.image_samples import ImageSamples
from intaglio.data.images import open_dataset
from intaglio.data.preprocess import Preprocess
from intaglio.job.result import Result
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.train.two_stage import Course, train_two_stage
from intaglio.recipe.options import Options, Provenance
from intaglio.run.float import run_float
from intaglio.tasks.detect.classes import class_map
from intaglio.tasks.detect.detect import Detect
from intaglio.tasks.detect.whole import Asked, compare_wholes
from intaglio.tasks.evaluate import Compared, compare
from intaglio.zoo.bodies import load_backbone
from intaglio.zoo.faster_rcnn import FasterRcnn, fasterrcnn_mobilenet_v2_fpn
from intaglio.zoo.ssdlite import ssdlite_mobilenet_v2

BACKBONE = "weights/mobilenet_v2_1.0_224_tf.safetensors"
LISTS = "bccd/ImageSets/Main"
SIZE = 320
SHAPE = (1, 3, SIZE, SIZE)
PREPARED = Preprocess(mean=(0.5,) * 3, std=(0.5,) * 3, fit="stretch")
CLASSES = 4
SCALES = (0.08, 0.4, 0.55, 0.7, 0.8, 0.9, 1.0)
"""Of SSDLite's boxes, parts of the picture's side: from the sizes of trainval's boxes."""
CALIBRATED, BATCH = 128, 12
SSDLITE, FASTER = "ssdlite-mobilenet-v2", "faster-rcnn-mobilenet-v2-fpn"
FLOAT = TrainOptions(
    epochs=8,
    batch=8,
    lr=1e-3,
    optimizer="adamw",
    flip=True,
    evaluations=0,
    warmup=0.08,
    freeze=0.7,
    held_out=0,
)
TWO_STAGE = FLOAT.model_copy(update={"epochs": 5, "batch": 4, "lr": 3e-4})
AWARE = FLOAT.model_copy(update={"epochs": 4, "lr": 1e-4, "freeze": 0.0})


@dataclass(frozen=True, eq=False)
class Ground:
    """BCCD, prepared.

    Attributes:
        learned, judged: Pictures of trainval and test.
    """

    learned: ImageSamples
    judged: ImageSamples

    def images(self, count: int) -> torch.Tensor:
        """Return pictures to calibrate with, [N, 3, H, W], spread over trainval."""
        spread = torch.linspace(0, len(self.learned) - 1, count).round().long()
        return self.learned.take(spread.unique().tolist()).images

    def batches(self) -> list[tuple[torch.Tensor, list[object]]]:
        """Return the pictures that judge, and their boxes, a batch each."""
        starts = range(0, len(self.judged), BATCH)
        taken = [self.judged.take(range(len(self.judged))[start:][:BATCH]) for start in starts]
        return [(one.images, one.labels) for one in taken]


@functools.cache
def ground(data: Path) -> Ground:
    """Return BCCD."""
    learned, judged = (
        ImageSamples(open_dataset(data / LISTS / f"{name}.txt"), PREPARED, SHAPE)
        for name in ("trainval", "test")
    )
    return Ground(learned, judged)


def jobs(wish: Wish) -> list[Job]:
    """Return the rows; those of trained networks need the ones that train them."""
    return [
        Job(f"{SSDLITE} float", lambda: [_trained_ssdlite(wish)]),
        Job(f"{SSDLITE} w8a8", _compressed(wish, "w8a8", None)),
        Job(f"{SSDLITE} w4a4", _compressed(wish, "w4a4", "accurate")),
        Job(f"{SSDLITE} w4a4 trained", lambda: [_aware(wish, "w4a4")]),
        Job(f"{FASTER} float", lambda: [_trained_faster(wish)]),
        Job(f"{FASTER} w8a8", lambda: [_compressed_faster(wish)]),
    ]


def ssdlite(wish: Wish, weights: Path | None = None) -> nn.Module:
    """Return the one-stage detector, on the pack's backbone or with trained weights."""
    torch.manual_seed(0)
    network = ssdlite_mobilenet_v2(CLASSES, backbone="mobilenet_v2_tf")
    network.boxes = replace(network.boxes, scales=SCALES)
    return _loaded(network, wish, weights)


def faster(wish: Wish, weights: Path | None = None) -> FasterRcnn:
    """Return the two-stage detector."""
    torch.manual_seed(0)
    network = fasterrcnn_mobilenet_v2_fpn(CLASSES, backbone="mobilenet_v2_tf")
    return _loaded(network, wish, weights)  # type: ignore[return-value]


def _loaded(network: nn.Module, wish: Wish, weights: Path | None) -> nn.Module:
    if weights is None:
        load_backbone(network, load_file(wish.data / BACKBONE))
    else:
        intaglio.load_weights(network, weights)
    return network.eval()


def _kept(wish: Wish, name: str) -> Path:
    wish.running.mkdir(parents=True, exist_ok=True)
    return wish.running / f"bccd-{name}.safetensors"


def _task(network: nn.Module, place: Ground) -> Detect:
    post = network.postprocess((SIZE, SIZE))  # type: ignore[operator]
    return Detect(post, place.learned.categories, "voc")


def _trained_ssdlite(wish: Wish) -> Row:
    place, network = ground(wish.data), ssdlite(wish)
    began = time.perf_counter()
    made = intaglio.train(network, data=place.learned, scheme="float", options=FLOAT)
    seconds = time.perf_counter() - began
    save_file(dict(made.weights), _kept(wish, SSDLITE))
    trained = ssdlite(wish, _kept(wish, SSDLITE))
    return {**_of_float(trained, place), "epochs": FLOAT.epochs, "trained_s": round(seconds, 1)}


def _of_float(network: nn.Module, place: Ground) -> Row:
    meter = _task(network, place).meter([])
    for images, truths in place.batches():
        with torch.no_grad():
            meter.add(network(images), truths)
    return {"voc_ap50": round(meter.figures()["voc_ap50"], 2), "n": len(place.judged)}


def _compressed(wish: Wish, scheme: str, recipe: str | None) -> Callable[[], list[Row]]:
    def work() -> list[Row]:
        """Return the row."""
        place, network = ground(wish.data), ssdlite(wish, _kept(wish, SSDLITE))
        began = time.perf_counter()
        result = intaglio.compress(
            network,
            torch.zeros(SHAPE),
            data=place.images(CALIBRATED),
            recipe=recipe,
            options=Options(scheme=scheme, provenance=Provenance(preprocess=PREPARED)),
        )
        seconds = time.perf_counter() - began
        return [{**_beside(network, result, place), "made_in_seconds": round(seconds, 1)}]

    return work


def _aware(wish: Wish, scheme: str) -> Row:
    place, network = ground(wish.data), ssdlite(wish, _kept(wish, SSDLITE))
    began = time.perf_counter()
    made = intaglio.train(network, data=place.learned, scheme=scheme, options=AWARE)
    seconds = time.perf_counter() - began
    assert made.result is not None, "an integer scheme has one"
    row = {"epochs": AWARE.epochs, "lr": AWARE.lr, "trained_s": round(seconds, 1)}
    return {**_beside(network, made.result, place), **row}


def _beside(network: nn.Module, result: Result, place: Ground) -> Row:
    graph = intaglio.capture(network, torch.zeros(SHAPE))
    found = compare(
        lambda images: run_float(graph, images),
        result.twin.outputs,
        place.batches(),
        _task(network, place),
        names=graph.output_titles,
    )
    return {**_figures(found), **_of_file(result), "recipe": result.recipe.name}


def _figures(found: Compared) -> Row:
    name, loss = "voc_ap50", found.judgement.labelled
    return {
        f"float {name}": round(found.float_figures[name], 2),
        name: round(found.figures[name], 2),
        "drop": round(found.float_figures[name] - found.figures[name], 2),
        "error": None if loss is None else round(loss.error, 2),
        "boxes matched %": round(found.judgement.agreement.parts or 0.0, 2),
        "n": found.judgement.n,
    }


def _of_file(result: Result) -> Row:
    checks = [one.report.check for one in (result, *result.parts.values()) if one.report.check]
    return {
        "scheme": result.report.scheme,
        "size_bytes": result.report.integer.size_bytes,
        "checked": sum(check.values_compared for check in checks),
        "mismatches": sum(check.mismatches for check in checks),
    }


def _trained_faster(wish: Wish) -> Row:
    place, network = ground(wish.data), faster(wish)
    task = Detect(None, place.learned.categories, "voc")
    began = time.perf_counter()
    train_two_stage(network, Course(place.learned, task), TWO_STAGE)
    seconds = time.perf_counter() - began
    save_file(dict(network.state_dict()), _kept(wish, FASTER))
    found = _wholes(network, network, place)
    return {
        "voc_ap50": round(found.figures["voc_ap50"], 2),
        "n": found.judgement.n,
        "epochs": TWO_STAGE.epochs,
        "trained_s": round(seconds, 1),
    }


def _compressed_faster(wish: Wish) -> Row:
    place, network = ground(wish.data), faster(wish, _kept(wish, FASTER))
    images = place.images(CALIBRATED // 2)
    began = time.perf_counter()
    result = intaglio.compress(
        network,
        images[:1],
        data=list(images.split(1)),
        recipe="plain",
        options=Options(provenance=Provenance(preprocess=PREPARED)),
    )
    seconds = time.perf_counter() - began
    found = _wholes(network, result.module(), place)
    return {**_figures(found), **_of_file(result), "made_in_seconds": round(seconds, 1)}


def _wholes(real: FasterRcnn, other: nn.Module, place: Ground) -> Compared:
    head = real.postprocess((SIZE, SIZE)).head
    classes = class_map(head, place.learned.categories)
    return compare_wholes(real, other, place.batches(), Asked(classes, "voc"))
