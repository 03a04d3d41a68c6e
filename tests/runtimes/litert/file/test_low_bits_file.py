"""What a file with weights of 4 and 2 bits looks like, and what no file can hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from architectures.sketch import Sketch
from calibrate.planned import plan_of
from intaglio.calibrate import trial_encodings
from intaglio.errors import UnsupportedByTarget
from intaglio.ir.graph import Graph
from intaglio.numerics.affine import quantize
from intaglio.numerics.spec import QuantParams, QuantSpec
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.file.write import write_tflite
from intaglio.runtimes.litert.format.packing import pack_integers

CODES = schema.BuiltinOperator


@pytest.mark.parametrize(
    ("integers", "bits", "packed"),
    [
        ([1, 2], 4, [0x21]),
        ([-1, 7, -8], 4, [0x7F, 0x08]),
        ([0, -7, 3, 5, -2], 4, [0x90, 0x53, 0x0E]),
        ([1, 0, -1, -2], 2, [0b10_11_00_01]),
        ([-1, 1, 0], 2, [0b00_00_01_11]),
        ([0, 0, 0, 1, 1], 2, [0b01_00_00_00, 0b01]),
        ([[1, -1], [-1, 1]], 2, [0b01_11_11_01]),
        ([], 4, []),
    ],
)
def test_the_first_integer_is_in_the_lowest_bits(integers, bits, packed):
    assert pack_integers(np.asarray(integers, np.int32), bits).tolist() == packed


@given(
    st.sampled_from([4, 2]).flatmap(
        lambda bits: st.tuples(
            st.just(bits),
            arrays.arrays(
                np.int8,
                arrays.array_shapes(max_dims=2, max_side=9),
                elements=st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1),
            ),
        )
    )
)
def test_every_integer_can_be_read_back(case):
    bits, values = case

    packed = pack_integers(values, bits)

    assert packed.size == -(-values.size * bits // 8)
    number = int.from_bytes(packed.tobytes(), "little")
    for place, value in enumerate(values.reshape(-1).tolist()):
        found = (number >> (place * bits)) % 2**bits
        assert found == value % 2**bits
    assert number >> (values.size * bits) == 0


def network() -> Graph:
    sketch = Sketch(12, 4, 4)
    sketch.conv("window", "x", 8, padding=(1, 1, 1, 1))
    sketch.conv("pointwise", "window", 5, kernel=1, activation=(0.0, 6.0))
    sketch.conv("wide", "x", 3, kernel=1)
    sketch.add("mean", "mean", "wide", axes=(2, 3), keepdim=False)
    sketch.weighted("unused", "linear", "mean", {"weight": sketch.random(4, 3)})
    return sketch.done("pointwise", "unused")


def written(scheme: str = "mixed", **weight_bits: int) -> Any:
    """Return the file as the schema's object."""
    graph = network()
    plan = plan_of(graph, LITERT, scheme, weight_bits=weight_bits)
    data = write_tflite(graph, trial_encodings(graph, plan, LITERT), LITERT, io="int8")
    return schema.ModelT.InitFromPackedBuf(bytearray(data), 0)


def operator_of(model: Any, name: str) -> tuple[Any, Any, Any]:
    """Return (operator, code, weight tensor) of the layer that makes the tensor `name`."""
    main = model.subgraphs[0]
    for operator in main.operators:
        if main.tensors[operator.outputs[0]].name.decode() == name:
            code = model.operatorCodes[operator.opcodeIndex]
            return operator, code, main.tensors[operator.inputs[1]]
    raise AssertionError(f"nothing makes {name}")


@pytest.mark.parametrize(
    ("bits", "kind", "version"), [(4, schema.TensorType.INT4, 10), (2, schema.TensorType.INT2, 12)]
)
def test_a_pointwise_convolution_is_fully_connected_over_the_last_of_four_axes(bits, kind, version):
    model = written(pointwise=bits)

    operator, code, weight = operator_of(model, "pointwise")

    assert (code.builtinCode, code.version) == (CODES.FULLY_CONNECTED, version)
    assert operator.builtinOptions.keepNumDims
    assert operator.builtinOptions.fusedActivationFunction == schema.ActivationFunctionType.RELU6
    assert (weight.type, list(weight.shape)) == (kind, [5, 8])
    assert len(weight.quantization.scale) == 5
    assert weight.quantization.quantizedDimension == 0
    assert list(weight.quantization.zeroPoint) == [0] * 5
    assert len(model.buffers[weight.buffer].data) == 5 * 8 * bits // 8
    shapes = [list(model.subgraphs[0].tensors[i].shape) for i in (*operator.outputs,)]
    assert shapes == [[1, 4, 4, 5]]


@pytest.mark.parametrize("bits", [4, 2])
def test_the_bytes_are_the_weights_integers_row_by_row(bits):
    graph, model = network(), written(pointwise=bits)
    plan = plan_of(graph, LITERT, "mixed", weight_bits={"pointwise": bits})
    grid = trial_encodings(graph, plan, LITERT).weights["pointwise"]
    integers = quantize(graph.params["pointwise.weight"], grid).flatten().tolist()

    _, _, weight = operator_of(model, "pointwise")

    data = model.buffers[weight.buffer].data.tobytes()
    number = int.from_bytes(data, "little")
    assert [number >> (place * bits) & (2**bits - 1) for place in range(40)] == [
        integer & (2**bits - 1) for integer in integers
    ]


def test_layers_at_8_bits_are_written_as_ever():
    model = written(pointwise=4)

    _, window, _ = operator_of(model, "window")
    _, wide, weight = operator_of(model, "wide")
    _, linear, _ = operator_of(model, "unused")

    assert (window.builtinCode, window.version) == (CODES.CONV_2D, 3)
    assert (wide.builtinCode, wide.version) == (CODES.CONV_2D, 3)
    assert weight.type == schema.TensorType.INT8
    assert (linear.builtinCode, linear.version) == (CODES.FULLY_CONNECTED, 9)


@pytest.mark.parametrize("bits", [4, 2])
def test_one_scale_for_all_is_written_for_every_row(bits):
    model = written("mixed-per-tensor", wide=bits)

    _, _, weight = operator_of(model, "wide")

    scales = weight.quantization.scale.tolist()
    assert len(scales) == 3
    assert len(set(scales)) == 1


def test_equal_zero_points_are_stored_once():
    graph = network()
    plan = plan_of(graph, LITERT, "w8a8")
    data = write_tflite(graph, trial_encodings(graph, plan, LITERT), LITERT)
    model = schema.Model.GetRootAs(data, 0)
    main = model.Subgraphs(0)
    places: dict[int, set[int]] = {}
    for index in range(main.TensorsLength()):
        quantization = main.Tensors(index).Quantization()
        if quantization is not None and quantization.ScaleLength() > 1:
            table = quantization._tab
            place = table.Vector(table.Offset(10))  # of the field zero_point
            places.setdefault(quantization.ZeroPointLength(), set()).add(place)
            assert not quantization.ZeroPointAsNumpy().any()

    assert {count: len(found) for count, found in places.items()} == {8: 1, 5: 1, 3: 1, 4: 1}


# refusals


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        ("w4a4", r"layer 'x' \(input\): its values have 4 bits.*scheme w4a4.*w8a8, w4a8"),
        ("w8a7", r"layer 'x'.*7 bits.*scheme w8a7"),
        ("w3a8", r"layer 'layer.window' \(conv2d\): its weight has 3 bits.*scheme w3a8"),
        ("w5a8-per-tensor", r"layer 'layer.window'.*5 bits.*8, and 4 and 2 in pointwise"),
    ],
)
def test_what_no_file_holds_is_refused_by_layer_and_scheme(scheme, said):
    graph = network()
    encodings = trial_encodings(graph, plan_of(graph, LITERT, scheme), LITERT)

    with pytest.raises(UnsupportedByTarget, match=said):
        write_tflite(graph, encodings, LITERT)


@pytest.mark.parametrize(("layer", "bits"), [("window", 4), ("window", 2), ("unused", 4)])
def test_low_bits_where_the_runtime_has_none_are_refused_by_layer(layer, bits):
    graph = network()
    encodings = trial_encodings(graph, plan_of(graph, LITERT, "w8a8"), LITERT)
    channels = len(encodings.weights[layer].scale)
    spec = QuantSpec(bits=bits, symmetric=True, axis=0, narrow=True)
    grid = QuantParams(torch.ones(channels), torch.zeros(channels, dtype=torch.int32), spec)
    encodings = replace(encodings, weights={**encodings.weights, layer: grid})

    with pytest.raises(UnsupportedByTarget, match=rf"'layer\.{layer}'.*weight has {bits} bits"):
        write_tflite(graph, encodings, LITERT)


def test_a_target_that_holds_8_bits_alone_refuses_4():
    graph = network()
    board = replace(LITERT, name="board", schemes=("w8a8",))
    plan = plan_of(graph, board, "mixed", weight_bits={"pointwise": 4})

    with pytest.raises(
        UnsupportedByTarget, match=r"board.*'layer\.pointwise'.*the file holds 8 \("
    ):
        write_tflite(graph, trial_encodings(graph, plan, board), board)
