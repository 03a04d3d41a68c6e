"""Which outputs are maps of classes, and how they are read."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from intaglio.errors import DataError
from intaglio.maps.postprocess import MapPostProcess
from intaglio.tasks.segment.outputs import has_nan, misfit_of, output_size, post_of, scores_of


def test_a_first_output_with_several_channels_has_a_score_for_each_class():
    assert misfit_of(None, [(-1, 5, 8, 9), (-1, 3)]) is None
    assert post_of(None, [(2, 5, 8, 9)]) == MapPostProcess(5)


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((4, 1, 8, 8), "one channel, and whether that is a probability or a logit is not known"),
        ((4, 10), r"needs a first output \[N, classes, h, w\], this network gives \[4, 10\]"),
        ((4, 10, 1, 1), "a class of the picture, not of its pixels"),
        ((4, 256, 8, 8), "256 channels are more classes than 255"),
    ],
)
def test_other_outputs_are_misfit_and_it_is_said_why(shape, wanted):
    with pytest.raises(DataError, match=wanted):
        post_of(None, [shape])


def test_no_output_at_all_is_misfit():
    assert "this network gives []" in misfit_of(None, [])


def test_a_given_postprocess_says_which_output_and_what_shape():
    auxiliary = MapPostProcess(5, output=1)
    share, index = MapPostProcess(2, rule="threshold"), MapPostProcess(5, rule="index")

    assert misfit_of(auxiliary, [(1, 3), (1, 5, 8, 8)]) is None
    assert misfit_of(share, [(1, 1, 8, 8)]) is None
    assert misfit_of(index, [(1, 8, 8)]) is None
    assert "from output 1, and the network has 1" in misfit_of(auxiliary, [(1, 5, 8, 8)])
    assert "as [N, 5, h, w], and it is [1, 4, 8, 8]" in misfit_of(MapPostProcess(5), [(1, 4, 8, 8)])
    assert "as [N, 1, h, w], and it is [1, 2, 8, 8]" in misfit_of(share, [(1, 2, 8, 8)])
    assert "as [N, h, w], and it is [1, 1, 8, 8]" in misfit_of(index, [(1, 1, 8, 8)])


def test_scores_come_picture_by_picture_as_float32_and_classes_as_they_are():
    halves, classes = torch.ones(2, 3, 4, 5, dtype=torch.bfloat16), torch.ones(2, 4, 5).long()

    scores = list(scores_of(MapPostProcess(3), [halves]))
    indices = list(scores_of(MapPostProcess(3, rule="index"), [classes]))

    assert [(each.shape, each.dtype) for each in scores] == [((3, 4, 5), np.float32)] * 2
    assert [(each.shape, each.dtype) for each in indices] == [((4, 5), np.int64)] * 2
    assert output_size(MapPostProcess(3), [halves]) == (4, 5)


def test_nan_is_seen_in_any_output_and_infinity_is_none():
    good, bad = torch.zeros(2, 3, 4, 4), torch.zeros(2, 7)
    good[0, 0, 0, 0] = math.inf

    assert not has_nan([good, bad])
    bad[1, 3] = math.nan
    assert has_nan([good, bad])
