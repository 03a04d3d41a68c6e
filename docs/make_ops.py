"""Write docs/ops.md from the tables that the code itself uses.

    python docs/make_ops.py

A test compares the page with the tables, so a new op, kernel or writer needs a new page.
"""

from __future__ import annotations

import inspect
from pathlib import Path

from intaglio.methods.structure.relu6_to_relu import relu6_to_relu
from intaglio.ops import OPS
from intaglio.passes.canonicalize import canonicalize
from intaglio.passes.graph_pass import PASSES
from intaglio.runtimes.litert.file.write import TFLITE_OPS
from intaglio.runtimes.litert.lower.lower import lower
from intaglio.runtimes.litert.ops.site import KERNELS
from intaglio.runtimes.litert.ops.writing import FLOAT_OPS

PAGE = Path(__file__).parent / "ops.md"
FILLED_BY = (canonicalize, lower, relu6_to_relu)  # importing them is what files the passes

REWRITTEN = {
    "adaptive_avg_pool2d": ("explicit_pool", "global_pool", "lower_adaptive_pool"),
    "affine": ("lower_affine", "lower_affine_axes"),
    "avg_pool2d": ("global_pool", "lower_average_pool"),
    "batch_norm": ("fold_batch_norm", "batch_norm_to_affine"),
    "clamp": ("fuse_activation",),
    "conv_transpose2d": ("crop_transposed",),
    "div": ("divide_by_constant", "lower_div"),
    "function": ("fuse_functions",),
    "hard_sigmoid": ("lower_hard_sigmoid",),
    "hard_swish": ("lower_hard_swish",),
    "leaky_relu": ("lower_prelu",),
    "matmul": ("lift_matmul", "guard_factors"),
    "max_pool2d": ("lower_max_pool",),
    "maximum": ("clamp_by_constant", "lower_extremes"),
    "minimum": ("clamp_by_constant", "lower_extremes"),
    "mul": ("multiply_by_scalar",),
    "pad": ("merge_pad",),
    "prelu": ("lower_prelu",),
    "rescale": ("absorb_rescale",),
    "resize": ("lower_nearest", "lower_resize"),
    "silu": ("lower_silu",),
    "slice": ("lower_strided_slice",),
    "softmax": ("lower_softmax",),
    "take": ("lower_take",),
}
"""Op to the passes that turn it into others, always or where they can."""

HEAD = """\
# Ops

Made by `python docs/make_ops.py` from the tables in the code; do not edit.

What a network may consist of, and what becomes of it. "Passes" rewrite an op into others, where
they can, before anything is quantized. "Integer" says whether an op that is left has an integer
kernel in the twin; its values are then int8. "In the file" is the operator that it is written as.
An op without an integer kernel that no pass could rewrite is refused: `compress` names the layer,
the reason and what to do instead, and ends with exit code 2. A kernel may refuse single settings in
the same way, such as a dilated transposed convolution: [kernels.md](kernels.md) has the formulas,
the limits and the forms. A layer that is kept in float (`--keep-float`) is the same operator on
float32.

| op | meaning | passes | integer | in the file |
| --- | --- | --- | --- | --- |
"""

PASSES_HEAD = """
## Passes

| pass | what it does |
| --- | --- |
"""


def ops_page() -> str:
    """Return the text of docs/ops.md."""
    rows = [_row(op) for op in OPS]
    passes = [f"| `{name}` | {_cell(_summary(PASSES[name]))} |" for name in PASSES]
    return HEAD + "\n".join(rows) + "\n" + PASSES_HEAD + "\n".join(passes) + "\n"


def _row(op: str) -> str:
    passes = ", ".join(f"`{name}`" for name in REWRITTEN.get(op, ()))
    meaning = _cell(_summary(OPS[op].function))
    return f"| `{op}` | {meaning} | {passes} | {_integer(op)} | {_cell(_written(op))} |"


def _integer(op: str) -> str:
    if op in KERNELS or op in ("input", "constant", "quantize"):
        return "yes"
    if op in REWRITTEN:
        return "through its passes"
    return "in float32 alone" if op in TFLITE_OPS or op in FLOAT_OPS else "refused"


def _written(op: str) -> str:
    if op == "input":
        return "The file's input; QUANTIZE, where it is float32."
    if op in TFLITE_OPS:
        return _summary(TFLITE_OPS[op])
    return f"Kept in float: {_summary(FLOAT_OPS[op])}" if op in FLOAT_OPS else ""


def _summary(function: object) -> str:
    return (inspect.getdoc(function) or "").split("\n", 1)[0]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(ops_page(), encoding="utf-8")
    print(f"written: {PAGE}")
