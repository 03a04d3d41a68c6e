"""Segmenters fine-tuned on CamVid: trained on train, judged on test, at 256x192 pixels.

Eleven classes; masks by nearest at that size, unlabelled pixels count for nothing. ImageNet
backbone of the data pack, output stride 16, the last state counts. `ablation` rows are short runs
of PAN with a part of it left out: all begin with the backbone of the trained DeepLab, which knows
the pictures and no part of PAN, and with decoders at random. `w8a8` and `w4a4` are of the trained
network, calibrated with pictures of train; `w4a4 trained` goes on with the integers in the network.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import intaglio
from benchmarks.rows import Job, Row, Wish
from intaglio.data.image_samples import ImageSamples
from intaglio.data.mask_folder import MaskFolders, open_masks
from intaglio.data.preprocess import Preprocess
from intaglio.job.result import Result
from intaglio.maps.postprocess import MapPostProcess
from intaglio.methods.learn.options import TrainOptions
from intaglio.recipe.options import Options, Provenance
from intaglio.run.float import run_float
from intaglio.tasks.evaluate import compare, evaluate
from intaglio.tasks.segment.segment import Segment
from intaglio.zoo.bodies import backbone_tensors, load_backbone
from intaglio.zoo.deeplabv3 import deeplabv3_mobilenet_v2
from intaglio.zoo.pan import PAN as PAN_DESIGN
from intaglio.zoo.pan import pan_mobilenet_v2
from intaglio.zoo.pyramid_attention import Design

BACKBONE = "weights/mobilenet_v2_1.0_224_tf.safetensors"
HEIGHT, WIDTH = 192, 256
SHAPE = (1, 3, HEIGHT, WIDTH)
PREPARED = Preprocess(mean=(0.5,) * 3, std=(0.5,) * 3, fit="stretch")
NAMES = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)
UNLABELLED = 11
CALIBRATED, BATCH = 128, 16
TASK = Segment(MapPostProcess(len(NAMES), names=NAMES), scored_at="input")
FLOAT = TrainOptions(
    epochs=18,
    batch=8,
    lr=1e-3,
    optimizer="adamw",
    schedule="poly",
    warmup=0.05,
    flip=True,
    zoom=2.0,
    hard=0.25,
    evaluations=0,
    freeze=0.9,
    held_out=0,
)
SHORT = FLOAT.model_copy(update={"epochs": 4.0})
AWARE = FLOAT.model_copy(update={"epochs": 3.0, "lr": 2e-4, "freeze": 0.0, "warmup": 0.02})
PAN, DEEPLAB = "pan-mobilenet-v2", "deeplabv3-mobilenet-v2"
ABLATIONS = {
    "whole": Design(),
    "without fpa": Design(fpa=False),
    "without gau": Design(gau=False),
    "without global branch": Design(global_branch=False),
    "max pooling": Design(pooling="max"),
}


@dataclass(frozen=True, eq=False)
class Ground:
    """CamVid, prepared.

    Attributes:
        learned, judged: Pictures of train and test.
    """

    learned: ImageSamples
    judged: ImageSamples

    def images(self, count: int) -> Tensor:
        """Return pictures to calibrate with, [N, 3, H, W], spread over train."""
        spread = torch.linspace(0, len(self.learned) - 1, count).round().long()
        return self.learned.take(spread.unique().tolist()).images

    def batches(self) -> Iterator[tuple[Tensor, Any]]:
        """Yield the pictures that judge, and their masks, a batch each."""
        for start in range(0, len(self.judged), BATCH):
            one = self.judged.take(range(len(self.judged))[start:][:BATCH])
            yield one.images, one.labels


@functools.cache
def ground(data: Path) -> Ground:
    """Return CamVid."""
    learned, judged = (
        ImageSamples(open_masks(folders(data / "camvid", split)), PREPARED, SHAPE)
        for split in ("train", "test")
    )
    return Ground(learned, judged)


def folders(place: Path, split: str) -> MaskFolders:
    """Return where pictures and masks of a split are."""
    path = place / split
    return MaskFolders(path, path, place / f"{split}annot", NAMES, (UNLABELLED,))


def jobs(wish: Wish) -> list[Job]:
    """Return the rows; those of trained networks need the ones that train them."""
    rows = []
    for name in (PAN, DEEPLAB):
        rows += [
            Job(f"{name} float", _trained(wish, name)),
            Job(f"{name} w8a8", _compressed(wish, name, "w8a8", "plain")),
            Job(f"{name} w8a8 accurate", _compressed(wish, name, "w8a8", "accurate")),
            Job(f"{name} w4a4", _compressed(wish, name, "w4a4", "accurate")),
            Job(f"{name} w4a4 trained", _aware(wish, name)),
        ]
    ablations = [Job(f"{PAN} ablation {name}", _ablation(wish, name)) for name in ABLATIONS]
    return [*rows, *ablations]


def network_of(name: str, design: Design = PAN_DESIGN) -> nn.Module:
    """Return a segmenter of the zoo for CamVid's classes, without weights."""
    torch.manual_seed(0)
    if name == PAN:
        return pan_mobilenet_v2(len(NAMES), backbone="mobilenet_v2_tf", design=design)
    return deeplabv3_mobilenet_v2(
        num_classes=len(NAMES), backbone="mobilenet_v2_tf", output_stride=16
    )


def kept(wish: Wish, name: str) -> Path:
    """Return where the weights of a trained network are."""
    wish.running.mkdir(parents=True, exist_ok=True)
    return wish.running / f"camvid-{name}.safetensors"


def _loaded(wish: Wish, name: str) -> nn.Module:
    network = network_of(name)
    intaglio.load_weights(network, kept(wish, name))
    return network.eval()


def _learned(
    wish: Wish, network: nn.Module, backbone: Mapping[str, Tensor], options: TrainOptions
) -> tuple[Any, float]:
    """Return a network trained from weights of its backbone, and the seconds."""
    load_backbone(network, backbone)
    began = time.perf_counter()
    made = intaglio.train(network, data=ground(wish.data).learned, scheme="float", options=options)
    return made, time.perf_counter() - began


def _trained(wish: Wish, name: str) -> Callable[[], list[Row]]:
    def work() -> list[Row]:
        """Return the row."""
        backbone = load_file(wish.data / BACKBONE)
        made, seconds = _learned(wish, network_of(name), backbone, FLOAT)
        save_file(dict(made.weights), kept(wish, name))
        return [{**_of_float(_loaded(wish, name), wish), **_cost(FLOAT, seconds)}]

    return work


def _ablation(wish: Wish, name: str) -> Callable[[], list[Row]]:
    def work() -> list[Row]:
        """Return the row."""
        network = network_of(PAN, ABLATIONS[name])
        backbone = backbone_tensors(_loaded(wish, DEEPLAB))
        made, seconds = _learned(wish, network, backbone, SHORT)
        network.load_state_dict(made.weights)
        return [{**_of_float(network.eval(), wish), **_cost(SHORT, seconds)}]

    return work


def _cost(options: TrainOptions, seconds: float) -> Row:
    return {"epochs": options.epochs, "lr": options.lr, "trained_s": round(seconds, 1)}


def _of_float(network: nn.Module, wish: Wish) -> Row:
    figures = evaluate(network, ground(wish.data).batches(), TASK)
    return {name: round(value, 2) for name, value in figures.items()}


def _compressed(wish: Wish, name: str, scheme: str, recipe: str) -> Callable[[], list[Row]]:
    def work() -> list[Row]:
        """Return the row."""
        network = _loaded(wish, name)
        began = time.perf_counter()
        result = intaglio.compress(
            network,
            torch.zeros(SHAPE),
            data=ground(wish.data).images(CALIBRATED),
            recipe=recipe,
            options=Options(scheme=scheme, provenance=Provenance(preprocess=PREPARED)),
        )
        seconds = time.perf_counter() - began
        return [{**_beside(network, result, wish), "made_in_seconds": round(seconds, 1)}]

    return work


def _aware(wish: Wish, name: str) -> Callable[[], list[Row]]:
    def work() -> list[Row]:
        """Return the row."""
        network, began = _loaded(wish, name), time.perf_counter()
        made = intaglio.train(network, data=ground(wish.data).learned, scheme="w4a4", options=AWARE)
        assert made.result is not None, "an integer scheme has one"
        seconds = time.perf_counter() - began
        return [{**_beside(network, made.result, wish), **_cost(AWARE, seconds)}]

    return work


def _beside(network: nn.Module, result: Result, wish: Wish) -> Row:
    graph = intaglio.capture(network, torch.zeros(SHAPE))
    found = compare(
        lambda images: run_float(graph, images),
        result.twin.outputs,
        ground(wish.data).batches(),
        TASK,
        names=graph.output_titles,
    )
    loss, report = found.judgement.labelled, result.report
    return {
        "float miou": round(found.float_figures["miou"], 2),
        **{name: round(value, 2) for name, value in found.figures.items()},
        "drop": round(found.float_figures["miou"] - found.figures["miou"], 2),
        "error": None if loss is None else round(loss.error, 2),
        "same pixels %": round(found.judgement.agreement.parts or 0.0, 2),
        "n": found.judgement.n,
        "scheme": report.scheme,
        "recipe": result.recipe.name,
        "size_bytes": report.integer.size_bytes,
        "checked": report.check.values_compared if report.check else 0,
        "mismatches": report.check.mismatches if report.check else 0,
    }
