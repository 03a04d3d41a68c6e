"""The parts of the test detectors compute what the papers say."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from detectors.torchvision_style.anchors import AnchorGenerator, DefaultBoxGenerator
from detectors.torchvision_style.boxes import batched_nms, nms, overlaps, resize_boxes
from detectors.torchvision_style.coders import BoxCoder, BoxLinearCoder
from detectors.torchvision_style.masks import paste_masks
from detectors.torchvision_style.roi_align import LevelMapper, roi_align
from detectors.torchvision_style.transform import GeneralizedRCNNTransform, ImageList


def random_boxes(count: int, seed: int = 0, side: float = 40.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand((count, 2), generator=generator) * side
    return torch.cat((start, start + 1 + torch.rand((count, 2), generator=generator) * 20), 1)


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
