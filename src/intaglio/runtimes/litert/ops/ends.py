"""Where reals become integers: QUANTIZE, stored constants, and the twin's first values.

xnnpack    q = rint(f32(x f32(1 / s))) + z
reference  q = half away from zero of f32(x / s), + z
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from intaglio.ir.graph import Node
from intaglio.numerics.spec import QuantParams
from intaglio.run.weights import integer_weight
from intaglio.runtimes.litert.format.layout import to_file
from intaglio.runtimes.litert.ops.site import Arithmetic
from intaglio.runtimes.litert.ops.writing import Writing, tflite_op


def quantize_input(values: Tensor, params: QuantParams, arithmetic: Arithmetic) -> Tensor:
    """Return reals as centered integers of the grid, in float32; NaN stays NaN."""
    spec, zero = params.spec, params.zero
    if arithmetic == "reference":
        steps = values / params.scale
        centered = steps.sign() * (steps.abs().double() + 0.5).floor().float()
    else:
        with np.errstate(over="ignore"):  # of a subnormal scale: zeros are then NaN
            inverse = np.float32(np.float32(1.0) / params.step)
        centered = (values * float(inverse)).round_()
    return centered.clamp_(spec.qmin - zero, spec.qmax - zero)


@tflite_op("constant")
def write_constant(node: Node, writing: Writing) -> None:
    """A stored tensor, int8; float32 where layers in float read it."""
    value = writing.graph.param(node, "value")
    if value.dtype != torch.float32:
        kind = str(value.dtype).removeprefix("torch.")
        raise writing.refuse(
            node, f"stored numbers of type {kind}", "Use what reads them in float32 alone"
        )
    if writing.is_float(node.name):
        stored = writing.stored_real(node, "value", to_file(value), node.name)
        writing.index[node.name] = stored
        return
    grid = writing.grid(node.name)
    array = to_file(integer_weight(value, grid)).astype(np.int8)
    writing.index[node.name] = writing.build.stored(node.name, array, grid)


@tflite_op("quantize")
def write_quantize(node: Node, writing: Writing) -> None:
    """QUANTIZE, from float32 to int8."""
    inputs, output = writing.inputs(node), [writing.output(node)]
    writing.build.operator("QUANTIZE", inputs, output, version=1)
