"""Settings of ops: what each may hold, by type and range, and how a wrong one is named."""

from __future__ import annotations

import math

import pytest

from intaglio.errors import GraphError
from intaglio.ir.graph import Node
from intaglio.ops import OPS, check_node
from intaglio.ops.attributes import (
    ACTIVATION,
    AXES,
    AXIS,
    BOUNDS,
    COUNT,
    FINITE,
    FLAG,
    INDEX,
    MARGIN_PAIR,
    MARGINS,
    NON_NEGATIVE,
    ORDER,
    PADDING,
    POSITIVE,
    REAL,
    SCALES,
    SHAPE,
    STEP,
    STEP_PAIR,
    words,
)

HUGE, INF = 2**40, math.inf
ALLOWED = {
    STEP: [1, 3, 2**16],
    COUNT: [1, 2**31 - 1],
    INDEX: [0, 5],
    AXIS: [1, 3],
    STEP_PAIR: [(1, 1), (3, 2)],
    MARGIN_PAIR: [(0, 0), (1, 2)],
    MARGINS: [(0, 0, 0, 0), (0, 1, 2, 3)],
    AXES: [(2, 3), (3, 2), (1,)],
    ORDER: [(0, 2, 1), (0,), (0, 3, 1, 2)],
    SHAPE: [(-1, 10), (1, 3, 1, 1), (), (4, 0)],
    PADDING: [(), (1, 1), (0, 0, 0, 0, 8, 8)],
    FLAG: [True, False],
    BOUNDS: [(0.0, INF), (-INF, 0.5), (1.0, 1.0)],
    ACTIVATION: [None, (0.0, 6.0)],
    REAL: [0.0, -INF],
    FINITE: [0.1, -3.0],
    NON_NEGATIVE: [0.0, 1e-5],
    POSITIVE: [1e-40, 2.5],
    SCALES: [(2.0, 0.5)],
    words("nearest", "bilinear"): ["nearest", "bilinear"],
}
REFUSED = {
    STEP: [0, -1, 2**16 + 1, HUGE, True, 1.0, "1", None, (1,)],
    COUNT: [0, 2**31, 2.0],
    INDEX: [-1, False],
    AXIS: [0, -1, 64, 1.0, "channels"],
    STEP_PAIR: [(1,), (1, 1, 1), (0, 1), (1, HUGE), (1.0, 1), (True, True), [1, 1], 1, ((1, 1), 1)],
    MARGIN_PAIR: [(-1, 0), (0,), 0],
    MARGINS: [(0, 0), (0, 0, 0, -1), (0, 0, 0, HUGE), "0000"],
    AXES: [(), (2, 2), (0, 1), 2, ("h", "w"), ([2], 3)],
    ORDER: [(), (1, 0), (0, 2), (0, 1, 1), (0, True), (0, "a"), 0],
    SHAPE: [(-1, -1), (2, -1), (-2, 3), (1.0, 2), (-1, HUGE), 7, (1,) * 65],
    PADDING: [(1,), (1, -1), (1, HUGE), 3, (0.0, 0.0)],
    FLAG: [0, 1, None, "False", ()],
    BOUNDS: [
        None,
        (6.0, 0.0),
        (math.nan, 1.0),
        (0.0, math.nan),
        (0, 6),
        (0.0,),
        (True, True),
        6.0,
        (0.0, 1e300),
    ],
    ACTIVATION: [(6.0, 0.0), "relu", 0.0, ()],
    REAL: [math.nan, 0, None, "0", 1e39, (0.0,), 10**400],
    FINITE: [INF, math.nan, 1, -1e300],
    NON_NEGATIVE: [-1e-9, INF, math.nan],
    POSITIVE: [0.0, -1.0, INF, math.nan, 1],
    SCALES: [(0.0, 1.0), (INF, 1.0), (1e6, 1.0), (2, 2), 2.0],
    words("nearest", "bilinear"): ["bicubic", None, 0, ("nearest",)],
}


@pytest.mark.parametrize("rule", ALLOWED, ids=lambda rule: rule.allowed)
def test_what_ops_need_is_allowed(rule):
    assert [value for value in ALLOWED[rule] if not rule.holds(value)] == []


@pytest.mark.parametrize("rule", REFUSED, ids=lambda rule: rule.allowed)
def test_other_types_and_sizes_are_refused(rule):
    assert [value for value in REFUSED[rule] if rule.holds(value)] == []


def test_every_setting_of_every_op_refuses_what_none_of_them_can_be():
    for name in set(OPS) - {"opaque"}:  # whose call is kept as it was
        for setting, rule in OPS[name].attributes.items():
            for value in ({}, object(), "", math.nan, -HUGE, (math.nan,) * 2, ((),)):
                assert not rule.holds(value), (name, setting, value)


def test_a_wrong_setting_is_named_with_node_op_value_and_what_is_allowed():
    attrs = {"stride": (1, -2), "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1}
    node = Node("stem", "conv2d", ["x"], {}, {**attrs, "activation": None})

    with pytest.raises(
        GraphError,
        match=r"node 'stem' \(conv2d\) has stride = \(1, -2\), not 2 values, each a whole number"
        r" from 1 to 65536",
    ):
        check_node(node)


def test_a_long_value_does_not_fill_the_message():
    node = Node("relu", "clamp", ["x"], {}, {"activation": "A\n" * 10_000})

    with pytest.raises(GraphError) as refusal:
        check_node(node)

    assert len(str(refusal.value)) < 250
    assert "\n" not in str(refusal.value)
