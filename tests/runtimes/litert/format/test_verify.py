"""Damage to a .tflite is found before native code reads it, and nothing else is called damage."""

from __future__ import annotations

import inspect
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from intaglio.errors import RequestError
from intaglio.runtimes.litert.file.about import input_shape, stored_about
from intaglio.runtimes.litert.format.builder import FILE_IDENTIFIER
from intaglio.runtimes.litert.format.flatbuffer import Reader, Record
from intaglio.runtimes.litert.format.schema_facts import Kind, fields_of
from intaglio.runtimes.litert.format.verify import verify
from intaglio.runtimes.litert.interpreter.exposed import expose_tensors
from runtimes.litert.small_files import (
    edited,
    huge_file,
    linear_file,
    patched,
    slow_file,
    softmax_file,
)

LINEAR = linear_file()
X, BIAS, Y, WEIGHT = range(4)
MUTANTS = 800


def refused(content: bytes) -> str:
    """Return why a file is refused; it is one line that begins with the file's name."""
    with pytest.raises(RequestError) as caught:
        verify(content, "net.tflite")
    message = str(caught.value)
    assert message.startswith("net.tflite: ")
    assert message.isprintable()
    return message


def root(content: bytes) -> Record:
    return Reader(content, "net.tflite").root("Model")


@pytest.mark.parametrize("make", [linear_file, lambda: softmax_file(10), slow_file, huge_file])
def test_what_our_builder_makes_passes(make: Callable[[], bytes]) -> None:
    content = make()

    verify(content, "net.tflite")
    verify(expose_tensors(content), "net.tflite")


def test_files_of_other_makers_pass_in_little_time(data_pack: Path) -> None:
    files = sorted((data_pack / "tflite").glob("*.tflite"))
    assert len(files) == 7

    for file in files:
        content = file.read_bytes()
        verify(content, file.name)
        took = []
        for _ in range(3):
            began = time.process_time()
            verify(content, file.name)
            took.append(time.process_time() - began)
        assert min(took) < 0.06, file.name  # 4 to 11 ms alone: others may be at work


def test_the_kind_of_every_field_of_the_installed_schema_is_known() -> None:
    tables = [name for name, kind in vars(schema).items() if hasattr(kind, "GetRootAs")]
    assert len(tables) > 150

    for table in tables:
        for field in fields_of(table):
            source = inspect.getsource(getattr(getattr(schema, table), field.name))
            is_vector = "self._tab.Vector(" in source
            is_table = "self._tab.Indirect(" in source
            assert (field.kind is Kind.STRING) == ("self._tab.String(" in source)
            assert (field.kind is Kind.UNION) == ("Union(" in source)
            assert (field.kind is Kind.TABLE) == (is_table and not is_vector)
            assert (field.kind is Kind.TABLES) == (is_table and is_vector)
            assert (field.kind is Kind.NUMBERS) == (is_vector and not is_table)
            assert not field.table or f"obj = {field.table}()" in source


def test_sizes_are_looked_at_first() -> None:
    assert "has 7 bytes" in refused(LINEAR[:7])
    assert "has 0 bytes" in refused(b"")


def test_other_kinds_of_file_are_named_as_such() -> None:
    assert "bytes 4 to 7 are b'ABCD', not b'TFL3'" in refused(patched(LINEAR, 4, b"ABCD"))


def test_a_file_that_breaks_off_anywhere_is_refused() -> None:
    data_ends = len(LINEAR) - 3  # the last bytes are padding behind a name

    for length in range(0, data_ends, 7):
        refused(LINEAR[:length])


@pytest.mark.parametrize("offset", [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 20])
def test_a_root_outside_of_the_file_is_refused(offset: int) -> None:
    refused(patched(LINEAR, 0, struct.pack("<I", offset)))


@pytest.mark.parametrize("offset", [0x7FFFFFFF, -0x80000000, -(1 << 20), 1, -1])
def test_a_vtable_outside_of_the_file_is_refused(offset: int) -> None:
    at = root(LINEAR).at

    assert "vtable of Model" in refused(patched(LINEAR, at, struct.pack("<i", offset)))


@pytest.mark.parametrize(
    ("entry", "value", "problem"),
    [
        (0, 0, "has a size of 0"),
        (0, 7, "has a size of 7"),
        (0, 65534, "has a size of 65534"),
        (1, 2, "has a size of"),
        (1, 65535, "Model at byte"),
        (2, 1, "lies at 1 in its"),
        (2, 6, "lies at 6 in its"),
        (3, 65000, "lies at 65000 in its"),
    ],
)
def test_a_vtable_with_impossible_numbers_is_refused(entry: int, value: int, problem: str) -> None:
    at = root(LINEAR).at
    vtable = at - struct.unpack_from("<i", LINEAR, at)[0]

    assert problem in refused(patched(LINEAR, vtable + 2 * entry, struct.pack("<H", value)))


@pytest.mark.parametrize("length", [1 << 20, 0x3FFFFFFF, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_vector_longer_than_the_file_is_refused(length: int) -> None:
    weight = root(LINEAR)["Buffers"][WEIGHT - 1]["Data"]

    message = refused(patched(LINEAR, weight.start - 4, struct.pack("<I", length)))

    assert f"Buffer.Data at byte {weight.start - 4} has {length} elements" in message


def test_an_offset_that_is_not_aligned_is_refused() -> None:
    graph = root(LINEAR)["Subgraphs"][0]
    place = field_place(LINEAR, graph, "Inputs")
    (offset,) = struct.unpack_from("<I", LINEAR, place)

    assert "is not aligned" in refused(patched(LINEAR, place, struct.pack("<I", offset + 1)))


def test_a_name_that_is_no_text_is_refused() -> None:
    at = LINEAR.index(b"weight\0")

    assert "Tensor.Name" in refused(patched(LINEAR, at, b"\xff\xfe"))
    assert "is no text" in refused(patched(LINEAR, at, b"\xff\xfe"))


def test_a_name_without_its_end_is_refused() -> None:
    at = LINEAR.index(b"weight\0")

    assert "without its end" in refused(patched(LINEAR, at + 6, b"s"))


def test_options_of_an_unknown_kind_are_refused() -> None:
    operator = root(LINEAR)["Subgraphs"][0]["Operators"][0]
    place = field_place(LINEAR, operator, "BuiltinOptionsType")

    assert "unknown kind 255" in refused(patched(LINEAR, place, b"\xff"))


def test_options_that_do_not_lie_in_the_file_are_refused() -> None:
    operator = root(LINEAR)["Subgraphs"][0]["Operators"][0]
    place = field_place(LINEAR, operator, "BuiltinOptions")

    assert "Operator.BuiltinOptions" in refused(patched(LINEAR, place, b"\xff\xff\xff\x7f"))


def test_a_small_file_whose_tables_are_reached_a_million_times_is_refused_at_once() -> None:
    content = woven(2000)
    assert len(content) < 20_000

    began = time.process_time()
    message = refused(content)

    assert "its tables reach 4 times its" in message
    assert time.process_time() - began < 1.0


def woven(width: int) -> bytes:
    """Return a file of `width` subgraphs that are one, each of `width` tensors that are one."""
    build = flatbuffers.Builder(1024)
    schema.TensorStart(build)
    schema.TensorAddBuffer(build, 1)
    tensor = schema.TensorEnd(build)
    tensors = vector(build, [tensor] * width)
    schema.SubGraphStart(build)
    schema.SubGraphAddTensors(build, tensors)
    graphs = vector(build, [schema.SubGraphEnd(build)] * width)
    schema.ModelStart(build)
    schema.ModelAddVersion(build, 3)
    schema.ModelAddSubgraphs(build, graphs)
    build.Finish(schema.ModelEnd(build), file_identifier=FILE_IDENTIFIER)
    return bytes(build.Output())


def vector(build: flatbuffers.Builder, offsets: list[int]) -> int:
    build.StartVector(4, len(offsets), 4)
    for offset in offsets:
        build.PrependUOffsetTRelative(offset)
    return int(build.EndVector())


def field_place(content: bytes, record: Record, name: str) -> int:
    """Return where a field's own bytes lie in the file."""
    slot = next(field.slot for field in fields_of(record.kind) if field.name == name)
    vtable = record.at - struct.unpack_from("<i", content, record.at)[0]
    return record.at + struct.unpack_from("<H", content, vtable + 4 + 2 * slot)[0]


def tensor(number: int, **values: Any) -> Callable[[Any], None]:
    """Return the change of a tensor's fields."""
    return lambda model: vars(model.subgraphs[0].tensors[number]).update(values)


def quantization(number: int, **values: Any) -> Callable[[Any], None]:
    """Return the change of a tensor's grid."""
    return lambda model: vars(model.subgraphs[0].tensors[number].quantization).update(values)


def operator(**values: Any) -> Callable[[Any], None]:
    """Return the change of the operator's fields."""
    return lambda model: vars(model.subgraphs[0].operators[0]).update(values)


def first(part: str, **values: Any) -> Callable[[Any], None]:
    """Return the change of the first of the model's subgraphs, operatorCodes, ..."""
    return lambda model: vars(getattr(model, part)[0]).update(values)


def whole(**values: Any) -> Callable[[Any], None]:
    """Return the change of the model's own fields."""
    return lambda model: vars(model).update(values)


def blockwise(model: Any) -> None:
    details = schema.BlockwiseQuantizationT()
    details.scales, details.zeroPoints = 40, -1
    grid = model.subgraphs[0].tensors[WEIGHT].quantization
    grid.details, grid.detailsType = details, schema.QuantizationDetails.BlockwiseQuantization


def far_buffer(model: Any) -> None:
    buffer = model.buffers[0]
    buffer.offset, buffer.size = 100_000, 4


MEANINGLESS = {
    "buffer of a tensor": (tensor(Y, buffer=99), "the buffer of tensor 2 'y' of subgraph 0 is 99"),
    "type": (tensor(Y, type=77), "tensor 2 'y' of subgraph 0 has the unknown type 77"),
    "negative size": (tensor(Y, shape=[1, -4]), "has the shape [1, -4]"),
    "size beyond the limit": (tensor(Y, shape=[1 << 30, 1 << 30]), "the limit is 2147483648"),
    "many axes": (tensor(Y, shape=[1] * 65), "with 65 axes"),
    "shape of a constant": (tensor(WEIGHT, shape=[4, 9]), "has 32 bytes, and its shape [4, 9]"),
    "type of a constant": (tensor(WEIGHT, type=0), "has 32 bytes, and its shape [4, 8] needs 128"),
    "data elsewhere": (tensor(WEIGHT, externalBuffer=1), "has its data in another file"),
    "zero points": (
        quantization(WEIGHT, zeroPoint=np.zeros(3, np.int64)),
        "has 4 scales and 3 zero points",
    ),
    "no zero points": (quantization(WEIGHT, zeroPoint=None), "has 4 scales and 0 zero points"),
    "scales": (
        quantization(WEIGHT, scale=np.ones(5, np.float32), zeroPoint=np.zeros(5, np.int64)),
        "has 5 scales along 4 of axis 0",
    ),
    "negative scale": (
        quantization(X, scale=np.full(1, -0.1, np.float32)),
        "'x' of subgraph 0 has a",
    ),
    "scale": (quantization(X, scale=np.full(1, np.nan, np.float32)), "negative or no number"),
    "endless scale": (quantization(X, scale=np.full(1, np.inf, np.float32)), "or no number"),
    "axis": (quantization(WEIGHT, quantizedDimension=2), "along axis 2 of the shape [4, 8]"),
    "negative axis": (quantization(WEIGHT, quantizedDimension=-1), "has scales along axis -1"),
    "blocks": (blockwise, "the scales of tensor 3 'weight' of subgraph 0 is 40"),
    "input of an operator": (operator(inputs=[X, WEIGHT, 50]), "(FULLY_CONNECTED) is 50, of 4"),
    "no input": (operator(inputs=[-1, WEIGHT, BIAS]), "an input of operator 0 of subgraph 0"),
    "negative input": (operator(inputs=[X, WEIGHT, -2]), "is -2, of 4"),
    "output of an operator": (operator(outputs=[4]), "an output of operator 0 of subgraph 0"),
    "no output": (operator(outputs=[-1]), "(FULLY_CONNECTED) is -1, of 4"),
    "intermediate": (operator(intermediates=[9]), "an intermediate of operator 0"),
    "input written": (operator(outputs=[X]), "writes into tensor 0 'x': a constant, an input"),
    "made twice": (operator(outputs=[Y, Y]), "writes into tensor 2 'y'"),
    "constant output": (
        operator(outputs=[BIAS]),
        "operator 0 of subgraph 0 writes into tensor 1 'bias'",
    ),
    "operator code": (
        operator(opcodeIndex=3),
        "the operator code of operator 0 of subgraph 0 is 3",
    ),
    "options elsewhere": (
        operator(largeCustomOptionsOffset=90_000, largeCustomOptionsSize=8),
        "operator 0 of subgraph 0 is said to lie at byte 90000 with 8 bytes",
    ),
    "unknown operator": (first("operatorCodes", builtinCode=9999), "operator code 9999"),
    "negative operator": (first("operatorCodes", builtinCode=-1), "at byte"),
    "buffer elsewhere": (far_buffer, "is said to lie at byte 100000 with 4 bytes"),
    "inputs": (first("subgraphs", inputs=[4]), "in the inputs of subgraph 0 is 4, of 4"),
    "outputs": (first("subgraphs", outputs=[-1]), "in the outputs of subgraph 0 is -1, of 4"),
    "no inputs": (first("subgraphs", inputs=[]), "subgraph 0 takes nothing"),
    "no outputs": (first("subgraphs", outputs=None), "subgraph 0 gives nothing"),
    "no subgraph": (whole(subgraphs=[]), "it has no subgraph"),
    "version": (whole(version=2), "schema version 2, not 3"),
    "metadata": (first("metadata", buffer=7), "the buffer of metadata 'note' is 7, of"),
    "old metadata": (whole(metadataBuffer=[70]), "a buffer of the metadata is 70"),
    "signature": (first("signatureDefs", subgraphIndex=1), "of signature 'serving_default' is 1"),
    "tensor of a signature": (
        lambda model: vars(model.signatureDefs[0].inputs[0]).update(tensorIndex=12),
        "tensor 'x' of signature 'serving_default' is 12, of 4",
    ),
}


@pytest.mark.parametrize(("change", "problem"), MEANINGLESS.values(), ids=MEANINGLESS)
def test_a_whole_flatbuffer_without_meaning_is_refused(
    change: Callable[[Any], None], problem: str
) -> None:
    assert problem in refused(edited(LINEAR, change))


@pytest.mark.parametrize(
    "change",
    [
        operator(inputs=[X, WEIGHT, -1]),
        operator(inputs=[X, WEIGHT]),
        operator(intermediates=[-1]),
        tensor(Y, name=None, quantization=None),
        tensor(Y, shape=[]),
        tensor(Y, shape=[0, 4]),
        tensor(Y, type=schema.TensorType.STRING, shape=[1 << 30, 1 << 30]),
        quantization(X, quantizedDimension=3),
        quantization(X, scale=np.zeros(1, np.float32)),
        whole(signatureDefs=None, description=None, metadata=None),
        lambda model: vars(model.buffers[0]).update(offset=1, size=0),
        lambda model: vars(model.buffers[-1]).update(data=None, offset=16, size=4),
    ],
)
def test_what_the_schema_allows_passes(change: Callable[[Any], None]) -> None:
    verify(edited(LINEAR, change), "net.tflite")


def test_a_long_name_does_not_fill_the_message() -> None:
    assert len(refused(edited(LINEAR, tensor(Y, name="y" * 5000, type=77)))) < 300


def test_of_mutants_those_that_pass_can_be_read_and_all_others_are_refused() -> None:
    choice, passed = random.Random(0), 0

    for _ in range(MUTANTS):
        content = mutant(LINEAR, choice)
        try:
            verify(content, "net.tflite")
        except RequestError:
            continue
        passed += 1
        stored_about(content, "net.tflite")
        input_shape(content)
        expose_tensors(content)

    assert MUTANTS // 20 < passed < MUTANTS


def mutant(content: bytes, choice: random.Random) -> bytes:
    """Return the file with a bit turned, a word replaced, words exchanged, or its end cut off."""
    kind, at = choice.randrange(4), choice.randrange(len(content))
    word = at // 4 * 4
    if kind == 0:
        return patched(content, at, bytes([content[at] ^ 1 << choice.randrange(8)]))
    if kind == 1:
        value = choice.choice([0, 1, 2, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFF, 4096])
        return patched(content, word, struct.pack("<I", value))[: len(content)]
    if kind == 2:
        other = choice.randrange(len(content)) // 4 * 4
        one, two = content[word : word + 4], content[other : other + 4]
        return patched(patched(content, word, two), other, one)[: len(content)]
    return content[:at]
