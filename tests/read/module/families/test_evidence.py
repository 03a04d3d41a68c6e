"""What is seen of a detector: places, runs of outputs, limits, and what it returns."""

from __future__ import annotations

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from intaglio.boxes.anchors import anchor_grids, default_boxes
from intaglio.boxes.places import anchors_at
from intaglio.boxes.postprocess import Grid, Table
from intaglio.read.module.families.evidence import Anchors, picture_sizes
from intaglio.read.module.families.limits import holders_of, put, value_at
from intaglio.read.module.families.places import places_of
from intaglio.read.module.families.rig import detections_in
from intaglio.read.module.families.runs import Run, runs_of

SIZES = ((32.0,), (64.0,), (128.0,))


def boxes_of(grids: tuple[Grid, ...]) -> Tensor:
    made = [anchors_at(grid, np.arange(grid.count)).boxes for grid in grids]
    return torch.from_numpy(np.concatenate(made))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 30),
    columns=st.integers(1, 30),
    stride=st.sampled_from([4, 8, 16, 100]),
    scale=st.floats(0.1, 0.9),
    is_centred=st.booleans(),
)
def test_anchors_of_a_formula_become_a_grid_that_gives_them_again(
    rows, columns, stride, scale, is_centred
):
    size, maps = (rows * stride, columns * stride), [(rows, columns)]
    if is_centred:
        grids = default_boxes(size, maps, ratios=[(2.0,)], scales=[scale, 1.0])
    else:
        grids = anchor_grids(size, maps, sizes=[(scale * 300,)])
    boxes = boxes_of(grids)

    (found,) = places_of(Anchors(boxes, tuple(maps)), size)

    assert isinstance(found, Grid)
    again = anchors_at(found, np.arange(found.count)).boxes
    # float32 of up to 3000 pixels, and four decimals of an anchor's sides.
    np.testing.assert_allclose(again, boxes, atol=5e-4)


def test_a_grid_has_the_steps_of_its_formula_exactly():
    grids = anchor_grids((96, 128), [(12, 16), (6, 8), (3, 4)], sizes=SIZES)

    assert places_of(Anchors(boxes_of(grids), ((12, 16), (6, 8), (3, 4))), (96, 128)) == grids


def test_maps_of_different_numbers_of_anchors_need_the_parts_own_word():
    grids = default_boxes((96, 96), [(12, 12), (6, 6)], ratios=[(2.0,), (2.0, 3.0)])
    boxes, maps = boxes_of(grids), ((12, 12), (6, 6))

    told = places_of(Anchors(boxes, maps, (4, 6)), (96, 96))
    untold = places_of(Anchors(boxes, maps), (96, 96))

    assert [type(one) for one in told] == [Grid, Grid]
    assert [type(one) for one in untold] == [Table]
    assert untold[0].count == len(boxes)


def test_anchors_that_follow_no_formula_are_kept_as_they_are():
    boxes = torch.rand((12, 2), generator=torch.Generator().manual_seed(0)) * 50
    boxes = torch.cat((boxes, boxes + 9), 1)

    (found,) = places_of(Anchors(boxes, ((3, 4),)), (96, 128))

    assert isinstance(found, Table)
    assert torch.equal(torch.tensor(found.anchors), boxes)


def test_runs_are_found_side_by_side_and_interleaved():
    grids = anchor_grids((96, 128), [(12, 16), (6, 8), (3, 4)], sizes=SIZES)
    maps = [torch.zeros(1, 1, grid.rows, grid.columns) for grid in grids]
    by_kind = [one.expand(-1, 3 * width, -1, -1) for width in (4, 7) for one in maps]
    by_level = [by_kind[level + 3 * kind] for level in range(3) for kind in range(2)]

    assert Run((0, 1, 2), "map", 4) in runs_of(by_kind, grids)
    assert Run((3, 4, 5), "map", 7) in runs_of(by_kind, grids)
    assert runs_of(by_level, grids) == [Run((0, 2, 4), "map", 4), Run((1, 3, 5), "map", 7)]


def test_rows_of_all_levels_are_runs_and_each_levels_part_starts_behind_the_last():
    grids = anchor_grids((96, 128), [(12, 16), (6, 8)], sizes=SIZES[:2])
    total = sum(grid.count for grid in grids)

    (single, four) = runs_of([torch.zeros(2, total, 4), torch.zeros(2, total)], grids)

    assert (single, four) == (Run((1,), "rows", 1), Run((0,), "rows", 4))
    assert four.part(1, grids[0].count).start == grids[0].count


class Limited(nn.Module):
    """Says limits by attributes, by a method over a dict, and by what fails."""

    def __init__(self) -> None:
        super().__init__()
        self.nms_thresh, self.score_thresh, self.min_size = 0.7, 0.0, 1e-3
        self._pre_nms_top_n = {"training": 9, "testing": 60}
        self._post_nms_top_n = {"training": 9, "testing": 30}

    def pre_nms_top_n(self) -> int:
        return self._pre_nms_top_n["training" if self.training else "testing"]

    def post_nms_top_n(self) -> int:
        return self._post_nms_top_n["training" if self.training else "testing"]

    @property
    def topk_candidates(self) -> int:
        raise RuntimeError("ask me later")


def test_limits_are_read_from_attributes_and_from_methods():
    (holder,) = holders_of(Limited().eval())

    values = {name: setting.value for name, setting in holder.settings.items()}
    assert values == {"above": 0.0, "overlap": 0.7, "most": 30, "before": 60}
    assert (holder.stage, holder.smallest) == ("regions", 1e-3)


def test_a_limit_behind_a_method_can_be_set_and_a_property_cannot():
    part = Limited().eval()

    assert put(part, "pre_nms_top_n", 7)
    assert part.pre_nms_top_n() == 7
    assert not put(part, "topk_candidates", 7)
    assert value_at(part, "topk_candidates") is None


def test_limits_that_no_post_processing_has_are_no_limits():
    part = Limited().eval()
    part.nms_thresh = 50.0

    assert holders_of(part) == []


class Found(NamedTuple):
    """As some detectors return it."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor


def test_detections_are_found_in_dicts_tuples_and_objects():
    parts = torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([0.5]), torch.tensor([3])
    forms = [
        [dict(zip(("boxes", "scores", "labels"), parts, strict=True))],
        (Found(*parts),),
        [SimpleNamespace(pred_boxes=parts[0], conf=parts[1], cls=parts[2])],
        Found(*parts),
        [{"masks": torch.zeros(1, 1, 9, 9), "b": parts[0], "s": parts[1], "l": parts[2]}],
    ]

    for form in forms:
        found = detections_in(form)
        assert found is not None
        assert [own.classes.tolist() for own in found] == [[3]]
        assert found[0].boxes.tolist() == [[1, 2, 3, 4]]


def test_what_is_no_detections_is_not_taken_for_some():
    two = {"boxes": torch.zeros(2, 4), "scores": torch.zeros(3), "labels": torch.zeros(2).long()}

    assert detections_in([two]) is None
    assert detections_in(torch.zeros(3, 6)) is None
    assert detections_in([]) is None
    assert detections_in([{"boxes": torch.zeros(2, 4)}]) is None


def test_pictures_have_the_sizes_that_they_were_given_in():
    assert picture_sizes([torch.zeros(3, 9, 7), torch.zeros(3, 5, 4)]) == ((9, 7), (5, 4))
    assert picture_sizes(torch.zeros(2, 3, 9, 7)) == ((9, 7), (9, 7))
    assert picture_sizes({"image": torch.zeros(3, 9, 7)}) == ()
