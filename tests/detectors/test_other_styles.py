"""The test detectors that take one tensor: as YOLOv8, YOLOv5 and CenterNet are laid out."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from detectors.centernet_style import CLASSES, HEADS, STRIDE, decode, small_centernet
from detectors.pictures import batch
from detectors.ultralytics_style import DFL, small_yolov8
from detectors.yolov5_style import ANCHORS, STRIDES, small_yolov5

PLACES = 12 * 16 + 6 * 8 + 3 * 4
"""Of 96 x 128 at strides of 8, 16 and 32."""
MADE: dict[str, Callable[[], nn.Module]] = {
    "yolov8": small_yolov8,
    "yolov5": small_yolov5,
    "centernet": small_centernet,
}


@functools.cache
def detector(name: str) -> nn.Module:
    return MADE[name]()


def sure(scores: Tensor) -> list[int]:
    """Return how many places [N, P] of each picture have a class above a quarter."""
    return (scores > 0.25).sum(1).tolist()


def test_yolov8_gives_boxes_and_scores_of_every_place_in_one_tensor():
    output = detector("yolov8")(batch(2))

    assert output.shape == (2, 4 + CLASSES, PLACES)
    assert output.isfinite().all()
    assert (output[:, 2:4] > 0).all()
    assert (output[:, 4:] >= 0).all()
    assert (output[:, 4:] <= 1).all()
    assert all(10 < count < PLACES for count in sure(output[:, 4:].amax(1)))
    assert 10 < output[:, 2:4].mean() < 80


def test_yolov8_gives_its_raw_maps_too_where_it_is_not_exported():
    decoded, maps = small_yolov8(export=False)(batch(1))

    assert torch.equal(decoded, detector("yolov8")(batch(1)))
    assert [tuple(one.shape) for one in maps] == [
        (1, 68, 12, 16),
        (1, 68, 6, 8),
        (1, 68, 3, 4),
    ]


def test_yolov8_follows_the_size_of_its_input():
    two = small_yolov8()
    before = two(batch(1))

    assert two(torch.zeros(1, 3, 64, 64)).shape == (1, 4 + CLASSES, 64 + 16 + 4)
    assert torch.equal(two(batch(1)), before)


def test_a_distribution_on_one_step_has_that_step_as_its_mean():
    sides = torch.full((1, 4, 16, 2), -100.0)
    sides[0, :, 3, 0] = sides[0, :, 15, 1] = 100.0

    assert DFL(16)(sides.flatten(1, 2)).tolist() == [[[3.0, 15.0]] * 4]


def test_yolov5_gives_decoded_boxes_and_a_list_of_raw_maps():
    decoded, maps = detector("yolov5")(batch(2))

    assert decoded.shape == (2, 3 * PLACES, 5 + CLASSES)
    assert [tuple(one.shape) for one in maps] == [
        (2, 3, 12, 16, 9),
        (2, 3, 6, 8, 9),
        (2, 3, 3, 4, 9),
    ]
    assert all(10 < count < 3 * PLACES for count in sure(decoded[..., 4]))


def test_yolov5_decodes_a_place_as_the_formula_says():
    decoded, maps = detector("yolov5")(batch(1))
    level, anchor, row, column = 1, 2, 3, 5
    raw = maps[level][0, anchor, row, column].sigmoid()
    stride, sizes = STRIDES[level], ANCHORS[level][2 * anchor : 2 * anchor + 2]
    index = 3 * 12 * 16 + anchor * 6 * 8 + row * 8 + column

    x, y = (2 * raw[0] - 0.5 + column) * stride, (2 * raw[1] - 0.5 + row) * stride
    wide, tall = (2 * raw[2]) ** 2 * sizes[0], (2 * raw[3]) ** 2 * sizes[1]

    # Another order of the same few float32 sums and products.
    torch.testing.assert_close(decoded[0, index, :4], torch.stack((x, y, wide, tall)))
    assert torch.equal(decoded[0, index, 4:], raw[4:])


def test_centernet_gives_three_maps_whose_peaks_are_boxes():
    (maps,) = detector("centernet")(batch(2))
    found = decode(maps)

    assert {name: tuple(one.shape) for name, one in maps.items()} == {
        name: (2, channels, 96 // STRIDE, 128 // STRIDE) for name, channels in HEADS.items()
    }
    assert found["boxes"].shape == (2, 40, 4)
    assert found["boxes"].isfinite().all()
    assert all(count > 10 for count in sure(found["scores"]))
    assert (found["scores"][:, 1:] < found["scores"][:, :-1]).all()
    assert found["labels"].max() < CLASSES


def test_a_single_peak_is_decoded_to_the_box_around_it():
    maps = {name: torch.full((1, channels, 6, 8), -9.0) for name, channels in HEADS.items()}
    maps["hm"][0, 2, 3, 5] = 9.0
    maps["wh"][:], maps["reg"][:] = torch.tensor([4.0, 2.0]).view(1, 2, 1, 1), 0.5

    found = decode(maps, most=1)

    assert found["labels"].tolist() == [[2]]
    assert found["boxes"].tolist() == [[[3.5 * 4, 2.5 * 4, 7.5 * 4, 4.5 * 4]]]


@pytest.mark.parametrize("name", MADE)
def test_the_same_seed_gives_the_same_weights(name):
    state, again = detector(name).state_dict(), MADE[name]().state_dict()

    assert all(torch.equal(value, again[key]) for key, value in state.items())
