"""Which ops the reader of modules makes of ATen calls, and who makes the others."""

from __future__ import annotations

READ = frozenset(
    (
        "adaptive_avg_pool2d",
        "add",
        "avg_pool2d",
        "batch_norm",
        "clamp",
        "concat",
        "constant",
        "conv2d",
        "conv_transpose2d",
        "div",
        "hard_sigmoid",
        "hard_swish",
        "input",
        "leaky_relu",
        "linear",
        "max_pool2d",
        "mean",
        "mul",
        "opaque",
        "pad",
        "reshape",
        "resize",
        "sigmoid",
        "silu",
        "slice",
        "softmax",
        "sub",
        "tanh",
        "transpose",
    )
)
"""Ops that the table of ATen calls (aten.py, aten_shape.py) and the ends of a program become."""
REFUSED = {
    "affine": "no call means it: it is what batch_norm_to_affine makes of a batch norm",
    "depth_to_space": "torch's pixel_shuffle orders channels otherwise: lower_nearest makes it",
    "quantize": "no network has one: the plan puts it where float values enter integer layers",
    "rescale": "a module says mul or div by a number: multiply_by_scalar and lowering make it",
}
"""Ops that no ATen call becomes, and who makes them."""
