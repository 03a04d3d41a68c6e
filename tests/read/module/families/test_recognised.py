"""Detectors with code behind their cores are recognised by what they do, and by nothing less."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from detectors.torchvision_style import CLASSES, example, one_stage, roi_align
from detectors.torchvision_style.boxes import batched_nms, clip_boxes
from detectors.torchvision_style.coders import BoxCoder
from intaglio.boxes.as_data import as_json, from_json
from intaglio.boxes.coders import LARGEST_DELTA, Deltas, Distances
from intaglio.boxes.detect import detections
from intaglio.boxes.postprocess import Grid, PostProcess, TwoStage
from intaglio.boxes.regions import two_stage_detections
from intaglio.job.compress import compress
from intaglio.job.result import load
from intaglio.read.module.families.proof import same
from intaglio.read.module.families.recognised import recognised
from intaglio.read.module.families.rig import detections_in
from read.module.families.wholes import ONE, SIZE, TWO, changed, detector, whole_of


@pytest.mark.parametrize("name", ONE)
def test_a_detector_of_one_stage_is_recognised_with_its_own_limits(name):
    post, net = recognised(whole_of(name)), detector(name)

    assert isinstance(post, PostProcess)
    assert post.family == {"ssdlite": "ssd"}.get(name, name)
    assert post.classes == CLASSES
    assert (post.select.above, post.select.most) == (net.score_thresh, net.topk_candidates)
    assert post.suppress is not None
    assert (post.suppress.overlap, post.most) == (net.nms_thresh, net.detections_per_img)
    assert all(isinstance(level.places, Grid) for level in post.levels)


@pytest.mark.parametrize("name", TWO)
def test_a_detector_of_two_stages_is_recognised_and_its_masks_are_left_alone(name):
    post, net = recognised(whole_of(name)), detector(name)

    assert isinstance(post, TwoStage)
    assert post.regions.select.most == net.rpn.pre_nms_top_n()
    assert post.regions.most == net.rpn.post_nms_top_n()
    assert post.head.select.above == net.roi_heads.score_thresh
    assert post.pooling.canonical == 48
    assert post.pooling.size == 7
    assert all(isinstance(level.places, Grid) for level in post.regions.levels)


def test_of_two_maps_of_one_size_only_the_first_is_cut_out_of():
    post = recognised(whole_of("fasterrcnn_mobilenet"))

    assert isinstance(post, TwoStage)
    assert post.pooling.maps == (0,)


def test_coders_have_the_weights_and_the_limit_of_the_detector():
    found = {name: recognised(whole_of(name)) for name in ("ssd", "retinanet", "fcos")}
    coders = {name: post.levels[0].coder for name, post in found.items()}  # type: ignore[union-attr]

    assert coders["ssd"] == Deltas((10.0, 10.0, 5.0, 5.0), math.log(1000.0 / 16))
    assert coders["retinanet"] == Deltas((1.0, 1.0, 1.0, 1.0), LARGEST_DELTA)
    assert coders["fcos"] == Distances("anchor")


@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_what_is_recognised_survives_being_json(name):
    post = recognised(whole_of(name))

    assert post is not None
    assert from_json(as_json(post)) == post


@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_other_pictures_have_the_detectors_own_boxes(name):
    """None of these was shown when it was recognised; all fill the input."""
    whole, post, net = whole_of(name), recognised(whole_of(name)), detector(name)
    given = example(2, SIZE, seed=31)
    seen = net.transform([one.clone() for one in given])[0].tensors

    known = detections_in(net([one.clone() for one in given]))

    first, *others = sorted(whole.cores, key=lambda core: core.entered)
    outputs = [own.numpy() for own in first.module(seen)]
    if isinstance(post, PostProcess):
        made = detections(post, outputs)
    else:
        assert isinstance(post, TwoStage)
        second = others[0].module
        made = two_stage_detections(
            post,
            outputs,
            lambda regions: [own.numpy() for own in second(torch.from_numpy(regions))],
        )
    assert known is not None
    assert sum(map(len, known)) > 10
    ratio = np.float32([SIZE[1] / seen.shape[3], SIZE[0] / seen.shape[2]] * 2)
    made = [replace(own, boxes=own.boxes * ratio) for own in made]
    assert all(map(same, made, known))


# What is not recognised


def _of_doubled(part: type[Any], head: str) -> type[Any]:
    class Doubled(part):  # type: ignore[misc]
        """Another function of the scores."""

        def detections(self, head_outputs: dict[str, Tensor], *args: Any, **rest: Any) -> Any:
            head_outputs = head_outputs | {head: 2 * head_outputs[head]}
            return super().detections(head_outputs, *args, **rest)

    return Doubled


class NarrowCoder(BoxCoder):
    """Holds a limit of growth that is not the one it says."""

    def decode_single(self, rel_codes: Tensor, boxes: Tensor) -> Tensor:
        return BoxCoder(self.weights, 2.0).decode_single(rel_codes, boxes)


def _narrow(net: nn.Module) -> None:
    net.box_coder = NarrowCoder(net.box_coder.weights)


def _with_class(head: str) -> Any:
    def change(net: nn.Module) -> None:
        net.__class__ = _of_doubled(type(net), head)

    return change


def _nothing(net: nn.Module) -> None:
    """Leave a module as it is."""


CHANGES = {
    "other scores of ssd": ("ssd", _with_class("cls_logits")),
    "other scores of retinanet": ("retinanet", _with_class("cls_logits")),
    "other centre-ness": ("fcos", _with_class("bbox_ctrness")),
    "other distances": ("fcos", _with_class("bbox_regression")),
    "other growth of boxes": ("retinanet", _narrow),
    "other growth in ssd": ("ssd", _narrow),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_detector_with_other_scores_or_boxes_is_not_recognised(what):
    assert recognised(changed(*CHANGES[what])) is None


def _clip_wide(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    return clip_boxes(boxes, (size[0] + 4, size[1] + 4))


def _clip_padded(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    return clip_boxes(boxes, (128, 128))


def test_a_picture_that_does_not_fill_the_input_is_told_apart_from_what_is_padded():
    whole = whole_of("retinanet", mixed=True)
    post = recognised(whole)

    assert isinstance(post, PostProcess)
    assert post.input_size == (128, 128)


@pytest.mark.parametrize("clip", [_clip_wide, _clip_padded, lambda boxes, size: boxes])
def test_a_detector_that_cuts_boxes_off_elsewhere_is_not_recognised(clip, monkeypatch):
    file = importlib.import_module("detectors.torchvision_style.retinanet")
    monkeypatch.setattr(file, "clip_boxes", clip)

    assert recognised(changed("retinanet", _nothing, mixed=True)) is None


def test_a_detector_whose_classes_remove_each_other_is_not_recognised(monkeypatch):
    def of_all(boxes: Tensor, scores: Tensor, groups: Tensor, overlap: float) -> Tensor:
        return batched_nms(boxes, scores, torch.zeros_like(groups), overlap)

    monkeypatch.setattr(one_stage, "batched_nms", of_all)

    assert recognised(changed("retinanet", _nothing)) is None
    assert recognised(changed("ssd", _nothing)) is None


@pytest.mark.parametrize(
    ("limit", "value"),
    [("topk_candidates", 4000), ("detections_per_img", 70), ("nms_thresh", 0.52)],
)
def test_a_limit_that_decides_nothing_for_the_example_must_still_be_the_one_that_is_read(
    limit, value, monkeypatch
):
    """Code that keeps its limits elsewhere, with attributes that only look like them."""
    net = detector("retinanet")
    original = type(net).postprocess_detections

    class Deaf(type(net)):  # type: ignore[misc]
        """Reads none of its attributes."""

        def postprocess_detections(self, *args: Any) -> Any:
            said = getattr(self, limit)
            setattr(self, limit, value)
            try:
                return original(self, *args)
            finally:
                setattr(self, limit, said)

    def change(module: nn.Module) -> None:
        module.__class__ = Deaf

    assert recognised(changed("retinanet", change)) is None


def test_labels_that_are_counted_from_another_number_are_not_recognised():
    class Shifted(type(detector("ssd"))):  # type: ignore[misc]
        """Counts without the background."""

        def detections(self, *args: Any, **rest: Any) -> Any:
            found = super().detections(*args, **rest)
            return [own | {"labels": own["labels"] - 1} for own in found]

    def change(module: nn.Module) -> None:
        module.__class__ = Shifted

    assert recognised(changed("ssd", change)) is None


@pytest.mark.parametrize("name", ["fasterrcnn_resnet"])
def test_regions_that_are_cut_out_otherwise_are_not_recognised(name, monkeypatch):
    original = roi_align.roi_align

    def sparse(maps: Tensor, regions: Tensor, size: Any, scale: float, sampling: int) -> Tensor:
        return original(maps, regions, size, scale, 1)

    def shifted(maps: Tensor, regions: Tensor, size: Any, scale: float, sampling: int) -> Tensor:
        moved = regions - torch.tensor([0.0, 0.5, 0.5, 0.5, 0.5]) / scale
        return original(maps, moved, size, scale, sampling)

    for other in (sparse, shifted):
        monkeypatch.setattr(roi_align, "roi_align", other)
        assert recognised(changed(name, _nothing)) is None


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        ("roi_heads.box_roi_pool", "canonical_scale", 96),  # it has learnt its levels before
        ("roi_heads.box_roi_pool", "sampling_ratio", 0),  # as many as fit: no data says that
    ],
)
def test_a_pooling_that_is_not_what_its_attributes_say_is_not_recognised(place, name, value):
    def change(module: nn.Module) -> None:
        setattr(module.get_submodule(place), name, value)

    if name == "sampling_ratio":
        whole = changed("fasterrcnn_resnet", change)
    else:
        whole = changed("fasterrcnn_resnet", lambda net: (net(example(2)), change(net)))
    assert recognised(whole) is None


def test_a_detector_without_limits_is_not_recognised():
    def change(module: nn.Module) -> None:
        module.detections_per_img = torch.tensor(60)  # no plain number: nothing says what it is

    assert recognised(changed("ssd", change)) is None


def test_what_a_module_says_itself_must_be_true_to_be_believed():
    whole = whole_of("retinanet")
    true = recognised(whole)
    assert isinstance(true, PostProcess)
    false = replace(true, activation="none")

    assert recognised(whole, true) == true
    assert recognised(whole, false) == true  # read off anew


def test_recognising_leaves_the_module_as_it_was():
    whole = whole_of("retinanet")
    before = whole.module(example(2))
    limits = {name: vars(whole.module)[name] for name in ("score_thresh", "topk_candidates")}

    recognised(whole)

    assert limits == {name: vars(whole.module)[name] for name in limits}
    for one, other in zip(before, whole.module(example(2)), strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert not any(part._forward_hooks for part in whole.module.modules())


# In integers


@pytest.mark.parametrize("name", ["ssd", "retinanet", "fasterrcnn_mobilenet"])
def test_integers_give_by_data_what_they_give_in_the_users_code(name, tmp_path):
    net = detector(name)
    result = compress(net, example(1, SIZE), data=[example(2, SIZE, seed=1)], recipe="plain")
    given = example(2, SIZE, seed=9)
    seen = net.transform([one.clone() for one in given])[0].tensors

    found = result.detect(seen)

    known = detections_in(result.module()([one.clone() for one in given]))
    assert known is not None
    assert sum(map(len, known)) > 10
    for own, other in zip(found, known, strict=True):
        # Integers are equal in many places: which of two equal ones stays is not compared.
        np.testing.assert_allclose(own.scores, other.scores, atol=1e-6)
    result.save(tmp_path / "result")
    assert load(tmp_path / "result").postprocess == result.postprocess
