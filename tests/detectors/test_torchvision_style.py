"""The test detectors find something, and are laid out as torchvision's."""

from __future__ import annotations

import copy
import functools
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from detectors.pictures import picture
from detectors.torchvision_style import CLASSES, DETECTORS, example, small_retinanet

HERE = Path(__file__).resolve().parent
ALIKE = {"rtol": 1e-3, "atol": 1e-3}
"""A batch of two may be summed in another order than one: float32 rounding through some twenty
layers, in pixels of some hundred and scores of at most one."""


@functools.cache
def detector(name: str) -> nn.Module:
    return DETECTORS[name]()


@functools.cache
def found(name: str) -> list[dict[str, Tensor]]:
    return detector(name)(example(4))


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_finds_some_dozens_of_finite_boxes_inside_each_picture(name):
    for result, given_picture in zip(found(name), example(4), strict=True):
        boxes, height, width = result["boxes"], *given_picture.shape[1:]

        assert 10 <= len(boxes) <= 60
        assert boxes.isfinite().all()
        assert (boxes >= 0).all()
        # Clipped where it was resized; mapping it back rounds, in float32 of at most 256.
        assert (boxes[:, [0, 2]] <= width + 1e-4).all()
        assert (boxes[:, [1, 3]] <= height + 1e-4).all()
        # Anchors in the padding, where a picture is smaller than its batch, are cut to nothing.
        assert (boxes[:, 2:] > boxes[:, :2]).all(1).float().mean() > 0.6


@pytest.mark.parametrize("name", DETECTORS)
def test_scores_fall_and_differ_and_classes_are_several(name):
    of_all = torch.cat([result["labels"] for result in found(name)])
    one = detector(name)
    threshold = getattr(one, "roi_heads", one).score_thresh

    assert of_all.min() >= 0
    assert of_all.max() < CLASSES
    assert len(of_all.unique()) >= 3
    for result in found(name):
        scores = result["scores"]
        assert (scores[1:] < scores[:-1]).all()
        assert scores[-1] > threshold
        assert scores[0] <= 1


@pytest.mark.parametrize("name", DETECTORS)
def test_a_batch_of_two_gives_what_two_single_pictures_give(name):
    pair = example(2, (96, 128), seed=3)

    together = detector(name)(pair)

    for result, one in zip(together, pair, strict=True):
        (alone,) = detector(name)([one])
        assert result.keys() == alone.keys()
        assert torch.equal(result["labels"], alone["labels"])
        for key in ("boxes", "scores"):
            torch.testing.assert_close(result[key], alone[key], **ALIKE)


@pytest.mark.parametrize("name", DETECTORS)
def test_boxes_are_in_pixels_of_the_picture_as_it_was_given(name):
    large = picture(240, 320, seed=7)
    seen = detector(name).transform([large])[0].tensors

    (result,) = detector(name)([large])

    assert max(seen.shape[2:]) <= 128
    assert result["boxes"][:, 2].max() > 160
    assert result["boxes"].max() <= 320 + 1e-4


@pytest.mark.parametrize("name", DETECTORS)
def test_the_same_seed_gives_the_same_weights(name):
    state, again = detector(name).state_dict(), DETECTORS[name]().state_dict()

    assert all(torch.equal(value, again[key]) for key, value in state.items())


def test_another_seed_gives_other_weights_that_find_something_too():
    other = small_retinanet(seed=1)
    state = detector("retinanet").state_dict()

    assert not any(torch.equal(value, state[key]) for key, value in other.state_dict().items())
    assert all(len(result["boxes"]) > 5 for result in other(example()))


@pytest.mark.parametrize("name", DETECTORS)
def test_signals_keep_their_size_from_layer_to_layer(name):
    spreads: dict[str, float] = {}
    watched = copy.deepcopy(detector(name))

    def watch(path: str, _: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        spreads.setdefault(path, float(output.std()))

    for path, layer in watched.named_modules():
        if hasattr(layer, "running_mean"):
            layer.register_forward_hook(functools.partial(watch, path))

    watched(example(4, seed=50))

    odd = {path: spread for path, spread in spreads.items() if not 0.1 < spread < 5}
    assert odd == {}
    assert bool(spreads) == (name != "ssd")


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_refuses_to_train(name):
    training = copy.deepcopy(detector(name)).train()

    with pytest.raises(ValueError, match="eval mode"):
        training(example())


def test_parts_have_the_names_of_torchvision():
    one_stage = "transform backbone head.classification_head head.regression_head anchor_generator"
    pyramid = "backbone.body.layer4 backbone.fpn.inner_blocks backbone.fpn.extra_blocks"
    regions = "rpn.anchor_generator rpn.head.cls_logits rpn.head.bbox_pred roi_heads.box_roi_pool"
    boxes = "roi_heads.box_head.fc6 roi_heads.box_predictor.cls_score"
    masks = "roi_heads.mask_roi_pool roi_heads.mask_head roi_heads.mask_predictor.conv5_mask"
    ssd = f"{one_stage} backbone.features backbone.extra head.regression_head.module_list"
    retinanet = f"{one_stage} {pyramid} head.classification_head.cls_logits"
    paths = {
        "ssd": ssd,
        "ssdlite": ssd,
        "retinanet": retinanet,
        "fcos": f"{retinanet} head.regression_head.bbox_ctrness",
        "fasterrcnn_resnet": f"transform {pyramid} {regions} {boxes}",
        "fasterrcnn_mobilenet": f"transform backbone.body backbone.fpn {regions} {boxes}",
        "maskrcnn": f"transform {pyramid} {regions} {boxes} {masks}",
    }

    assert paths.keys() == DETECTORS.keys()
    for name, wanted in paths.items():
        assert set(wanted.split()) <= {path for path, _ in detector(name).named_modules()}, name


@pytest.mark.parametrize("name", ["ssd", "ssdlite", "retinanet", "fcos"])
def test_heads_say_something_of_every_anchor(name):
    one = detector(name)
    images, _ = one.transform(example(2))
    features = list(one.backbone(images.tensors).values())

    outputs = one.head(features)
    anchors = one.anchor_generator(images, features)

    assert len(anchors) == 2
    assert outputs["bbox_regression"].shape == (2, len(anchors[0]), 4)
    assert outputs["cls_logits"].shape == (2, len(anchors[0]), CLASSES)


def test_nothing_here_imports_torchvision():
    for file in sorted(HERE.rglob("*.py")):
        for line in file.read_text(encoding="utf-8").splitlines():
            assert not line.strip().startswith(("import torchvision", "from torchvision")), file


def test_masks_come_with_the_boxes_of_mask_rcnn():
    for result, given_picture in zip(found("maskrcnn"), example(4), strict=True):
        assert result["masks"].shape == (len(result["boxes"]), 1, *given_picture.shape[1:])
        assert 0 <= result["masks"].min() < 0.2
        assert 0.5 < result["masks"].max() <= 1


def test_scores_below_the_threshold_are_not_found():
    strict = small_retinanet()
    strict.score_thresh = 2.0

    (nothing,) = strict(example(1))

    assert nothing["boxes"].shape == (0, 4)
    assert len(nothing["scores"]) == len(nothing["labels"]) == 0
