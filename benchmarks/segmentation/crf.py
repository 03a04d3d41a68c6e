"""The dense CRF: lattice against all pairs, its seconds, and what it does for maps of networks.

`agrees` rows hold beliefs of the lattice against those of all pairs of pixels, after all
iterations, on photographs of coco128 shrunk to the size: of all pixels and classes the mean and the
99th percentile of |dQ|, its largest, and percent of pixels of the same class. Beliefs before are
DeepLab's own; `made up` are of blobs that have nothing to do with the picture and are far from
sure, the hardest there are; `few` are of these with no more lattices than a large picture has.
The row `seconds` is of a picture of 500x375 with 21 classes and 10 iterations; it, seconds a
picture and of a search are the processor's. The other rows are of float networks: figures of the
maps as they come, and after the field, with DeepLab's published parameters, with a light one of
short reach, and with those that serve best on a few pictures (`search`), judged on others. Those
few are coco128's first, and of CamVid's val, which the network has not learned from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

import intaglio
from benchmarks.rows import Job, Row, Wish
from benchmarks.segmentation import camvid
from benchmarks.segmentation.subjects import DEEPLAB, PICTURES
from intaglio.data.coco_masks import open_coco_masks
from intaglio.data.dataset import Dataset
from intaglio.data.image_samples import ImageSamples
from intaglio.data.mask import Mask
from intaglio.data.mask_folder import open_masks
from intaglio.data.pictured import with_pictures
from intaglio.data.preprocess import Preprocess
from intaglio.ir.graph import Graph
from intaglio.maps.class_map import probabilities
from intaglio.maps.postprocess import MapPostProcess
from intaglio.maps.sampling import Affine, sampled
from intaglio.read.source import read
from intaglio.run.float import run_float
from intaglio.tasks.crf.exact import exact_refine
from intaglio.tasks.crf.kernels import Floats
from intaglio.tasks.crf.lattice import LAYOUTS
from intaglio.tasks.crf.mean_field import quick_messages, refine, settled
from intaglio.tasks.crf.parameters import DEEPLAB_VOC, WRAPPER, Crf
from intaglio.tasks.crf.search import Grid, Scene, search
from intaglio.tasks.segment.classes import own_masks
from intaglio.tasks.segment.meter import AFTER
from intaglio.tasks.segment.pairing import affine_of
from intaglio.tasks.segment.segment import Segment

FIELDS = {"deeplab": DEEPLAB_VOC, "wrapper": WRAPPER}
SIDES, SHOWN = (32, 64), 6
OWN, MADE_UP, FEW = "own", "made up", "few"
CLASSES = 21
SIDE = (257, 257)
"""Of what DeepLab sees."""
TIMED = (375, 500)
SEARCHED = 6
GRID = Grid(
    bilateral_weight=(0.5, 4.0),
    bilateral_xy=(8.0, 40.0),
    bilateral_rgb=(3.0, 9.0),
    gaussian_weight=(0.5, 3.0),
    gaussian_xy=(3.0,),
)
"""Coarser than that of `grid_for`: a point takes from a quarter of a minute to half a minute."""
BASE = replace(DEEPLAB_VOC, iterations=5)
LIGHT = replace(BASE, gaussian_weight=0.5, bilateral_weight=0.5, bilateral_xy=8)
"""The lightest of the grid."""
BATCH = 4
MOST = 24
"""Pictures that judge: each takes seconds."""


def jobs(wish: Wish) -> list[Job]:
    """Return the rows; those of CamVid need the network that `segmentation-camvid` trains."""
    agreeing = [
        Job(f"agrees {name} {side} {kind}", _agrees(name, side, kind, wish))
        for kind in (OWN, MADE_UP, FEW)
        for name in FIELDS
        for side in SIDES
    ]
    return [
        *agreeing,
        Job("seconds", lambda: _seconds(wish)),
        Job("deeplabv3-dm05 coco128", lambda: _coco(wish)),
        Job("pan-mobilenet-v2 camvid", lambda: _camvid(wish)),
    ]


def _agrees(name: str, side: int, kind: str, wish: Wish) -> Callable[[], list[Row]]:
    def work() -> list[Row]:
        """Return the row."""
        apart, same = [], []
        for picture, says in _shrunk(wish.data, (side, side), SHOWN):
            before, crf = says if kind == OWN else blobs((side, side), CLASSES), FIELDS[name]
            layout = LAYOUTS[-1] if kind == FEW else None
            one = settled(before, quick_messages(picture, crf, layout=layout), crf)
            other = exact_refine(before, picture, crf)
            apart.append(np.abs(one - other).ravel())
            same.append(float((one.argmax(0) == other.argmax(0)).mean()))
        all_of_them = np.concatenate(apart)
        return [
            {
                "mean |dQ|": float(f"{all_of_them.mean():.3g}"),
                "99 % |dQ|": float(f"{np.percentile(all_of_them, 99):.3g}"),
                "largest |dQ|": float(f"{all_of_them.max():.3g}"),
                "same class %": round(100.0 * float(np.mean(same)), 3),
                "worst picture %": round(100.0 * min(same), 3),
                "n": SHOWN,
            }
        ]

    return work


def blobs(size: tuple[int, int], count: int) -> Floats:
    """Return probabilities [count, H, W] of soft blobs of 8 pixels, the same each time."""
    coarse = torch.from_numpy(
        np.random.default_rng(0).normal(0.0, 2.0, (1, count, size[0] // 8, size[1] // 8))
    )
    large = nn.functional.interpolate(coarse.float(), size=size, mode="bilinear")
    return np.asarray(torch.softmax(large[0], 0).numpy(), np.float32)


def _shrunk(
    data: Path, size: tuple[int, int], count: int
) -> Iterator[tuple[NDArray[np.uint8], Floats]]:
    """Yield pictures of coco128 at a size (height, width), and what DeepLab says of them there."""
    ground = _deeplab(data, MOST)
    some = _spread(ground.judged, count)
    for outputs, masks in ground.taken(some):
        for scores, mask in zip(outputs[0].numpy(), masks, strict=True):
            says = probabilities(ground.post, sampled(scores, affine=Affine(SIDE), size=size))
            assert mask.picture is not None
            small = Image.fromarray(mask.picture).resize(size[::-1], Image.Resampling.BILINEAR)
            yield np.asarray(small), says


def _seconds(wish: Wish) -> list[Row]:
    rows: list[Row] = []
    for name, field in FIELDS.items():
        crf, seconds = replace(field, iterations=10), []
        for picture, says in _shrunk(wish.data, TIMED, 3):
            began = time.process_time()
            refine(says, picture, crf)
            seconds.append(time.process_time() - began)
        rows.append(
            {
                "what": f"500x375, {CLASSES} classes, 10 iterations, {name}",
                "median_seconds": round(float(np.median(seconds)), 2),
                "slowest_seconds": round(max(seconds), 2),
                "n": len(seconds),
            }
        )
    made = blobs(TIMED, CLASSES)
    picture = np.random.default_rng(1).integers(0, 256, (*TIMED, 3)).astype(np.uint8)
    began = time.process_time()
    refine(made, picture, replace(DEEPLAB_VOC, iterations=10))
    worst = round(time.process_time() - began, 2)
    return [*rows, {"what": "of noise, all classes everywhere, deeplab", "median_seconds": worst}]


@dataclass(frozen=True, eq=False)
class Ground:
    """A float network, and pictures with masks.

    Attributes:
        graph: The network, captured.
        post: What its outputs mean.
        searched, judged: Pictures that parameters are searched on, and others.
        preprocess: What is done to them.
    """

    graph: Graph
    post: MapPostProcess
    searched: Dataset
    judged: Dataset
    preprocess: Preprocess

    def taken(self, dataset: Dataset) -> Iterator[tuple[list[Tensor], list[Mask]]]:
        """Yield the outputs for pictures, and their masks with them, a batch at a time."""
        shape = self.graph[self.graph.inputs[0]].shape
        samples = ImageSamples(with_pictures(dataset), self.preprocess, shape)
        for start in range(0, len(samples), BATCH):
            one = samples.take(range(len(samples))[start:][:BATCH])
            yield list(run_float(self.graph, one.images)), one.labels


def _deeplab(data: Path, most: int) -> Ground:
    source = read(DEEPLAB.model, weights=data / DEEPLAB.weights)
    post = source.postprocess
    assert isinstance(post, MapPostProcess)
    whole = open_coco_masks(data / PICTURES, post.names)
    items = [whole.items[index] for index in range(len(whole))]
    first, rest = items[:SEARCHED], items[SEARCHED:][:most]
    sets = replace(whole, items=first), replace(whole, items=rest)
    return Ground(source.capture(), post, *sets, source.preprocess)


def _coco(wish: Wish) -> list[Row]:
    return _rows(_deeplab(wish.data, wish.at_most(MOST)))


def _camvid(wish: Wish) -> list[Row]:
    network = camvid.network_of(camvid.PAN)
    intaglio.load_weights(network, camvid.kept(wish, camvid.PAN))
    post = camvid.TASK.post
    assert post is not None
    learned, judged = (
        open_masks(camvid.folders(wish.data / "camvid", split)) for split in ("val", "test")
    )
    sets = _spread(learned, SEARCHED), _spread(judged, wish.at_most(MOST))
    graph = intaglio.capture(network.eval(), torch.zeros(camvid.SHAPE))
    return _rows(Ground(graph, post, *sets, camvid.PREPARED))


def _spread(dataset: Dataset, count: int) -> Dataset:
    """Return some of the pictures, spread over all."""
    places = np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist()
    return replace(dataset, items=[dataset.items[place] for place in dict.fromkeys(places)])


def _rows(ground: Ground) -> list[Row]:
    began = time.process_time()
    own = search(list(_scenes(ground)), GRID, base=BASE)
    seconds = round(time.process_time() - began, 1)
    found: list[tuple[str, Crf | None]] = [
        ("deeplab's", DEEPLAB_VOC),
        ("light", LIGHT),
        ("searched", own),
    ]
    rows: list[Row] = []
    for name, crf in found:
        if crf is None:
            rows.append({"parameters": name, "note": "none raise mean IoU without lowering F"})
            continue
        rows.append({"parameters": name, **_judged(ground, crf)})
    rows[-1] |= {"searched_s": seconds, "searched_on": len(ground.searched)}
    return rows


def _scenes(ground: Ground) -> Iterator[Scene]:
    size = ground.graph[ground.graph.inputs[0]].shape[-2:]
    for outputs, masks in ground.taken(ground.searched):
        own = own_masks(masks, ground.post, ground.searched.categories)
        for scores, mask in zip(outputs[ground.post.output].numpy(), own, strict=True):
            affine = affine_of(mask, (size[0], size[1]))
            says = probabilities(ground.post, sampled(scores, affine=affine, size=mask.size))
            assert mask.picture is not None
            yield Scene(says, mask.picture, mask.classes)


def _judged(ground: Ground, crf: Crf) -> Row:
    meter = Segment(ground.post, ground.judged.categories, crf=crf).meter(["maps"])
    began = time.process_time()
    for outputs, masks in ground.taken(ground.judged):
        meter.add(outputs, masks)
    seconds = time.process_time() - began
    figures = meter.figures()
    before = {name: value for name, value in figures.items() if not name.endswith(AFTER)}
    row: Row = {}
    for name in before:
        row |= {name: round(before[name], 2), f"{name} after": round(figures[name + AFTER], 2)}
    told = f"{crf.bilateral_weight:g}, {crf.bilateral_xy:g}, {crf.bilateral_rgb:g}"
    row |= {"bilateral weight, xy, rgb": told}
    row |= {"gaussian weight, xy": f"{crf.gaussian_weight:g}, {crf.gaussian_xy:g}"}
    row |= {"iterations": crf.iterations}
    n = len(meter.tally.counts)
    return {**row, "n": n, "seconds_a_picture": round(seconds / n, 2)}
