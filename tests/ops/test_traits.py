"""What the table says of an op is true of its float function, and not said where it is false."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from architectures.sketch import Sketch
from intaglio.cost.macs import count_macs
from intaglio.ir.graph import Node
from intaglio.ops import OPS
from intaglio.ops.traits import (
    ELEMENTWISE,
    GIVEN,
    MOVING,
    SHARING,
    TRAITS,
    WEIGHTED,
    carries_activation,
    commutes_with_scale,
    never_negative,
)
from intaglio.passes.channels import BY_AXES
from ops.samples import INFINITE, SAMPLED, Sample, sample

COMPUTED = [op for op in SAMPLED if op not in GIVEN]
ROUNDED = "quantize"
"""Its float function is the identity: what it does is its grid's, and of that the table speaks."""
CHOOSING = {"maximum", "minimum", "where"}
"""Their values are some of their inputs', and which ones is computed from all of them."""
RELU, RELU6 = (0.0, INFINITE), (0.0, 6.0)


def with_trait(name: str, *values: object) -> list[str]:
    return [op for op in COMPUTED if getattr(TRAITS[op], name) in values]


def test_the_lists_that_are_derived():
    assert WEIGHTED == {"conv2d": 0, "linear": 0, "conv_transpose2d": 1}
    assert {"input", "constant"} == GIVEN
    moving = "concat depth_to_space max_pool2d pad reduce_max reshape slice take transpose"
    assert set(moving.split()) == MOVING
    assert MOVING | {"resize", "avg_pool2d"} == SHARING
    gates = "function hard_sigmoid hard_swish leaky_relu prelu sigmoid silu tanh"
    others = "add affine batch_norm clamp compare div mul quantize rescale sub"
    assert CHOOSING | set(f"{gates} {others}".split()) == ELEMENTWISE
    holding = "add affine clamp conv2d conv_transpose2d linear max_pool2d mul sub"
    assert {op for op in OPS if carries_activation(op)} == set(holding.split())


@pytest.mark.parametrize("op", COMPUTED)
def test_only_ops_that_move_values_give_none_but_their_inputs_and_padding(op):
    tried = sample(op)

    known = torch.cat([x.flatten() for x in tried.inputs] + [torch.zeros(1)])

    assert bool(torch.isin(tried(), known).all()) == (op in MOVING | CHOOSING or op == ROUNDED)


@pytest.mark.parametrize("op", COMPUTED)
def test_only_ops_that_move_values_or_average_keep_a_constant(op):
    tried = sample(op, **({"padding": (0, 0)} if op == "pad" else {}))
    levels = torch.tensor([2.0, -2.0])

    found = [tried([torch.full_like(x, float(level)) for x in tried.inputs]) for level in levels]

    kept = all(torch.allclose(y, level) for y, level in zip(found, levels, strict=True))
    assert kept == (TRAITS[op].values in ("moved", "mean") or op in CHOOSING | {ROUNDED})


@pytest.mark.parametrize("op", COMPUTED)
def test_an_op_has_the_degree_that_it_is_said_to_have_and_no_other(op):
    tried = sample(op, **({"activation": RELU} if op == "clamp" else {}))
    # floats are multiplied with a power of two without rounding
    before, behind = tried(), tried([4.0 * x for x in tried.inputs])

    found = [degree for degree in range(4) if torch.equal(behind, 4.0**degree * before)]

    expected = 1 if op == ROUNDED else TRAITS[op].degree
    assert found == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("tried", "expected"),
    [
        (sample("clamp", activation=RELU), True),
        (sample("clamp", activation=RELU6), False),
        (sample("clamp", activation=(-INFINITE, 0.0)), True),
        (sample("add", activation=RELU), True),
        (sample("add", activation=RELU6), False),
        (sample("max_pool2d", activation=RELU6), False),
        (sample("pad", value=1.0), False),
        (sample("mul"), False),
        (sample("sigmoid"), False),
        (sample("conv2d"), True),
        (sample("conv2d", {"weight": (4, 4, 1, 1), "bias": (4,)}), False),
        (sample("linear", activation=RELU), True),
    ],
)
def test_a_scale_commutes_with_an_op_where_its_settings_let_it(tried, expected):
    before, behind = tried(), tried([32.0 * x for x in tried.inputs])

    assert commutes_with_scale(tried.node) == expected
    assert torch.equal(behind, 32.0 * before) == expected


def touched(tried: Sample, *where: slice | int) -> Tensor:
    """Return which values change with those of all inputs, each by its own step, at a place."""
    others = [x.clone() for x in tried.inputs]
    for index, other in enumerate(others):
        other[where] += 1.7 * (1 + index)
    return tried(others) != tried()


@pytest.mark.parametrize("op", with_trait("channels", "apart"))
def test_channels_stay_apart_where_they_are_said_to(op):
    changed = touched(sample(op), slice(None), 1).transpose(0, 1).flatten(1).any(1)

    assert changed.tolist() == [False, True, False, False]


@pytest.mark.parametrize("op", with_trait("channels", "groups"))
def test_groups_of_channels_stay_apart(op):
    weight = (6, 2, 3, 3) if op == "conv2d" else (4, 3, 3, 3)
    tried = sample(op, {"weight": weight}, groups=2)

    changed = touched(tried, slice(None), 1).transpose(0, 1).flatten(1).any(1)

    assert changed.tolist() == [True] * 3 + [False] * 3


@pytest.mark.parametrize("op", with_trait("channels", "mixed"))
def test_channels_mix_where_nothing_else_is_said(op):
    changed = touched(sample(op), slice(None), 1)

    assert changed.transpose(0, 1).flatten(1).any(1).sum() > 1 or changed.shape[1] == 1


AXES = {
    "concat": ({"axis": 2}, {"axis": 1}),
    "mean": ({"axes": (2,)}, {"axes": (1, 2)}),
    "pad": ({"padding": (1, 1, 0, 2)}, {"padding": (0, 0, 0, 0, 1, 0)}),
    "reduce_max": ({"axes": (2,)}, {"axes": (1, 2)}),
    "reshape": ({"shape": (-1, 4, 6, 2, 3)}, {"shape": (-1, 6, 4, 6)}),
    "slice": ({"axis": 3}, {"axis": 1, "start": 1, "stop": 4, "step": 1}),
    "take": ({"axis": 3}, {"axis": 1}),
}
"""Settings with which channels stay apart, and with which they do not."""


def test_every_op_whose_axes_decide_has_its_rule_and_its_case():
    assert set(AXES) == set(BY_AXES) == set(with_trait("channels", "axes"))


@pytest.mark.parametrize("op", AXES)
@pytest.mark.parametrize("apart", [True, False])
def test_whether_channels_stay_apart_follows_from_the_axes(op, apart):
    tried = sample(op, **AXES[op][not apart])

    changed = touched(tried, slice(None), 1).transpose(0, 1).flatten(1).any(1)

    assert (changed.tolist() == [False, True, False, False]) == apart
    graph = tried.graph()
    assert BY_AXES[op](graph, graph["node"]) == apart


@pytest.mark.parametrize("op", [op for op in COMPUTED if op not in ("linear", "matmul")])
def test_only_elementwise_ops_and_stacked_channels_keep_every_place(op):
    tried = sample(op)
    here = torch.zeros(6, 6, dtype=torch.bool)
    here[2, 3] = True

    changed = touched(tried, slice(None), slice(None), 2, 3)
    places = changed.flatten(0, 1).any(0) if changed.ndim == 4 else changed

    keeps = places.shape == here.shape and torch.equal(places, here)
    assert keeps == (TRAITS[op].places == "same" or op in ("concat", "softmax", "take"))


@pytest.mark.parametrize("op", with_trait("places", "near"))
def test_what_is_near_one_corner_is_not_near_the_other(op):
    changed = touched(sample(op), slice(None), slice(None), slice(0, 2), slice(0, 2))

    assert changed.any()
    assert not changed[:, :, -1, -1].any()


@pytest.mark.parametrize("op", COMPUTED)
def test_values_are_never_negative_where_it_is_said_and_nowhere_else(op):
    tried = sample(op)
    positive, negative = (tried([sign * x.abs() for x in tried.inputs]) for sign in (1.0, -1.0))

    always = bool((torch.stack([tried(), positive, negative]) >= 0.0).all())
    kept = bool((positive >= 0.0).all())

    assert (always, kept) == {
        "plus": (True, True),
        "kept": (False, True),
        "any": (False, False),
    }[TRAITS[op].sign]


@pytest.mark.parametrize(
    ("activation", "op", "attrs", "expected"),
    [
        (RELU, "rescale", {"factor": 2.0}, True),
        (RELU, "mean", {"axes": (2, 3), "keepdim": True}, True),
        (RELU, "pad", {"padding": (1, 1)}, True),
        (RELU, "pad", {"padding": (1, 1), "value": -1.0}, False),
        (RELU, "clamp", {"activation": (-1.0, 1.0)}, True),
        (RELU, "clamp", {"activation": (-2.0, -1.0)}, False),
        (None, "clamp", {"activation": RELU6}, True),
        (None, "sigmoid", {}, True),
        (None, "hard_swish", {}, False),
        ((-1.0, 1.0), "resize", {"size": (9, 9)}, False),
    ],
)
def test_the_sign_of_a_value_follows_from_what_it_is_made_of(activation, op, attrs, expected):
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 4, activation=activation)
    sketch.add("node", op, "conv", **attrs)

    assert never_negative(sketch.done(), "node") == expected


def test_the_sign_is_found_at_once_where_paths_multiply():
    graph = sample("sigmoid").graph()
    value = "node"
    for index in range(50):  # 2**50 paths
        value = graph.add(Node(f"sum{index}", "add", [value, value], {}, {"activation": None})).name

    assert never_negative(graph, value)


@pytest.mark.parametrize("op", SAMPLED)
def test_an_op_needs_the_weights_that_it_is_said_to_need_and_no_others(op):
    weights, tried = TRAITS[op].weights, sample(op)

    assert set(weights.needed) <= set(OPS[op].roles)
    least = {role: tried.params[role] for role in weights.needed}
    Sample(tried.node, tried.inputs, least)()
    for role in weights.needed:
        rest = {name: value for name, value in least.items() if name != role}
        with pytest.raises(KeyError, match=role):
            Sample(tried.node, tried.inputs, rest)()
    if weights.rank is not None:
        assert tried.params["weight"].ndim == weights.rank


@pytest.mark.parametrize("op", WEIGHTED)
def test_one_axis_of_the_weight_makes_the_output_channels(op):
    tried = sample(op)
    before = tried()

    tried.params["weight"].select(WEIGHTED[op], 2).add_(1.0)

    changed = (tried() != before).transpose(0, 1).flatten(1).any(1)
    assert changed.tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("op", COMPUTED)
def test_macs_are_half_of_the_operations_that_torch_counts(op):
    tried = sample(op)
    with FlopCounterMode(display=False) as counter:
        tried()

    images = len(tried.inputs[0])
    assert 2 * images * count_macs(tried.graph())["node"] == counter.get_total_flops()


@pytest.mark.parametrize("op", [op for op in OPS if carries_activation(op)])
def test_a_fused_activation_is_a_clamp_behind_the_op(op):
    bounds = (-0.25, 0.375)
    plain = {"activation": (-INFINITE, INFINITE) if op == "clamp" else None}

    fused = sample(op, activation=bounds)()

    assert torch.equal(fused, sample(op, **plain)().clamp(*bounds))
