"""Convolutions and fully connected layers: the file's every integer is the twin's."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from intaglio.numerics.spec import per_tensor
from intaglio.ops.padding import same_margins
from intaglio.run.float import infer_shapes
from intaglio.runtimes.litert.lower.express_padding import express_padding
from intaglio.runtimes.litert.lower.lower_transposed import crop_transposed
from intaglio.targets.target import Target
from runtimes.litert.ops.harness import TARGETS, Network, cases
from runtimes.litert.ops.layers import Layer, random_layer

CASES = cases(100)
KINDS = ("ordinary", "pointwise", "strided", "dilated", "grouped", "depthwise")

CONV2D = {"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1}
TRANSPOSED = {
    "stride": (2, 2),
    "padding": (0, 0),
    "output_padding": (0, 0),
    "dilation": (1, 1),
    "groups": 1,
}

both_targets = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


def conv2d(seed: int, kind: str) -> Network:
    """Return a network of one convolution of that kind; its padding is none, SAME, or anything."""
    network = Network(seed)
    choose, random = network.choose, network.random
    groups = choose(2, 3) if kind == "grouped" else choose(2, 3, 5) if kind == "depthwise" else 1
    per_group = 1 if kind == "depthwise" else choose(1, 2, 3) + (kind == "grouped")
    kernel = (1, 1) if kind == "pointwise" else (choose(1, 2, 3, 4), choose(1, 2, 3, 5))
    stride = (choose(1, 2, 3), choose(1, 2, 3)) if kind != "dilated" else (1, 1)
    dilation = (choose(1, 2, 3), choose(1, 2)) if kind in ("dilated", "depthwise") else (1, 1)
    height, width = (
        int(random.integers((extent - 1) * rate + 1, 12))
        for extent, rate in zip(kernel, dilation, strict=True)
    )
    size = (height, width)
    same = same_margins(size, kernel, stride, dilation)
    explicit = tuple(int(value) for value in random.integers(0, 3, 4))
    attrs = {
        "stride": stride,
        "padding": choose((0, 0, 0, 0), same, explicit),
        "dilation": dilation,
        "groups": groups,
    }
    x = network.input((groups * per_group, *size))
    shape = (groups * choose(1, 2, 3), per_group, *kernel)
    add_layer(network, "conv2d", x, shape, attrs)
    express_pads(network)
    return network


def add_layer(
    network: Network, op: str, source: str, shape: tuple[int, ...], attrs: dict[str, Any]
) -> str:
    """Add a random layer with a weight of `shape`; return its name."""
    axis = 1 if op == "conv_transpose2d" else 0
    layer = random_layer(network, source, shape, axis=axis)
    return network.add(
        op,
        [source],
        {**attrs, "activation": layer.activation},
        grid=layer.output,
        params=layer.params,
        weight=layer.weight,
    )


def express_pads(network: Network) -> None:
    """Write as a node, on the grid of what it pads, the padding that the file has no word for."""
    if express_padding(network.graph):
        infer_shapes(network.graph)
    for node in network.graph:
        if node.op == "pad":
            network.grids[node.name] = network.grids[node.inputs[0]]


@both_targets
@pytest.mark.parametrize("kind", KINDS)
def test_conv2d_gives_the_bits_of_the_runtime(kind: str, target: Target) -> None:
    for seed in range(CASES):
        counts = conv2d(seed, kind).assert_same_bits(target)

        assert (not target.is_reference) == (counts.builtin == []), f"seed {seed}: {counts.builtin}"


def linear(seed: int, rank: int) -> Network:
    """Return a network of one fully connected layer on [N, C] or [N, T, C]."""
    network = Network(seed)
    channels = int(network.random.integers(1, 40))
    shape = (channels,) if rank == 2 else (int(network.random.integers(1, 6)), channels)
    x = network.input(shape)
    add_layer(network, "linear", x, (int(network.random.integers(1, 9)), channels), {})
    return network


@both_targets
@pytest.mark.parametrize("rank", [2, 3])
def test_linear_gives_the_bits_of_the_runtime(rank: int, target: Target) -> None:
    for seed in range(CASES):
        counts = linear(seed, rank).assert_same_bits(target)

        assert (not target.is_reference) == (counts.builtin == []), f"seed {seed}: {counts.builtin}"


@both_targets
def test_linear_with_sums_of_products_beyond_float32_gives_the_bits_of_the_runtime(
    target: Target,
) -> None:
    for seed in range(20):
        network = Network(seed)
        x = network.input((4000,))
        add_layer(network, "linear", x, (5, 4000), {})

        network.assert_same_bits(target)


SILENT_LAYERS: list[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ("conv2d", (2, 1, 1), (256, 2, 1, 1), CONV2D),
    ("conv2d", (256, 1, 1), (256, 1, 1, 1), {**CONV2D, "groups": 256}),
    ("linear", (2,), (256, 2), {}),
    ("conv_transpose2d", (2, 1, 1), (2, 256, 1, 1), {**TRANSPOSED, "stride": (1, 1)}),
]


@both_targets
@pytest.mark.parametrize(("op", "size", "shape", "attrs"), SILENT_LAYERS)
def test_layers_next_to_ties_give_the_bits_of_the_runtime(
    op: str, size: tuple[int, ...], shape: tuple[int, ...], attrs: dict[str, Any], target: Target
) -> None:
    """Biases of 2^23, without weights: so dense that an ulp in a multiplier turns many of these."""
    for seed in range(8):
        network = Network(seed)
        axis = 1 if op == "conv_transpose2d" else 0
        x = network.input(size)
        output = per_tensor(network.scale(), network.zero_point())
        unit = float(output.step) / float(network.grids[x].step) / 2**23
        weight = network.weight_grid(
            [network.scale(30 * unit, 90 * unit) for _ in range(256)], axis
        )
        step = float(network.grids[x].step) * weight.scale
        middles = network.integers((256,), -100, 100) + 0.5
        biases = (middles / (step / float(output.step)).double()).round()
        biases += network.integers((256,), -1, 1)
        network.add(
            op,
            [x],
            {**attrs, "activation": None},
            grid=output,
            params={"weight": torch.zeros(shape), "bias": (biases * step.double()).float()},
            weight=weight,
        )

        network.assert_same_bits(target)


def conv_transpose2d(seed: int, groups: int) -> Network:
    """Return a network of one transposed convolution, lowered; whole, SAME, or cropped."""
    network = Network(seed)
    choose = network.choose
    kernel = (choose(1, 2, 3, 4), choose(1, 2, 3, 4))
    stride = (choose(1, 2, 3), choose(1, 2))
    whole = choose(True, False)
    padding = (0, 0) if whole else tuple(choose(0, 1, extent // 2) for extent in kernel)
    extra = tuple(
        choose(*range(min(pad, step - 1) + 1)) for pad, step in zip(padding, stride, strict=True)
    )
    sizes = tuple(choose(2, 3, 5) + (extent == 1) for extent in kernel)
    attrs = {
        "stride": stride,
        "padding": padding,
        "output_padding": extra,
        "dilation": (1, 1),
        "groups": groups,
    }
    c_in, c_out = choose(1, 2, 3), choose(1, 2, 3)
    x = network.input((groups * c_in, *sizes))
    layer = random_layer(network, x, (groups * c_in, groups * c_out, *kernel), axis=1)
    wide = layer.params["weight"]
    blocks = [
        wide[index * c_in : (index + 1) * c_in, index * c_out : (index + 1) * c_out]
        for index in range(groups)
    ]
    name = network.add(
        "conv_transpose2d",
        [x],
        {**attrs, "activation": layer.activation},
        grid=layer.output,
        params={**layer.params, "weight": torch.cat(blocks)},
    )
    lower_transposed(network, name, layer)
    return network


def lower_transposed(network: Network, name: str, layer: Layer) -> None:
    """Lower the transposed convolution `name`; the values that this adds are on its grid."""
    if crop_transposed(network.graph):
        infer_shapes(network.graph)
    for node in network.graph:
        if node.op != "input":
            network.grids[node.name] = layer.output
        if node.op == "conv_transpose2d":
            network.weights[node.name] = layer.weight


@both_targets
@pytest.mark.parametrize("groups", [1, 2])
def test_conv_transpose2d_gives_the_bits_of_the_runtime(groups: int, target: Target) -> None:
    for seed in range(CASES):
        counts = conv_transpose2d(seed, groups).assert_same_bits(target)

        assert (not target.is_reference) == (counts.builtin == []), f"seed {seed}: {counts.builtin}"
