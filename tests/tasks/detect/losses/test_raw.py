"""The numbers of positions in torch are those that NumPy reads for a device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from intaglio.boxes.parts import numbers
from intaglio.boxes.places import anchors_at
from intaglio.boxes.postprocess import Grid, Part, Unplaced
from intaglio.errors import DataError
from intaglio.tasks.detect.losses.raw import anchored, part_numbers, raw_numbers
from tasks.detect.losses.made import POSTS, outputs_for

GRID = Grid(2, 3, 8, 8, 4, 4, ((-1, -1, 1, 1), (-2, -1, 2, 1)))
SHAPES = {
    "map": (10, 2, 3),
    "map-last": (2, 3, 10),
    "anchor-maps": (2, 2, 3, 5),
    "rows": (14, 5),
    "columns": (5, 14),
}


@pytest.mark.parametrize("layout", SHAPES)
def test_every_layout_is_read_as_on_a_device_and_gradients_come_back(layout):
    output = torch.randn(3, *SHAPES[layout], generator=torch.Generator().manual_seed(0))
    output.requires_grad_()
    part = Part(0, layout, 5, 1, 3, start=1 if layout in ("rows", "columns") else 0)

    found = part_numbers(part, GRID, [output])
    found.sum().backward()

    for picture in range(3):
        wanted = numbers(part, GRID, [output.detach().numpy()], picture)
        assert np.array_equal(found[picture].detach().numpy(), wanted)
    assert output.grad.sum() == found.numel()  # each number that is read once, no other
    assert set(output.grad.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("name", POSTS)
def test_levels_stand_behind_one_another_as_their_anchors_do(name):
    post = POSTS[name]()
    outputs = outputs_for(post, 2)

    raw, places = raw_numbers(post, outputs), anchored(post, outputs[0])

    count = sum(level.places.count for level in post.levels)
    assert raw.boxes.shape == (2, count, 4)
    assert raw.scores.shape == (2, count, post.classes)
    assert (raw.objectness is None) == (post.levels[0].objectness is None)
    start = 0
    for number, level in enumerate(post.levels):
        rows = slice(start, start + level.places.count)
        own = anchors_at(level.places, np.arange(level.places.count))
        assert np.array_equal(places.boxes[rows].numpy(), own.boxes)
        assert np.array_equal(places.points[rows].numpy(), own.points)
        assert set(places.levels[rows].tolist()) == {number}
        assert places.steps[start].tolist() == list(own.step)
        plain = [output.detach().numpy() for output in outputs]
        scores = numbers(level.scores, level.places, plain, 1)
        assert np.array_equal(raw.scores[1, rows].detach().numpy(), scores)
        start = rows.stop


@pytest.mark.parametrize(
    ("part", "shape"),
    [
        (Part(1, "map", 5, 0, 5), (10, 2, 3)),
        (Part(0, "map", 5, 0, 5), (10, 3, 2)),
        (Part(0, "rows", 5, 0, 5), (11, 5)),
        (Part(0, "columns", 5, 0, 5), (14, 5)),
    ],
)
def test_outputs_of_another_shape_are_refused(part, shape):
    with pytest.raises(DataError, match="output"):
        part_numbers(part, GRID, [torch.zeros(1, *shape)])


def test_rows_need_no_grid():
    output = torch.arange(8.0).reshape(1, 2, 4)

    assert torch.equal(part_numbers(Part(0, "rows", 4, 0, 4), Unplaced(2), [output]), output)
