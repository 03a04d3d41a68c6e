"""Every op that stays in float: the file gives what torch gives, at 2 to 5 axes, on both targets.

A sum of n products is right to n roundings of 2**-24 of its largest partial sum; the sums here have
fewer than 200 terms of size 1: 2**-16. What only moves or compares values is exact.
"""

from __future__ import annotations

import itertools

import pytest
import torch

from architectures.sketch import Sketch
from intaglio.ops.elementwise import RELATIONS
from intaglio.run.float import infer_shapes
from intaglio.runtimes.litert.lower.lower import lower
from runtimes.litert.ops.all_float import largest_error, one_op
from runtimes.litert.ops.harness import TARGETS

SUMS = 2.0**-16
SHAPES = [(6,), (4, 5), (4, 3, 5), (4, 2, 3, 5)]
INFINITY = float("inf")
everywhere = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


def images(*shape):
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))


def pair(shape, op, other=None, **attrs):
    """Return a graph of an op of the image and of a stored value that broadcasts with it."""
    sketch = Sketch(*shape)
    sketch.constant("c", sketch.random(1, *(other or shape)))
    sketch.add("y", op, "x", "c", **attrs)
    return sketch.done()


@everywhere
@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "maximum", "minimum"])
def test_pairs_of_values_of_all_ranks_and_with_repeated_axes(op, target):
    for shape in SHAPES:
        for kept in itertools.product([False, True], repeat=len(shape)):
            other = tuple(size if keep else 1 for size, keep in zip(shape, kept, strict=True))
            assert largest_error(pair(shape, op, other), images(*shape), target) < 2.0**-20


@everywhere
@pytest.mark.parametrize("relation", RELATIONS)
def test_comparisons_give_one_and_zero(relation, target):
    for shape in SHAPES:
        graph = pair(shape, "compare", (shape[0],) + (1,) * (len(shape) - 1), relation=relation)
        assert largest_error(graph, images(*shape).round(), target) == 0.0


@everywhere
def test_a_choice_takes_the_first_where_the_condition_is_not_zero(target):
    for shape in SHAPES:
        sketch = Sketch(*shape)
        sketch.constant("c", sketch.random(1, *shape))
        sketch.add("asked", "function", "x", chain=(("round",),))
        sketch.add("y", "where", "asked", "x", "c")
        assert largest_error(sketch.done(), images(*shape), target) == 0.0


@everywhere
def test_softmax_over_any_axis(target):
    for shape in SHAPES:
        for axis in range(1, len(shape) + 1):
            assert (
                largest_error(one_op(shape, "softmax", axis=axis), images(*shape), target)
                < 2.0**-20
            )


@everywhere
@pytest.mark.parametrize("transposed", [False, True])
def test_products_of_two_values(transposed, target):
    for lead in [(), (3,), (3, 2)]:
        sketch = Sketch(*lead, 4, 5)
        sketch.constant("c", sketch.random(1, *lead, *((6, 5) if transposed else (5, 6))))
        sketch.add("y", "matmul", "x", "c", transposed=transposed)
        assert largest_error(sketch.done(), images(*lead, 4, 5), target) < SUMS


@everywhere
@pytest.mark.parametrize("op", ["reduce_max", "mean"])
def test_reductions_over_any_axes(op, target):
    for shape in SHAPES:
        axes = range(1, len(shape) + 1)
        for count, keepdim in itertools.product(range(1, len(shape) + 1), [False, True]):
            for chosen in itertools.combinations(axes, count):
                graph = one_op(shape, op, axes=chosen, keepdim=keepdim)
                assert largest_error(graph, images(*shape), target) < (
                    2.0**-20 if op == "mean" else 1e-30
                )


@everywhere
def test_what_moves_values_moves_them_as_they_are(target):
    for shape in SHAPES:
        rank = len(shape)
        graphs = [
            one_op(shape, "take", axis=axis, indices=(1, 0, 1)) for axis in range(1, rank + 1)
        ]
        graphs += [
            one_op(shape, "pad", padding=(1, 2) * min(rank, 2), value=value)
            for value in (0.0, -2.5)
        ]
        graphs += [one_op(shape, "slice", axis=rank, start=1, stop=5, step=step) for step in (1, 2)]
        graphs += [one_op(shape, "reshape", shape=(-1, torch.Size(shape).numel()))]
        graphs += [one_op(shape, "transpose", order=(0, *range(rank, 0, -1)))]
        for graph in graphs:
            assert largest_error(graph, images(*shape), target) == 0.0


@everywhere
@pytest.mark.parametrize(
    "bounds",
    [
        (0.0, INFINITY),
        (0.0, 6.0),
        (-1.0, 1.0),
        (-0.3, 0.7),
        (-INFINITY, 0.2),
        (-INFINITY, INFINITY),
    ],
)
def test_clamps_to_any_bounds_alone_and_fused(bounds, target):
    for shape in SHAPES:
        assert (
            largest_error(one_op(shape, "clamp", activation=bounds), images(*shape), target) == 0.0
        )
        graph = pair(shape, "add", activation=bounds)
        assert largest_error(graph, images(*shape), target) < 2.0**-20
    sketch = Sketch(4, 6, 6)
    sketch.conv("y", "x", 3, activation=bounds)
    assert largest_error(sketch.done(), images(4, 6, 6), target) < SUMS


@everywhere
def test_values_by_channel_of_all_ranks(target):
    for shape in SHAPES:
        sketch = Sketch(*shape)
        weights = {"weight": sketch.random(shape[0]), "bias": sketch.random(shape[0])}
        sketch.weighted("a", "affine", "x", weights)
        sketch.weighted("y", "prelu", "a", {"weight": sketch.random(shape[0])})
        assert largest_error(sketch.done(), images(*shape), target) < 2.0**-20
        assert (
            largest_error(one_op(shape, "leaky_relu", slope=0.2), images(*shape), target) < 2.0**-20
        )


@everywhere
def test_linear_layers_over_the_last_of_two_to_five_axes(target):
    for shape in SHAPES:
        sketch = Sketch(*shape)
        weights = {"weight": sketch.random(7, shape[-1]), "bias": sketch.random(7)}
        sketch.weighted("y", "linear", "x", weights, activation=(0.0, 6.0))
        assert largest_error(sketch.done(), images(*shape), target) < SUMS


CONVOLUTIONS = [
    {"groups": 1, "stride": (2, 1)},
    {"groups": 4},
    {"groups": 2, "dilation": (2, 2)},
    {"groups": 1, "padding": (1, 1, 1, 1)},
    {"groups": 2, "padding": (0, 1, 2, 0)},
]


@everywhere
@pytest.mark.parametrize("settings", CONVOLUTIONS, ids=str)
def test_convolutions(settings, target):
    sketch = Sketch(4, 9, 8)
    sketch.conv("y", "x", 8, **settings)
    graph = sketch.done()
    lower(graph)
    infer_shapes(graph)
    assert largest_error(graph, images(4, 9, 8), target) < SUMS


TRANSPOSED = [
    {"stride": (2, 2), "padding": (1, 1), "output_padding": (1, 1)},
    {"stride": (2, 2), "groups": 2},
    {"dilation": (2, 3)},
    {"stride": (3, 2), "output_padding": (2, 1)},
]


@everywhere
@pytest.mark.parametrize("settings", TRANSPOSED, ids=str)
def test_transposed_convolutions(settings, target):
    sketch = Sketch(4, 5, 6)
    weights = {
        "weight": sketch.random(4, 6 // settings.get("groups", 1), 3, 3),
        "bias": sketch.random(6),
    }
    sketch.weighted("y", "conv_transpose2d", "x", weights, **settings)
    graph = sketch.done()
    expected = graph["y"].shape
    lower(graph)
    infer_shapes(graph)
    assert graph[graph.outputs[0]].shape == expected
    assert largest_error(graph, images(4, 5, 6), target) < SUMS


@everywhere
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 1, 0)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_max_pools(padding, dilation, ceil_mode, target):
    attrs = {"kernel": (3, 2), "stride": (2, 2), "padding": padding}
    graph = one_op((4, 10, 9), "max_pool2d", dilation=dilation, ceil_mode=ceil_mode, **attrs)
    assert largest_error(graph, images(4, 10, 9), target) == 0.0


@everywhere
@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("divisor", [None, 5])
def test_average_pools(counted, ceil_mode, divisor, target):
    for padding in [(0, 0), (1, 1)]:
        attrs = {"kernel": (3, 3), "stride": (2, 2), "padding": padding, "ceil_mode": ceil_mode}
        graph = one_op(
            (4, 10, 9), "avg_pool2d", count_include_pad=counted, divisor=divisor, **attrs
        )
        assert largest_error(graph, images(4, 10, 9), target) < 2.0**-20


@everywhere
def test_resizes_and_pools_to_a_size(target):
    graphs = [one_op((4, 10, 7), "adaptive_avg_pool2d", size=(4, 3))]
    for size, scales in [
        ((20, 14), None),
        ((13, 5), None),
        ((14, 10), (1.45, 1.45)),
        ((4, 3), (0.45, 0.45)),
    ]:
        graphs.append(one_op((4, 10, 7), "resize", size=size, scales=scales))
        graphs.append(one_op((4, 10, 7), "resize", size=size, scales=scales, mode="bilinear"))
    graphs.append(one_op((4, 10, 7), "resize", size=(5, 9), mode="bilinear", align_corners=True))
    for graph in graphs:
        assert largest_error(graph, images(4, 10, 7), target) < 2.0**-18
