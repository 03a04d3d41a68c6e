"""Ops without an integer kernel, or without an operator in the file, and why."""

from __future__ import annotations

REWRITTEN = {
    "batch_norm": "folded into the layer before it, or made an affine, by canonicalize",
    "hard_sigmoid": "lower_hard_sigmoid makes it a clamped sum and a rescale",
    "hard_swish": "lower_hard_swish makes it a clamped sum and a product",
    "opaque": "a call that intaglio does not know has no meaning in integers, and no operator",
    "silu": "lower_silu makes it a sigmoid and a product",
}
"""Ops that are gone when kernels are made and files are written, or that neither can have."""
FLOAT_ALONE = {
    "affine": "lower_affine makes it a layer with weights, lower_affine_axes a product and a sum",
    "maximum": "lower_extremes makes it a clamped difference and a sum",
    "minimum": "lower_extremes makes it two differences, one of them clamped",
    "prelu": "lower_prelu makes it a leaky ReLU, or a rectified product and a sum",
    "adaptive_avg_pool2d": "windows of unequal sizes have no operator: lower_adaptive_pool"
    " makes it linear layers over pixels",
    "compare": "yes and no are no numbers on a grid",
    "div": "the runtime divides in float32 alone; lower_div makes it a product with a reciprocal",
    "softmax": "at the network's end it stays in float; lower_softmax composes it elsewhere",
    "where": "yes and no choose between its values, and those are no numbers on a grid",
}
"""Ops that the file has in float32 alone."""
KERNELS_REFUSED = {
    **REWRITTEN,
    **FLOAT_ALONE,
    "constant": "its integers are stored: the twin hands them out (run/twin.py)",
    "input": "its value is given, and made integers on the way in (run/twin.py)",
    "quantize": "what comes in from float is made integers in one place (run/twin.py)",
}
"""Ops without an entry in the table of integer kernels."""
WRITERS_REFUSED = {
    **{op: why for op, why in REWRITTEN.items() if op != "affine"},  # it can be kept in float
    "input": "it is a tensor of the file and no operator: file/write.py adds it",
}
"""Ops without an entry in either table of writers."""
