"""Writers of layers with weights."""

from __future__ import annotations

from intaglio.ir.graph import Node
from intaglio.ops.padding import padding_word, transposed_padding_word
from intaglio.runtimes.litert.format.layout import file_shape
from intaglio.runtimes.litert.low_bits import PACKED_BITS
from intaglio.runtimes.litert.ops.writing import (
    PADDING,
    Writing,
    activation_word,
    options,
    tflite_op,
)

PACKED_VERSIONS = {4: 10, 2: 12}
"""Weight bits to the version of FULLY_CONNECTED that has them."""


@tflite_op("conv2d")
def write_conv2d(node: Node, writing: Writing) -> None:
    """CONV_2D; DEPTHWISE_CONV_2D of single channels; FULLY_CONNECTED with 4 or 2 bits.

    The delegate has no convolutions with int4 or int2 weights. A pointwise one is FULLY_CONNECTED
    over the last axis of [N, H, W, C].
    """
    if writing.weight_bits(node) < 8:
        _write_fully_connected(node, writing)
        return
    attrs, shape = node.attrs, writing.graph.param(node, "weight").shape
    word = padding_word(writing.graph, node)
    assert word is not None, f"{node.name}: express_padding must run before writing"
    common = {
        "padding": PADDING[word],
        "strideH": attrs["stride"][0],
        "strideW": attrs["stride"][1],
        "dilationHFactor": attrs["dilation"][0],
        "dilationWFactor": attrs["dilation"][1],
        "fusedActivationFunction": activation_word(node),
    }
    depthwise = shape[1] == 1 and attrs["groups"] > 1
    order, axis = ((1, 2, 3, 0), 3) if depthwise else ((0, 2, 3, 1), 0)
    inputs = [
        *writing.inputs(node),
        writing.weight(node, order, axis),
        writing.bias(node, shape[0]),
    ]
    if depthwise:
        multiplier = shape[0] // attrs["groups"]
        made = options("DepthwiseConv2DOptions", depthMultiplier=multiplier, **common)
        word, version = "DEPTHWISE_CONV_2D", 3
    else:
        made = options("Conv2DOptions", **common)
        word, version = "CONV_2D", 3 if attrs["groups"] == 1 else 6
    writing.build.operator(word, inputs, [writing.output(node)], version=version, options=made)


@tflite_op("linear")
def write_linear(node: Node, writing: Writing) -> None:
    """FULLY_CONNECTED over the last axis."""
    if len(node.shape) == 4:
        raise writing.refuse(
            node, "a linear layer on four axes", "Use a 1x1 convolution, or flatten before it"
        )
    _write_fully_connected(node, writing)


def _write_fully_connected(node: Node, writing: Writing) -> None:
    made = options(
        "FullyConnectedOptions",
        fusedActivationFunction=activation_word(node),
        keepNumDims=len(node.shape) > 2,
    )
    channels, bits = writing.graph.param(node, "weight").shape[0], writing.weight_bits(node)
    is_packed = bits in PACKED_BITS
    weight = writing.packed_weight(node) if is_packed else writing.weight(node, (0, 1), 0)
    inputs = [*writing.inputs(node), weight, writing.bias(node, channels)]
    version = PACKED_VERSIONS[bits] if is_packed else 9
    output = [writing.output(node)]
    writing.build.operator("FULLY_CONNECTED", inputs, output, version=version, options=made)


@tflite_op("conv_transpose2d")
def write_conv_transpose2d(node: Node, writing: Writing) -> None:
    """TRANSPOSE_CONV, weight [C_out, kH, kW, C_in]."""
    word = transposed_padding_word(writing.graph, node)
    attrs = node.attrs
    if word is None or attrs["groups"] != 1 or attrs["dilation"] != (1, 1):
        raise writing.refuse(
            node,
            "a transposed convolution with dilation, or with an output beyond what it scatters",
            "Use dilation=1 and output_padding=0, or resize and convolve",
        )
    made = options(
        "TransposeConvOptions",
        padding=PADDING[word],
        strideH=attrs["stride"][0],
        strideW=attrs["stride"][1],
        fusedActivationFunction=activation_word(node),
    )
    shape = writing.integers(f"{node.name}.shape", list(file_shape(node.shape)))
    weight = writing.weight(node, (1, 2, 3, 0), 0)
    bias = writing.bias(node, node.channels)
    inputs = [shape, weight, *writing.inputs(node), bias]
    output = [writing.output(node)]
    version = 3 if not made.fusedActivationFunction else 4
    writing.build.operator("TRANSPOSE_CONV", inputs, output, version=version, options=made)
