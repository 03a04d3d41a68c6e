"""Where a picture lies in the input: boxes there and back, and drawn squares that land there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from intaglio.boxes.detections import Detections
from intaglio.data.placed import placed, placement
from intaglio.data.preprocess import Preprocess, apply_as_array
from intaglio.data.truth import Placement
from intaglio.errors import DataError
from intaglio.tasks.detect.placed import placed_back
from tasks.detect.scenes import truth

WAYS = {
    "stretch": Preprocess(fit="stretch"),
    "letterbox": Preprocess(fit="letterbox"),
    "resize and crop": Preprocess(resize=96, crop=64),
    "crop alone": Preprocess(crop=64),
    "as it is": Preprocess(),
}


def shape_for(name: str, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return an input that the preprocessing gives for a picture of this (height, width)."""
    if name in ("stretch", "letterbox"):
        return (1, 3, 72, 112)
    return (1, 3, *size) if name == "as it is" else (1, 3, 64, 64)


def into(boxes: np.ndarray, place: Placement) -> np.ndarray:
    """Return boxes [n, 4] of the picture where they lie in the input, in float64."""
    scale = np.array([place.scale_x, place.scale_y] * 2)
    return boxes * scale + np.array([place.left, place.top] * 2)


@given(
    size=st.tuples(st.integers(8, 4000), st.integers(8, 4000)),
    side=st.integers(32, 1280),
    kind=st.sampled_from(["stretch", "letterbox"]),
    at=st.tuples(*[st.floats(0, 1)] * 4),
)
def test_a_box_mapped_into_the_input_and_back_is_itself_to_float32_rounding(size, side, kind, at):
    edges = np.array([at[0] * size[1], at[1] * size[0], at[2] * size[1], at[3] * size[0]])
    boxes = np.sort(edges.reshape(2, 2), axis=0).reshape(1, 4).astype(np.float32)
    place = placement(Preprocess(fit=kind), size, (1, 3, side, side))

    seen = into(boxes.astype(np.float64), place).astype(np.float32)
    found = Detections(seen, np.ones(1, np.float32), np.zeros(1, np.int64))
    own = replace(truth((boxes[0], 0), size=size), placement=place)
    back = placed_back(found, own, clip=False).boxes

    # Half a step of float32 at the input's largest coordinate, and another at the picture's; each
    # grows by the division.
    largest = max(side / min(place.scale_x, place.scale_y), *size)
    assert np.abs(back - boxes).max() <= 4 * np.spacing(np.float32(largest))


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("size", [(120, 160), (160, 120), (101, 77)])
def test_pixels_of_a_drawn_square_land_where_the_placement_says(name, size):
    height, width = size
    x, y = width // 2, height // 2
    square = (x - 14, y - 10, x + 16, y + 12)  # left, top, right, bottom: inside of every crop
    image = Image.new("RGB", (width, height))
    ends = (x - 14, y - 10, x + 15, y + 11)  # Pillow fills both
    ImageDraw.Draw(image).rectangle(ends, fill=(255, 255, 255))
    shape = shape_for(name, size)

    seen = apply_as_array(WAYS[name], image, shape, name="a.png")[0]  # [H, W], 1 inside
    seen[seen == np.float32(114) / np.float32(255)] = 0  # bars

    left, top, right, bottom = into(
        np.array(square, np.float64), placement(WAYS[name], size, shape)
    )
    rows, columns = np.nonzero(seen > 0.5)
    # a pixel is more than half white where its middle is inside, and its neighbours are half a
    # pixel away: what lies between is the filter's choice
    assert abs(rows.min() - top) <= 0.75
    assert abs(rows.max() + 1 - bottom) <= 0.75
    assert abs(columns.min() - left) <= 0.75
    assert abs(columns.max() + 1 - right) <= 0.75
    inside = (right - left) * (bottom - top)
    # the light is what was drawn: brightness is kept to a level of 1/255 a pixel
    assert seen.sum() == pytest.approx(inside, rel=0.03)


@pytest.mark.parametrize(
    ("preprocess", "size", "shape", "place"),
    [
        (Preprocess(fit="stretch"), (480, 640), (1, 3, 320, 160), Placement(0.25, 2 / 3, 0.0, 0.0)),
        (Preprocess(fit="letterbox"), (480, 640), (1, 3, 320, 320), Placement(0.5, 0.5, 0.0, 40.0)),
        # 425 / 2 = 212.5 pixels are 212: exactly these, not half of the picture's
        (
            Preprocess(fit="letterbox"),
            (425, 640),
            (1, 3, 320, 320),
            Placement(0.5, 212 / 425, 0.0, 54.0),
        ),
        (Preprocess(), (32, 32), (1, 3, 32, 32), Placement()),
        # 300 x 400 to 256 x 341, of which 224 are cut out of the middle: 58.5 to even is 58
        (
            Preprocess(resize=256, crop=224),
            (300, 400),
            (1, 3, 224, 224),
            Placement(341 / 400, 256 / 300, -58.0, -16.0),
        ),
    ],
)
def test_placements_by_hand(preprocess, size, shape, place):
    assert placement(preprocess, size, shape) == place


def test_a_truth_learns_its_size_and_its_place_and_keeps_all_else():
    own = truth(([1, 2, 3, 4], 5), crowd=[0])

    found = placed(own, (48, 64), (Preprocess(fit="stretch"), (1, 3, 24, 32)), name="a.png")

    assert (found.size, found.placement) == ((48, 64), Placement(0.5, 0.5))
    assert found.boxes is own.boxes
    assert found.classes is own.classes
    assert found.crowd is own.crowd
    assert found.areas is own.areas
    assert own.size is None


@pytest.mark.parametrize("size", [(64, 48), (48, 63), (1, 1)])
def test_labels_of_a_picture_of_another_size_are_refused_by_name(size):
    own = truth(([1, 2, 3, 4], 0), size=size)

    with pytest.raises(DataError) as caught:
        placed(own, (48, 64), (Preprocess(fit="stretch"), (1, 3, 24, 32)), name="pictures/a.png")

    said = str(caught.value)
    assert said.startswith("pictures/a.png: the picture is 64x48 pixels")
    assert f"its labels are for {size[1]}x{size[0]}" in said
