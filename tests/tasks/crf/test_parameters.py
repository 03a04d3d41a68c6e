"""Parameters of a field: those that make no sense are refused with their names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from intaglio.errors import RequestError
from intaglio.tasks.crf.parameters import DEEPLAB_VOC, WRAPPER


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gaussian_weight", -1.0),
        ("bilateral_weight", float("inf")),
        ("gaussian_xy", 0.0),
        ("bilateral_xy", float("nan")),
        ("bilateral_rgb", -3.0),
        ("iterations", 0),
        ("damping", 1.0),
        ("damping", -0.1),
        ("compatibility", ()),
        ("compatibility", ((0.0, 1.0),)),
        ("compatibility", ((0.0, 1.0), (2.0, 0.0))),
        ("compatibility", ((float("nan"),),)),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(name, value):
    with pytest.raises(RequestError, match=name):
        replace(DEEPLAB_VOC, **{name: value})


def test_a_weight_of_0_leaves_a_kernel_out_and_is_allowed():
    assert replace(WRAPPER, gaussian_weight=0.0).gaussian_weight == 0


def test_the_presets_are_those_that_were_published():
    assert (DEEPLAB_VOC.bilateral_weight, DEEPLAB_VOC.bilateral_xy) == (4, 67)
    assert (DEEPLAB_VOC.bilateral_rgb, DEEPLAB_VOC.iterations) == (3, 10)
    assert (WRAPPER.bilateral_weight, WRAPPER.bilateral_xy, WRAPPER.bilateral_rgb) == (10, 80, 13)
    assert WRAPPER.iterations == 5
