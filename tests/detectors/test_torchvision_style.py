"""The test detectors find something, and their parts compute what the papers say."""

from __future__ import annotations

import copy
import functools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from detectors.pictures import picture
from detectors.torchvision_style import CLASSES, DETECTORS, example, small_retinanet
from detectors.torchvision_style.anchors import AnchorGenerator, DefaultBoxGenerator
from detectors.torchvision_style.boxes import batched_nms, nms, overlaps, resize_boxes
from detectors.torchvision_style.coders import BoxCoder, BoxLinearCoder
from detectors.torchvision_style.masks import paste_masks
from detectors.torchvision_style.roi_align import LevelMapper, roi_align
from detectors.torchvision_style.transform import GeneralizedRCNNTransform, ImageList

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


def random_boxes(count: int, seed: int = 0, side: float = 40.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand((count, 2), generator=generator) * side
    return torch.cat((start, start + 1 + torch.rand((count, 2), generator=generator) * 20), 1)


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


# --- boxes


def slow_overlap(one: list[float], other: list[float]) -> float:
    wide = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    tall = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    sizes = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return wide * tall / (sum(sizes) - wide * tall)


def slow_nms(boxes: Tensor, scores: Tensor, threshold: float) -> list[int]:
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda index: -float(scores[index])):
        others = [slow_overlap(boxes[index].tolist(), boxes[one].tolist()) for one in kept]
        if all(overlap <= threshold for overlap in others):
            kept.append(index)
    return kept


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 30), st.integers(0, 10_000), st.sampled_from([0.25, 0.45, 0.7]))
def test_nms_keeps_what_plain_loops_keep(count, seed, threshold):
    boxes = random_boxes(count, seed)
    scores = torch.rand(count, generator=torch.Generator().manual_seed(seed))

    assert nms(boxes, scores, threshold).tolist() == slow_nms(boxes, scores, threshold)


def test_overlap_of_a_box_with_its_right_half_is_a_half_and_with_a_far_one_nothing():
    box = torch.tensor([[0.0, 0.0, 8.0, 4.0]])
    others = torch.tensor([[4.0, 0.0, 8.0, 4.0], [50.0, 50.0, 60.0, 60.0], [0.0, 0.0, 8.0, 4.0]])

    assert overlaps(box, others).tolist() == [[0.5, 0.0, 1.0]]


def test_boxes_of_different_groups_never_suppress_each_other():
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0]]).repeat(4, 1)
    scores = torch.tensor([0.3, 0.9, 0.8, 0.5])

    assert batched_nms(boxes, scores, torch.tensor([0, 0, 1, 1]), 0.5).tolist() == [1, 2]


def test_boxes_of_half_the_size_are_doubled():
    boxes = torch.tensor([[1.0, 2.0, 3.0, 4.0]])

    assert resize_boxes(boxes, (10, 20), (20, 40)).tolist() == [[2.0, 4.0, 6.0, 8.0]]


# --- regions


def test_roi_align_of_a_linear_ramp_gives_the_exact_mean_of_each_bin():
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(20.0), indexing="ij")
    ramp = (2 * columns + 3 * rows + 1)[None, None]
    left, top, right, bottom = 4.0, 2.0, 18.0, 14.0  # of the image; the map is half as large
    pooled = roi_align(ramp, torch.tensor([[0.0, left, top, right, bottom]]), (3, 7), 0.5, 2)

    middles_x = left / 2 + (right - left) / 2 * (torch.arange(7) + 0.5) / 7
    middles_y = top / 2 + (bottom - top) / 2 * (torch.arange(3) + 0.5) / 3
    exact = 2 * middles_x[None] + 3 * middles_y[:, None] + 1
    # A mean of four samples of some 50, each two products: rounding of float32.
    torch.testing.assert_close(pooled[0, 0], exact, rtol=1e-5, atol=0)


def slow_sample(feature: Tensor, y: float, x: float) -> float:
    height, width = feature.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    total = 0.0
    for row in range(height):
        for column in range(width):
            weight = max(0.0, 1 - abs(y - row)) * max(0.0, 1 - abs(x - column))
            total += weight * float(feature[row, column])
    return total


@pytest.mark.parametrize(
    "region", [(1.0, 1.5, 6.0, 5.0), (-6.0, 2.0, 3.0, 12.0), (5.0, 5.0, 5.2, 5.1)]
)
def test_roi_align_equals_plain_loops_at_borders_and_in_tiny_regions(region):
    maps = torch.randn((2, 1, 6, 7), generator=torch.Generator().manual_seed(0))
    left, top, right, bottom = region
    wide, tall = max(right - left, 1.0), max(bottom - top, 1.0)

    pooled = roi_align(maps, torch.tensor([[1.0, *region]]), (2, 2), 1.0, 2)

    for row in range(2):
        for column in range(2):
            samples = [
                slow_sample(
                    maps[1, 0],
                    top + tall * (row + (i + 0.5) / 2) / 2,
                    left + wide * (column + (j + 0.5) / 2) / 2,
                )
                for i in range(2)
                for j in range(2)
            ]
            # Sums of some thirty float32 products of about 1.
            assert float(pooled[0, 0, row, column]) == pytest.approx(sum(samples) / 4, abs=1e-5)


def test_roi_align_of_no_regions_gives_no_maps():
    assert roi_align(torch.zeros(1, 5, 4, 4), torch.zeros(0, 5), (7, 7), 1.0, 2).shape[:2] == (0, 5)


def test_a_box_of_the_canonical_size_lies_on_the_canonical_level_and_half_of_it_one_below():
    mapper = LevelMapper(2, 5, canonical_scale=48, canonical_level=4)
    sides = torch.tensor([48.0, 24.0, 95.0, 96.0, 1.0, 500.0])
    boxes = torch.stack((sides * 0, sides * 0, sides, sides), 1)

    assert mapper([boxes[:3], boxes[3:]]).tolist() == [2, 1, 2, 3, 0, 3]


def test_pasted_masks_are_of_the_picture_and_nothing_outside_of_their_boxes():
    boxes = torch.tensor([[4.0, 6.0, 12.0, 20.0], [-3.0, 0.0, 5.0, 30.0]])

    pasted = paste_masks(torch.ones(2, 1, 14, 14), boxes, (24, 32))

    assert pasted.shape == (2, 1, 24, 32)
    assert (pasted[0, 0, 8:18, 6:10] == 1).all()
    assert pasted[0, 0, :, 15:].sum() == pasted[0, 0, :4].sum() == pasted[1, 0, :, 8:].sum() == 0
    assert paste_masks(torch.ones(0, 1, 14, 14), boxes[:0], (24, 32)).shape == (0, 1, 24, 32)


def test_masks_come_with_the_boxes_of_mask_rcnn():
    for result, given_picture in zip(found("maskrcnn"), example(4), strict=True):
        assert result["masks"].shape == (len(result["boxes"]), 1, *given_picture.shape[1:])
        assert 0 <= result["masks"].min() < 0.2
        assert 0.5 < result["masks"].max() <= 1


# --- from images, and to boxes


def test_the_transform_pads_pictures_to_sides_that_are_multiples_of_32():
    transform = GeneralizedRCNNTransform(64, 96, (0.5,) * 3, (0.25,) * 3)

    images, _ = transform([torch.ones(3, 50, 100), torch.ones(3, 128, 64)])

    assert images.tensors.shape == (2, 3, 96, 96)
    assert images.image_sizes == [(48, 96), (96, 48)]
    # (1 - 0.5) / 0.25, from weights of bilinear samples that add up to 1 in float32.
    torch.testing.assert_close(images.tensors[0, :, :48], torch.full((3, 48, 96), 2.0))
    assert images.tensors[0, :, 48:].abs().sum() == images.tensors[1, :, :, 48:].abs().sum() == 0


def test_the_whole_seen_picture_is_the_whole_given_picture():
    transform = GeneralizedRCNNTransform(64, 96)
    given_picture = torch.ones(3, 90, 71)
    height, width = transform([given_picture])[0].image_sizes[0]
    result = [{"boxes": torch.tensor([[0.0, 0.0, width, height]])}]

    (back,) = transform.postprocess(result, [(height, width)], [(90, 71)])

    # A ratio and a product, each rounded to float32.
    torch.testing.assert_close(back["boxes"], torch.tensor([[0.0, 0.0, 71.0, 90.0]]))


def test_codes_of_nothing_give_the_anchors_and_weights_divide_codes():
    anchors = torch.tensor([[2.0, 4.0, 6.0, 12.0]])
    coder = BoxCoder((10.0, 10.0, 5.0, 5.0))
    doubled = torch.tensor([[10.0, 0.0, 5 * torch.log(torch.tensor(2.0)), 0.0]])

    assert coder.decode_single(torch.zeros(1, 4), anchors).tolist() == anchors.tolist()
    # One anchor's width to the right and twice as wide; exp and log each round.
    torch.testing.assert_close(
        coder.decode_single(doubled, anchors), torch.tensor([[4.0, 4.0, 12.0, 12.0]])
    )
    assert coder.decode(torch.zeros(1, 8), [anchors]).tolist() == [anchors.tolist() * 2]


def test_distances_are_counted_in_anchors_from_the_middle():
    anchors, distances = torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([[0.5, 0.0, 1.0, 2.0]])

    assert BoxLinearCoder().decode(distances, anchors).tolist() == [[0.0, 4.0, 12.0, 20.0]]
    assert BoxLinearCoder(False).decode(distances, anchors).tolist() == [[3.5, 4.0, 5.0, 6.0]]


@pytest.mark.parametrize(
    ("ratios", "sides", "boxes"),
    [
        ([[2], [2, 3], [2, 3], [2, 3], [2], [2]], [38, 19, 10, 5, 3, 1], 8732),  # SSD300
        ([[2, 3]] * 6, [20, 10, 5, 3, 2, 1], 3234),  # SSDLite320
    ],
)
def test_default_boxes_are_as_many_as_in_the_papers(ratios, sides, boxes):
    images = ImageList(torch.zeros(1, 3, 300, 300), [(300, 300)])
    maps = [torch.zeros(1, 1, side, side) for side in sides]

    (default,) = DefaultBoxGenerator(ratios)(images, maps)

    assert default.shape == (boxes, 4)
    centre = (default[0, :2] + default[0, 2:]) / 2
    # The middle of the first place, of 38 or 20 a side; shares of the image, in float32.
    torch.testing.assert_close(centre, torch.tensor([150.0 / sides[0]] * 2))


def test_anchors_lie_around_the_top_left_of_each_place_in_whole_pixels():
    generator = AnchorGenerator(((8,), (16,)), ((1.0, 4.0),) * 2)
    images = ImageList(torch.zeros(2, 3, 32, 64), [(32, 64), (30, 60)])

    first, second = generator(images, [torch.zeros(2, 1, 4, 8), torch.zeros(2, 1, 2, 4)])

    assert torch.equal(first, second)
    assert len(first) == 2 * (4 * 8 + 2 * 4)
    assert first[:4].tolist() == [[-4, -4, 4, 4], [-2, -8, 2, 8], [4, -4, 12, 4], [6, -8, 10, 8]]


def test_scores_below_the_threshold_are_not_found():
    strict = small_retinanet()
    strict.score_thresh = 2.0

    (nothing,) = strict(example(1))

    assert nothing["boxes"].shape == (0, 4)
    assert len(nothing["scores"]) == len(nothing["labels"]) == 0
