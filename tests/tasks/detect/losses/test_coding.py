"""Boxes to numbers and back."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

from intaglio.boxes.coders import Centers, Darknet, Deltas, Distances, YoloV5
from intaglio.boxes.decode import corners
from intaglio.boxes.places import Anchors
from intaglio.tasks.detect.losses.coding import decoded, encoded
from intaglio.tasks.detect.losses.raw import Anchored

LOW, SIDE = st.floats(-50, 300, width=32), st.floats(4, 400, width=32)
BOX = st.tuples(LOW, LOW, SIDE, SIDE)
WEIGHTS = st.sampled_from([(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)])
CODERS = (
    Darknet(),
    Darknet(1.1),
    YoloV5(),
    Distances(),
    Distances("pixels", "exp"),
    Distances("anchor", "none"),
)


def as_corners(box):
    return [box[0], box[1], box[0] + box[2], box[1] + box[3]]


@given(BOX, BOX, WEIGHTS, st.sampled_from(["xywh", "yxhw"]))
def test_what_is_encoded_is_decoded_to_itself(box, anchor, weights, order):
    coder = Deltas(weights, limit=None, order=order)
    boxes, anchors = (torch.tensor([as_corners(one)], dtype=torch.float64) for one in (box, anchor))

    numbers = encoded(coder, boxes, anchors).numpy().astype(np.float32)
    places = Anchors(anchors.numpy().astype(np.float32), np.zeros((1, 2), np.float32), (0.0, 0.0))
    back = corners(coder, numbers, places, (1, 1))

    # float32 carries 24 bits: of coordinates below 1000, and of numbers below 800 whose error is
    # multiplied by anchors of up to 400 pixels
    assert np.abs(back - boxes.numpy()).max() < 1e-3


def test_an_anchor_that_is_the_box_needs_no_numbers():
    box = torch.tensor([[3.0, 4.0, 13.0, 24.0]])

    assert torch.equal(encoded(Deltas(), box, box), torch.zeros(1, 4))


def test_deltas_are_what_the_paper_says():
    coder = Deltas((10.0, 10.0, 5.0, 5.0))
    anchor, box = torch.tensor([[0.0, 0, 10, 20]]), torch.tensor([[5.0, 10, 25, 30]])

    found = encoded(coder, box, anchor)

    # the centre moves by one width and by half a height; the width doubles, the height stays
    assert torch.allclose(found, torch.tensor([[10.0, 5.0, 5 * math.log(2), 0.0]]))


@pytest.mark.parametrize("coder", CODERS, ids=repr)
def test_boxes_are_decoded_as_on_a_device_and_gradients_come_back(coder):
    generator = torch.Generator().manual_seed(1)
    numbers = torch.randn(2, 7, 4, generator=generator, requires_grad=True)
    low = 60 * torch.rand(7, 2, generator=generator)
    boxes = torch.cat((low, low + 5 + 20 * torch.rand(7, 2, generator=generator)), 1)
    points = 0.5 * (boxes[:, :2] + boxes[:, 2:])
    places = Anchored(boxes, points, torch.full((7, 2), 8.0), torch.zeros(7, dtype=torch.int64))

    found = decoded(coder, numbers, places)
    found.square().sum().backward()

    own = Anchors(boxes.numpy(), points.numpy(), (8.0, 8.0))
    for picture in range(2):
        wanted = corners(coder, numbers[picture].detach().numpy(), own, (64, 64))
        # the same products and sums in float32, of exponentials that may differ in the last bit
        assert np.allclose(found[picture].detach().numpy(), wanted, rtol=1e-5, atol=1e-4)
    assert bool((numbers.grad != 0).any(0).any(0).all())


def test_a_coder_that_no_loss_decodes_is_refused():
    places = Anchored(torch.zeros(1, 4), torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1))
    with pytest.raises(NotImplementedError, match="Centers"):
        decoded(Centers(), torch.zeros(1, 1, 4), places)
