"""The float meaning of each op, by closed forms and by torch's own modules."""

from __future__ import annotations

import math
import weakref

import pytest
import torch
import torch.nn.functional as F

from architectures import images
from architectures.sketch import Sketch
from intaglio.errors import GraphError, UnknownName
from intaglio.ir.graph import Node
from intaglio.ops import OPS, OpSchema, activate, check_node
from intaglio.run.float import infer_shapes, run_float

SHAPE = (4, 7, 8)
X = images((1, *SHAPE), 2)


def value(op: str, x: torch.Tensor = X, **attrs) -> torch.Tensor:
    sketch = Sketch(*x.shape[1:])
    sketch.add("op", op, "x", **attrs)
    return run_float(sketch.done(), x)[0]


@pytest.mark.parametrize(
    ("op", "attrs", "theirs"),
    [
        ("clamp", {"activation": (0.0, math.inf)}, F.relu),
        ("clamp", {"activation": (0.0, 6.0)}, F.relu6),
        ("clamp", {"activation": (-math.inf, 0.5)}, lambda x: x.clamp(max=0.5)),
        ("clamp", {"activation": (-0.5, math.inf)}, lambda x: x.clamp(min=-0.5)),
        ("leaky_relu", {"slope": 0.2}, lambda x: F.leaky_relu(x, 0.2)),
        ("hard_swish", {}, F.hardswish),
        ("hard_sigmoid", {}, F.hardsigmoid),
        ("sigmoid", {}, torch.sigmoid),
        ("tanh", {}, torch.tanh),
        ("silu", {}, F.silu),
        ("softmax", {"axis": 1}, lambda x: F.softmax(x, 1)),
        ("mean", {"axes": (2, 3), "keepdim": False}, lambda x: x.mean((2, 3))),
        ("adaptive_avg_pool2d", {"size": (3, 5)}, lambda x: F.adaptive_avg_pool2d(x, (3, 5))),
        ("transpose", {"order": (0, 3, 1, 2)}, lambda x: x.permute(0, 3, 1, 2)),
        ("slice", {"axis": 3, "start": 1, "stop": 8, "step": 3}, lambda x: x[..., 1:8:3]),
        ("reshape", {"shape": (-1, 28, 8)}, lambda x: x.flatten(1, 2)),
        ("pad", {"padding": (1, 2), "value": -1.0}, lambda x: F.pad(x, (1, 2), value=-1.0)),
        ("rescale", {"factor": 0.25}, lambda x: x / 4),
        ("concat", {"axis": 1}, lambda x: x),
        ("resize", {"size": (3, 20)}, lambda x: F.interpolate(x, (3, 20))),
        (
            "resize",
            {"size": (10, 12), "scales": (1.5, 1.5)},
            lambda x: F.interpolate(x, scale_factor=1.5),
        ),
        (
            "resize",
            {"size": (14, 16), "mode": "bilinear", "align_corners": True, "scales": (2.0, 2.0)},
            lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True),
        ),
        (
            "avg_pool2d",
            {"kernel": (3, 2), "stride": (2, 2), "padding": (1, 0), "ceil_mode": True},
            lambda x: F.avg_pool2d(x, (3, 2), 2, (1, 0), ceil_mode=True),
        ),
    ],
)
def test_an_op_is_torchs_own(op, attrs, theirs):
    assert torch.equal(value(op, **attrs), theirs(X))


def test_hard_swish_and_hard_sigmoid_have_their_formulas():
    x = torch.linspace(-5, 5, 41).reshape(1, 41)
    gate = (x.double() + 3).clamp(0, 6) / 6

    # torch computes them in float32, in another order: a few roundings
    torch.testing.assert_close(value("hard_sigmoid", x).double(), gate, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(value("hard_swish", x).double(), x * gate, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 2, 2), (0, 1, 0, 1), (2, 0, 1, 3)])
def test_convolution_pads_top_bottom_left_right(padding):
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 6, padding=padding, stride=(2, 1), groups=2)
    graph = sketch.done()
    top, bottom, left, right = padding
    padded = torch.zeros(2, 4, 7 + top + bottom, 8 + left + right)
    padded[:, :, top : top + 7, left : left + 8] = X

    ours = run_float(graph, X)[0]

    theirs = F.conv2d(padded, *graph.params.values(), stride=(2, 1), groups=2)
    # 18 products added in another order: 18 roundings of sums up to 10, each 6e-8 of it
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_dilation_keeps_height_and_width():
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4, dilation=(2, 2), padding=(2, 2, 2, 2))

    assert sketch.done()["conv"].shape == (-1, 4, 7, 8)


@pytest.mark.parametrize("padding", [(1, 1, 1, 1), (0, 1, 0, 1), (2, 2, 2, 2), (0, 3, 1, 0)])
def test_max_pool_pads_with_minus_infinity(padding):
    top, bottom, left, right = padding
    padded = torch.full((2, 4, 7 + top + bottom, 8 + left + right), -math.inf)
    padded[:, :, top : top + 7, left : left + 8] = X

    ours = value("max_pool2d", kernel=(3, 3), stride=(2, 2), padding=padding)

    assert torch.equal(ours, padded.unfold(2, 3, 2).unfold(3, 3, 2).amax((-2, -1)))


def test_affine_and_batch_norm_act_on_axis_1():
    sketch = Sketch(*SHAPE)
    sketch.norm("norm", "x")
    graph = sketch.done("norm")
    gain, bias, mean, var = (
        graph.params[f"norm.{role}"].double().reshape(1, 4, 1, 1)
        for role in ("weight", "bias", "mean", "var")
    )
    affine = Sketch(*SHAPE)
    weights = {"weight": torch.tensor([1.0, 2, 3, 4]), "bias": torch.tensor([0.0, 1, 2, 3])}
    affine.weighted("affine", "affine", "x", weights, activation=(0.0, 6.0))

    ours = run_float(graph, X)[0]
    simple = run_float(affine.done(), X)[0]

    theirs = (X.double() - mean) / (var + 1e-3).sqrt() * gain + bias
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-5)
    assert torch.equal(simple[:, 2], (X[:, 2] * 3 + 2).clamp(0, 6))


def test_depth_to_space_has_tflites_order_and_not_pixel_shuffles():
    x = torch.arange(2 * 12 * 3 * 2.0).reshape(2, 12, 3, 2)

    ours = value("depth_to_space", x, block=2)

    assert ours.shape == (2, 3, 6, 4)
    for i in range(2):
        for j in range(2):
            channels = slice((i * 2 + j) * 3, (i * 2 + j) * 3 + 3)
            assert torch.equal(ours[:, :, i::2, j::2], x[:, channels])
    shuffled = F.pixel_shuffle(x.unflatten(1, (4, 3)).transpose(1, 2).flatten(1, 2), 2)
    assert torch.equal(ours, shuffled)


@pytest.mark.parametrize(("op", "sign"), [("add", 1), ("sub", -1)])
def test_sums_broadcast_and_are_activated(op, sign):
    sketch = Sketch(*SHAPE)
    sketch.constant("c", torch.arange(4.0).reshape(4, 1, 1))
    sketch.add("op", op, "x", "c", activation=(0.0, 2.0))

    ours = run_float(sketch.done(), X)[0]

    assert torch.equal(ours, (X + sign * torch.arange(4.0).reshape(4, 1, 1)).clamp(0, 2))


def test_no_activation_returns_the_value_itself():
    assert activate(X, None) is X


def test_an_unknown_op_names_the_nearest():
    with pytest.raises(UnknownName, match="unknown op 'conv2': did you mean conv2d"):
        OPS["conv2"]


@pytest.mark.parametrize("name", list(OPS))
def test_every_schema_is_documented_and_refuses_a_setting_too_many(name):
    schema = OPS[name]
    assert isinstance(schema, OpSchema)
    assert schema.function.__doc__

    node = Node("n", name, ["x"] * schema.arity[0], {}, dict.fromkeys(schema.attributes))
    node.attrs["more"] = 1

    with pytest.raises(GraphError, match=rf"node 'n' \({name}\) has the settings"):
        check_node(node)


def test_run_float_frees_values_after_their_last_reader():
    sketch = Sketch(4)
    for index in range(6):
        sketch.add(f"n{index}", "tanh", f"n{index - 1}" if index else "x")
    graph = sketch.done()
    alive: list[int] = []
    made = []

    def tap(node, tensor) -> None:
        made.append(weakref.ref(tensor))
        alive.append(sum(ref() is not None for ref in made))

    run_float(graph, torch.zeros(1, 4), tap=tap)

    assert max(alive) <= 3  # the value, its input, and the caller's image


def test_shapes_refuse_a_batch_on_another_axis():
    sketch = Sketch(4, 5)
    sketch.add("a", "tanh", "x")
    graph = sketch.done()
    graph["a"].op, graph["a"].attrs = "transpose", {"order": (1, 0, 2)}

    with pytest.raises(GraphError, match="node 'a' mixes the batch"):
        infer_shapes(graph)


def test_shapes_refuse_an_input_without_one():
    sketch = Sketch(4)
    sketch.graph["x"].shape = ()

    with pytest.raises(GraphError, match="input 'x' has no shape"):
        infer_shapes(sketch.graph)
