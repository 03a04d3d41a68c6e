"""Float islands in the file: what is written at their borders, and what the check takes over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema

from architectures.sketch import Sketch
from calibrate.planned import planned
from intaglio.calibrate import CALIBRATORS, choose_encodings, observe_ranges
from intaglio.ir.graph import Graph
from intaglio.numerics.encodings import Encodings
from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.file.write import write_tflite
from runtimes.litert.checked import check_file
from runtimes.litert.ops.harness import TARGETS

IMAGES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(2)) * 2 - 1
WORDS = {
    value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")
}


def chain() -> Graph:
    """Return four convolutions in a row, and a fifth that reads the second's result too."""
    sketch = Sketch(3, 8, 8)
    for name, source in (("a", "x"), ("b", "a"), ("c", "b"), ("d", "c"), ("e", "b")):
        sketch.conv(name, source, 3, padding=(1, 1, 1, 1), groups=3 if name == "c" else 1)
    return sketch.done("d", "e")


def encoded(*kept: str) -> tuple[Graph, Encodings]:
    """Return the graph and its encodings with these layers in float."""
    graph = chain()
    graph, plan = planned(graph, LITERT, "w8a8", keep_float=kept)
    ranges = observe_ranges(graph, plan, [IMAGES], calibrator=CALIBRATORS["minmax"])
    return graph, choose_encodings(graph, plan, ranges, LITERT)


def operators(content: bytes) -> list[tuple[str, list[str], str]]:
    """Return (operator, inputs without weights, output) by the tensors' names."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    graph = model.subgraphs[0]
    name = {index: tensor.name.decode() for index, tensor in enumerate(graph.tensors)}
    return [
        (
            WORDS[model.operatorCodes[operator.opcodeIndex].builtinCode],
            [name[i] for i in operator.inputs if not name[i].endswith((".weight", ".bias"))],
            name[operator.outputs[0]],
        )
        for operator in graph.operators
    ]


def test_borders_are_written_once_and_none_lies_between_layers_in_float():
    graph, encodings = encoded("c", "e", "d")

    written = operators(write_tflite(graph, encodings, LITERT))

    assert written == [
        ("QUANTIZE", ["x.float"], "x"),
        ("CONV_2D", ["x"], "a"),
        ("CONV_2D", ["a"], "b"),
        ("DEQUANTIZE", ["b"], "b.float"),  # for both of its readers
        ("DEPTHWISE_CONV_2D", ["b.float"], "c"),
        ("CONV_2D", ["c"], "d"),
        ("CONV_2D", ["b.float"], "e"),
    ]


def test_a_first_layer_in_float_reads_the_images_themselves():
    graph, encodings = encoded("a")

    for io in ("float", "int8", "uint8"):
        written = operators(write_tflite(graph, encodings, LITERT, io=io))
        assert written[:3] == [
            ("CONV_2D", ["x.float"], "a"),
            ("QUANTIZE", ["a"], "a.quantize"),
            ("CONV_2D", ["a.quantize"], "b"),
        ]


def test_weights_and_biases_in_float_are_stored_to_the_bit():
    graph, encodings = encoded("b", "c")

    model = schema.ModelT.InitFromPackedBuf(bytearray(write_tflite(graph, encodings, LITERT)), 0)

    stored: dict[str, Any] = {tensor.name.decode(): tensor for tensor in model.subgraphs[0].tensors}
    for name, order in (("b", (0, 2, 3, 1)), ("c", (1, 2, 3, 0))):
        tensor = stored[f"{name}.weight"]
        found = model.buffers[tensor.buffer].data.view(np.float32).reshape(tensor.shape)
        weight = graph.param(graph[name], "weight").numpy()
        assert np.array_equal(found, weight.transpose(order))
        assert tensor.type == stored[f"{name}.bias"].type == stored[name].type == 0  # FLOAT32
        assert tensor.quantization is None


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_border_is_taken_over_and_everything_behind_it_is_compared(target):
    graph, encodings = encoded("b")
    content = write_tflite(graph, encodings, target)
    other = graph.copy()
    other.set_param(other["b"], "bias", graph.param(graph["b"], "bias") + 1.0)

    same = check_file(content, build_twin(graph, encodings, target), [IMAGES])
    moved = check_file(content, build_twin(other, encodings, target), [IMAGES])

    assert same.mismatches == moved.mismatches == 0
    assert same.values_compared == moved.values_compared > 0
    assert same.border_values == moved.border_values == 4 * 3 * 8 * 8
    assert same.border_equal >= 0.99 * same.border_values
    assert moved.border_equal < 0.5 * moved.border_values


@pytest.mark.parametrize("changed", ["a", "d", "e"])
def test_an_integer_layer_that_differs_is_found_on_either_side(changed):
    graph, encodings = encoded("b")
    content = write_tflite(graph, encodings, LITERT)
    other = graph.copy()
    other.set_param(other[changed], "bias", graph.param(graph[changed], "bias") + 0.5)

    counts = check_file(content, build_twin(other, encodings, LITERT), [IMAGES])

    assert counts.mismatches > 0
    assert set(counts.worst) == {changed}  # what lies before b, and what reads it, is the runtime's


def test_a_file_without_the_border_is_another_network():
    graph, encodings = encoded("b")
    plain, its_encodings = encoded()
    content = write_tflite(plain, its_encodings, LITERT)

    counts = check_file(content, build_twin(graph, encodings, LITERT), [IMAGES])

    assert counts.border_values == 0
    assert counts.worst["b.quantize"] == 4 * 3 * 8 * 8


def test_there_are_no_borders_without_layers_in_float():
    graph, encodings = encoded()
    twin = build_twin(graph, encodings, LITERT)

    counts = check_file(write_tflite(graph, encodings, LITERT), twin, [IMAGES])

    assert (counts.mismatches, counts.border_values, counts.border_equal) == (0, 0, 0)
