"""Integer functions of one value: a table of 256 entries, in the cheapest form that is exact.

    y(q) = the chain of functions of s_x (q - z_x), in float64

    negated    -x on its own grid  -q, by MUL with the integer -1; the zero point is 0
    delegate   ELU alone           rint(f32(f32(y f32(1 / s_y)) + z_y)), y in float32; ARM fuses it
    built-in   EXP, GELU alone     away(f32(y f32(1 / s_y))) + z_y, y in float32
    stored     every other chain   rint(y / s_y) + z_y: the table is in the file, and GATHER looks
                                   it up, so that no processor's mathematics has a say

ELU, EXP and GELU are made by the runtime when it loads a file, with the functions of a processor's
library. They are taken where the last bits of these do not matter, and scales are moved a little to
make that so (runtimes/litert/scales/nudge.py); else the table is stored. An entry of a stored table
that is no number is that of the nearest integer whose is one; infinities saturate.

Kernels: XNNPACK's x8-lut; LiteRT's exp.cc, gelu.cc, gather.cc, cast.cc; ai-edge-litert 2.3.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from intaglio.ir.graph import Node
from intaglio.numerics.fused import fused_multiply_add
from intaglio.numerics.spec import QuantParams
from intaglio.ops.function import Call, evaluate_chain
from intaglio.runtimes.litert.format.layout import file_shape
from intaglio.runtimes.litert.ops.activation import look_up, table_arguments, xnnpack_steps
from intaglio.runtimes.litert.ops.elementwise import unit_constant
from intaglio.runtimes.litert.ops.float_functions import write_float_function
from intaglio.runtimes.litert.ops.site import Arithmetic, LitertSite, integer_kernel
from intaglio.runtimes.litert.ops.writing import Writing, tflite_op
from intaglio.targets.site import Kernel, centered_range, refuse_beyond_float32

Wide = npt.NDArray[np.float64]
Reals = npt.NDArray[np.float32]
LARGEST_EXPONENT = 80.0
"""Above it exp(x) leaves float32, and what becomes of it is the processor's choice."""

CLAMP_SLACK = 1e-3
"""Of a step: how far beyond a clamp a grid may reach that is said to end there."""


@dataclass(frozen=True)
class Form:
    """How a chain is written.

    Attributes:
        kind: Who makes the table, and by which rounding: nobody, for a product; the delegate, a
            built-in kernel, or the writer.
        word: The schema's operator, where that is not GATHER.
        version: Of the operator.
        options: Kind of its options, or "".
        settings: Fields of its options.
        relative_error, share_of_argument: Error allowed to a library's float32 function, as shares
            of its value and of its argument. In GELU, 0.5 x (1 + erf(...)), what is in brackets may
            be almost nothing; expm1 of ELU is as exact as exp.
    """

    kind: Literal["negated", "delegate", "built-in", "stored"]
    word: str = "GATHER"
    version: int = 2
    options: str = "GatherOptions"
    settings: dict[str, Any] = field(default_factory=dict)
    relative_error: float = 0.0
    share_of_argument: float = 0.0


def _gelu(*, approximate: bool) -> Form:
    settings = {"approximate": approximate}
    return Form("built-in", "GELU", 2, "GeluOptions", settings, FEW_BITS, FEW_BITS_OF_ONE)


STORED = Form("stored", settings={"axis": 0})
FEW_BITS, FEW_BITS_OF_ONE = 2.0**-21, 2.0**-22
NEGATION: tuple[Call, ...] = (("mul", -1.0),)
FORMS: dict[tuple[Call, ...], Form] = {
    NEGATION: Form("negated", "MUL", 2, "MulOptions"),
    (("elu", 1.0, 1.0, 1.0),): Form("delegate", "ELU", 1, "", relative_error=FEW_BITS),
    (("exp",),): Form("built-in", "EXP", 2, "ExpOptions", relative_error=FEW_BITS),
    (("gelu",),): _gelu(approximate=False),
    (("gelu_tanh",),): _gelu(approximate=True),
}
"""Chains that the runtime has an operator for."""


def form_of(
    chain: tuple[Call, ...], x: QuantParams, y: QuantParams, arithmetic: Arithmetic
) -> Form:
    """Return how a chain from the grid `x` to the grid `y` is written.

    The runtime's own table is taken where no processor can make another one of it.
    """
    form = wished_form(chain, x)
    if form.kind == "delegate" and arithmetic == "reference":
        return STORED  # the reference kernels have no ELU
    return form if is_certain(form, chain, x, y) else STORED


def wished_form(chain: tuple[Call, ...], x: QuantParams) -> Form:
    """Return the operator that the runtime has for a chain; a clamp that moves nothing is none."""
    reals = table_arguments(x)
    if len(chain) > 1 and chain[0][0] == "clamp":
        low, high, slack = float(chain[0][1]), float(chain[0][2]), CLAMP_SLACK * float(x.step)
        if low - slack <= float(reals[0]) and float(reals[-1]) <= high + slack:
            chain = chain[1:]
    form = FORMS.get(chain, STORED)
    return STORED if form.word == "EXP" and float(reals[-1]) > LARGEST_EXPONENT else form


def is_certain(form: Form, chain: Sequence[Call], x: QuantParams, y: QuantParams) -> bool:
    """Whether a table does not depend on a library's last bits, nor on fused multiply-adds."""
    if form.kind == "stored":
        return True
    if form.kind == "negated":
        return x.same_grid(y) and x.zero == 0
    values = exact_values(chain, x)
    error = form.relative_error * np.abs(values) + form.share_of_argument * np.abs(
        table_arguments(x)
    )
    if form.kind == "delegate":
        error = np.where(values < 0, error, 0.0)  # of an ELU the half above 0 is x itself
    found: list[npt.NDArray[Any]] = []
    for sign in (0.0, -1.0, 1.0):
        reals = (values + sign * error).astype(np.float32)
        found.append(_table_steps(form, reals, y))
        if form.kind == "delegate":
            inverse = np.float32(np.float32(1) / y.step)
            found += [
                np.rint(total) for total in fused_multiply_add(reals, inverse, np.float32(y.zero))
            ]
    bounds = y.spec.qmin, y.spec.qmax
    return all(np.array_equal(found[0].clip(*bounds), other.clip(*bounds)) for other in found[1:])


def _table_steps(form: Form, reals: Reals, y: QuantParams) -> npt.NDArray[Any]:
    return (xnnpack_steps if form.kind == "delegate" else built_in_steps)(reals, y)


def exact_values(chain: Sequence[Call], x: QuantParams) -> Wide:
    """Return what a chain makes of the real of every integer of a grid, in order, in float64."""
    low, high = centered_range(x)
    reals = torch.arange(low, high + 1, dtype=torch.float64) * float(x.step)
    values: Wide = evaluate_chain(chain, reals).numpy()
    return values


def built_in_steps(reals: Reals, output: QuantParams) -> Wide:
    """Return the integers of a built-in table, zero point included, not clamped."""
    steps = (reals * np.float32(np.float32(1) / output.step)).astype(np.float64)
    rounded: Wide = np.sign(steps) * np.floor(np.abs(steps) + 0.5) + output.zero
    return rounded


def stored_steps(chain: Sequence[Call], x: QuantParams, y: QuantParams) -> Wide:
    """Return the integers of a stored table, zero point included, clamped to the grid `y`.

    Raises:
        ValueError: If the chain makes a number of none of the integers.
    """
    values = exact_values(chain, x)
    numbers = np.flatnonzero(~np.isnan(values))
    if not len(numbers):
        raise ValueError("it makes a number of none of its input's integers")
    places = np.arange(len(values))
    nearest = numbers[np.abs(places[:, None] - numbers).argmin(1)]
    steps: Wide = np.rint(values[nearest] / float(y.step)) + y.zero
    return steps.clip(y.spec.qmin, y.spec.qmax)


@integer_kernel("function")
def prepare_function(site: LitertSite) -> Kernel:
    """Each integer by its entry of the table."""
    chain, x, y = site.node.attrs["chain"], site.inputs[0], site.output
    form = form_of(chain, x, y, site.arithmetic)
    bounds = centered_range(y)
    if form.kind == "stored":
        return look_up(x, _stored(site, chain) - y.zero, bounds)
    if form.kind == "negated":
        return lambda inputs: inputs[0].neg().clamp_(*bounds)
    refuse_beyond_float32(site, np.float32(np.float32(1) / y.step))
    reals = exact_values(chain, x).astype(np.float32)
    return look_up(x, _table_steps(form, reals, y) - y.zero, bounds)


def _stored(site: LitertSite, chain: tuple[Call, ...]) -> Wide:
    try:
        return stored_steps(chain, site.inputs[0], site.output)
    except ValueError as error:
        raise site.refuse(f"{error}", "Look at the values that it is given") from error


@tflite_op("function")
def write_function(node: Node, writing: Writing) -> None:
    """MUL, ELU, EXP or GELU; or CAST to uint8, CAST to int32, and GATHER of a stored table."""
    chain, is_float = node.attrs["chain"], writing.is_float(node.name)
    if is_float and chain != NEGATION:
        write_float_function(node, writing)
        return
    form = FORMS[NEGATION] if is_float else _form(node, writing)
    inputs = writing.inputs(node)
    if form.kind == "negated":
        inputs.append(_minus_one(node, writing))
    elif form.kind == "stored":
        inputs = [_table(node, writing), _indices(node, writing, inputs[0])]
    made = writing.build.options(form.options, **form.settings) if form.options else None
    output = [writing.output(node)]
    writing.build.operator(form.word, inputs, output, version=form.version, options=made)


def _form(node: Node, writing: Writing) -> Form:
    grids = writing.grid(node.inputs[0]), writing.grid(node.name)
    return form_of(node.attrs["chain"], *grids, writing.arithmetic)


def _minus_one(node: Node, writing: Writing) -> int:
    shape = (1,) * len(node.shape)
    if writing.is_float(node.name):
        return writing.build.stored(f"{node.name}.minus", np.full(shape, -1.0, np.float32))
    minus = np.full(shape, -1, np.int8)
    return writing.build.stored(f"{node.name}.minus", minus, unit_constant(1.0))


def _table(node: Node, writing: Writing) -> int:
    """Store the table in the order of the integers' bits: 0 to 127, then -128 to -1."""
    grid = writing.grid(node.name)
    try:
        steps = stored_steps(node.attrs["chain"], writing.grid(node.inputs[0]), grid)
    except ValueError as error:
        raise writing.refuse(node, f"{error}", "Look at the values that it is given") from error
    table = np.roll(steps, len(steps) // 2).astype(np.int8)
    return writing.build.stored(f"{node.name}.table", table, grid)


def _indices(node: Node, writing: Writing, source: int) -> int:
    """Write the bits of each integer as a number from 0 to 255; return the tensor."""
    for before, behind in (("int8", "uint8"), ("uint8", "int32")):
        shape = file_shape(node.shape)
        made = writing.build.tensor(f"{node.name}.{behind}", shape, behind)
        words = {"inDataType": before, "outDataType": behind}
        chosen = writing.build.options("CastOptions", **words)
        writing.build.operator("CAST", [source], [made], version=1, options=chosen)
        source = made
    return source
