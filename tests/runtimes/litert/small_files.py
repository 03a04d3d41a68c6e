"""Files of one operator, made by hand: some that run, some that a runtime does not survive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema

from intaglio.numerics.spec import QuantParams, QuantSpec
from intaglio.runtimes.litert.format.builder import FILE_IDENTIFIER, TfliteBuilder


def grid(scale: float | list[float], zero_point: int | list[int]) -> QuantParams:
    """Return a grid; lists are one value a channel."""
    spec = QuantSpec(axis=0 if isinstance(scale, list) else None)
    return QuantParams(torch.tensor(scale), torch.tensor(zero_point, dtype=torch.int32), spec)


def linear_file() -> bytes:
    """Return int8 FULLY_CONNECTED [1, 8] -> [1, 4] with a scale a row, and metadata "note"."""
    build = TfliteBuilder()
    build.inputs = [build.tensor("x", (1, 8), "int8", grid(0.1, 3))]
    weight = np.arange(32, dtype=np.int8).reshape(4, 8)
    rows = grid([0.1, 0.2, 0.3, 0.4], [0, 0, 0, 0])
    bias = build.stored("bias", np.zeros(4, np.int32), grid([0.01, 0.02, 0.03, 0.04], [0] * 4))
    build.outputs = [build.tensor("y", (1, 4), "int8", grid(2.0, -5))]
    build.operator(
        "FULLY_CONNECTED",
        [build.inputs[0], build.stored("weight", weight, rows), bias],
        build.outputs,
        version=5,
        options=schema.FullyConnectedOptionsT(),
    )
    build.metadata["note"] = b"twelve bytes"
    return build.pack("one layer")


def softmax_file(classes: int) -> bytes:
    """Return int8 SOFTMAX: the reference kernel aborts on 512 equal values (kernels.md, 7)."""
    build = TfliteBuilder()
    build.inputs = [build.tensor("x", (1, classes), "int8", grid(0.1, 0))]
    build.outputs = [build.tensor("y", (1, classes), "int8", grid(1 / 256, -128))]
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    build.operator("SOFTMAX", build.inputs, build.outputs, version=2, options=options)
    return build.pack("softmax")


def slow_file() -> bytes:
    """Return a float convolution of 2.4e9 products: ten seconds of the reference kernel."""
    build, shape = TfliteBuilder(), (1, 128, 128, 128)
    build.inputs = [build.tensor("x", shape, "float32")]
    weight = build.stored("weight", np.zeros((128, 3, 3, 128), np.float32))
    bias = build.stored("bias", np.zeros(128, np.float32))
    build.outputs = [build.tensor("y", shape, "float32")]
    options = schema.Conv2DOptionsT()
    options.strideH = options.strideW = 1
    build.operator(
        "CONV_2D", [build.inputs[0], weight, bias], build.outputs, version=1, options=options
    )
    return build.pack("slow")


def huge_file() -> bytes:
    """Return a file whose twelve outputs take 1 GiB each."""
    build, elements = TfliteBuilder(), 1 << 28
    build.inputs = [build.tensor("x", (1,), "float32")]
    shape = build.stored("shape", np.asarray([elements], np.int32))
    for number in range(12):
        build.outputs.append(build.tensor(f"y{number}", (elements,), "float32"))
        build.operator("BROADCAST_TO", [build.inputs[0], shape], build.outputs[-1:], version=2)
    return build.pack("huge")


def edited(content: bytes, change: Callable[[Any], None]) -> bytes:
    """Return the file after a change to the schema's ModelT of it."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def patched(content: bytes, at: int, new: bytes) -> bytes:
    """Return the file with some of its bytes replaced."""
    return content[:at] + new + content[at + len(new) :]
