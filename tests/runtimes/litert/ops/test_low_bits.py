"""Layers with weights of 4 and 2 bits: the file's every integer is the twin's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from architectures.sketch import Sketch
from calibrate.planned import plan_of
from intaglio.calibrate import CALIBRATORS, choose_encodings, observe_ranges
from intaglio.errors import UnsupportedByTarget
from intaglio.ir.graph import Graph
from intaglio.numerics.affine import dequantize, fake_quantize
from intaglio.numerics.spec import per_tensor
from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.file.write import write_tflite
from intaglio.targets.target import Target
from runtimes.litert.ops.harness import TARGETS, Network, cases
from runtimes.litert.ops.layers import random_layer

CASES = cases(200)
CONV2D = {"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1}

both_targets = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
both_widths = pytest.mark.parametrize("bits", [4, 2])


def low_bit_network(seed: int, bits: int, rank: int) -> Network:
    """Return one layer with rows of whole bytes: a pointwise convolution where the rank is 4."""
    network = Network(seed)
    random = network.random
    c_in = 8 // bits * int(random.integers(1, 12 * bits))
    c_out = int(random.integers(1, 24))
    sizes = tuple(int(size) for size in random.integers(1, 6, rank - 2))
    x = network.input((c_in, *sizes) if rank == 4 else (*sizes, c_in))
    shape = (c_out, c_in, 1, 1) if rank == 4 else (c_out, c_in)
    layer = random_layer(network, x, shape, bits=bits)
    network.add(
        "conv2d" if rank == 4 else "linear",
        [x],
        {**(CONV2D if rank == 4 else {}), "activation": layer.activation},
        grid=layer.output,
        params=layer.params,
        weight=layer.weight,
    )
    return network


@both_targets
@both_widths
@pytest.mark.parametrize("rank", [2, 3, 4])
def test_layers_with_packed_weights_give_the_bits_of_the_runtime(
    rank: int, bits: int, target: Target
) -> None:
    for seed in range(CASES):
        counts = low_bit_network(seed, bits, rank).assert_same_bits(target)

        assert counts.partitions == (not target.is_reference), f"seed {seed}"
        assert (not target.is_reference) == (counts.builtin == []), f"seed {seed}: {counts.builtin}"


def one_layer(
    bits: int, *, bias: float = 0.0, weight_scale: float = 2.0**-30, c_in: int = 8
) -> Network:
    """Return a pointwise convolution whose every accumulator is its bias and up to 255 * 8 * 7."""
    network = Network(0)
    x = network.input((c_in, 3, 3), per_tensor(1.0, 0))
    weight = network.weight_grid([weight_scale] * 5, bits=bits)
    integers = network.integers((5, c_in, 1, 1), weight.spec.qmin, weight.spec.qmax)
    biases = torch.tensor([bias, -bias, bias / 2, -bias / 2, 0.0])
    network.add(
        "conv2d",
        [x],
        {**CONV2D, "activation": None},
        grid=per_tensor(max(bias, 1.0) * weight_scale / 100, 0),
        params={"weight": dequantize(integers, weight), "bias": biases * weight_scale},
        weight=weight,
    )
    return network


@both_targets
@both_widths
def test_accumulators_up_to_2_to_the_27_are_exact(bits: int, target: Target) -> None:
    counts = one_layer(bits, bias=2**27 - 2**15).assert_same_bits(target)

    assert (not target.is_reference) == (counts.builtin == [])


def test_beyond_2_to_the_27_a_layer_of_4_bits_is_refused() -> None:
    network = one_layer(4, bias=2**27)

    with pytest.raises(UnsupportedByTarget, match="beyond int32"):
        build_twin(network.graph, network.encodings(), LITERT)


@pytest.mark.parametrize(("bits", "target"), [(2, LITERT), (4, LITERT_REFERENCE)])
def test_other_kernels_have_no_such_limit(bits: int, target: Target) -> None:
    one_layer(bits, bias=2**30).assert_same_bits(target)


@both_widths
def test_multipliers_from_256_on_are_refused_as_at_8_bits(bits: int) -> None:
    network = one_layer(bits, weight_scale=1.0)
    network.grids["conv2d"] = per_tensor(1 / 255.9, 0)
    assert network.assert_same_bits(LITERT).builtin == []
    network.grids["conv2d"] = per_tensor(1 / 256.1, 0)

    with pytest.raises(UnsupportedByTarget, match="multiplier"):
        build_twin(network.graph, network.encodings(), LITERT)


@pytest.mark.parametrize(("bits", "c_in"), [(4, 7), (2, 6), (2, 7)])
def test_rows_that_do_not_fill_whole_bytes_are_refused(bits: int, c_in: int) -> None:
    network = one_layer(bits, c_in=c_in)

    with pytest.raises(UnsupportedByTarget, match=f"weight has {bits} bits.*whole bytes"):
        write_tflite(network.graph, network.encodings(), LITERT)


@pytest.mark.parametrize("bits", [3, 5, 6, 7])
@pytest.mark.parametrize("scheme", ["w{bits}a8", "w8a{bits}", "w{bits}a{bits}"])
def test_the_twin_runs_simulated_widths_and_the_writer_refuses_them(scheme: str, bits: int) -> None:
    name = scheme.format(bits=bits)
    graph, images = small_network(), torch.randn(4, 8, 6, 6)
    plan = plan_of(graph, LITERT, name)
    ranges = observe_ranges(graph, plan, [images], calibrator=CALIBRATORS["minmax"])
    encodings = choose_encodings(graph, plan, ranges, LITERT)

    found = build_twin(graph, encodings, LITERT).integers(images)[0]

    spec = plan.activations[graph.outputs[0]]
    assert spec.qmin <= int(found.min()) < int(found.max()) <= spec.qmax
    with pytest.raises(UnsupportedByTarget, match=rf"cannot hold layer '.+ \(scheme {name}\)"):
        write_tflite(graph, encodings, LITERT)


@both_targets
def test_a_simulated_twin_is_the_fake_quantized_network_within_its_rounding(target: Target) -> None:
    """One layer, so that no error adds up: the float32 product is rounded once on both sides.

    A bias is a whole number of steps s_x s_w, which are coarse at few bits. The reference kernels
    round twice, and the first time may be off by half of half a step.
    """
    for bits in range(2, 9):
        graph = one_convolution()
        images = torch.randn(8, 8, 6, 6, generator=torch.Generator().manual_seed(bits))
        plan = plan_of(graph, target, f"w{bits}a{bits}")
        ranges = observe_ranges(graph, plan, [images], calibrator=CALIBRATORS["minmax"])
        encodings = choose_encodings(graph, plan, ranges, target)
        output, layer = encodings.activations["conv"], graph["conv"]

        found = build_twin(graph, encodings, target).integers(images)[0]

        x = fake_quantize(images, encodings.activations["x"])
        weight = fake_quantize(graph.param(layer, "weight"), encodings.weights["conv"])
        unit = encodings.activations["x"].scale.double() * encodings.weights["conv"].scale.double()
        bias = (graph.param(layer, "bias").double() / unit).round() * unit
        expected = F.conv2d(x.double(), weight.double(), bias)
        low, high = (
            float(dequantize(torch.tensor(end), output))
            for end in (output.spec.qmin, output.spec.qmax)
        )
        error = dequantize(found, output).double() - expected.clamp(low, high)
        most = 0.76 if target is LITERT_REFERENCE else 0.51
        assert error.abs().max() <= most * float(output.scale)
        assert len(found.unique()) <= 2**bits


def one_convolution() -> Graph:
    """Return a pointwise convolution."""
    sketch = Sketch(8, 6, 6)
    sketch.conv("conv", "x", 16, kernel=1)
    return sketch.done()


def small_network() -> Graph:
    """Return a network with a kernel of most kinds."""
    sketch = Sketch(8, 6, 6)
    sketch.conv("expand", "x", 16, kernel=1, activation=(0.0, 6.0))
    sketch.conv("depthwise", "expand", 16, padding=(1, 1, 1, 1), groups=16)
    sketch.add("gate", "sigmoid", "depthwise")
    sketch.add("gated", "mul", "depthwise", "gate")
    sketch.conv("project", "gated", 8, kernel=1)
    sketch.add("sum", "add", "project", "x")
    sketch.add("pooled", "max_pool2d", "sum", kernel=(2, 2), stride=(2, 2))
    sketch.add("mean", "mean", "pooled", axes=(2, 3), keepdim=False)
    sketch.weighted("head", "linear", "mean", {"weight": sketch.random(10, 8)})
    return sketch.done()
