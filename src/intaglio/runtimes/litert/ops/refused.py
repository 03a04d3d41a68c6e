"""Ops without an integer kernel, or without an operator in the file, and why."""

from __future__ import annotations

REWRITTEN = {
    "where": "base of the work on vocabulary: its kernel is being made",
    "adaptive_avg_pool2d": "with equal windows it is an average pool by explicit_pool; with"
    " unequal ones lower_adaptive_pool makes it linear layers over pixels",
    "affine": "lower_affine makes it a convolution or a linear layer",
    "batch_norm": "folded into the layer before it, or made an affine, by canonicalize",
    "hard_sigmoid": "lower_hard_sigmoid makes it a clamped sum and a rescale",
    "hard_swish": "lower_hard_swish makes it a clamped sum and a product",
    "maximum": "lower_extremes makes it a clamped difference and a sum",
    "minimum": "lower_extremes makes it two differences, one of them clamped",
    "opaque": "a call that intaglio does not know has no meaning in integers, and no operator",
    "prelu": "lower_prelu makes it a leaky ReLU, or a rectified product and a sum",
    "silu": "lower_silu makes it a sigmoid and a product",
}
"""Ops that are gone when kernels are made and files are written, or that neither can have."""
KERNELS_REFUSED = {
    **REWRITTEN,
    "constant": "its integers are stored: the twin hands them out (run/twin.py)",
    "div": "the file's DIV is float32 alone; lower_div makes it a product with a reciprocal",
    "input": "its value is given, and made integers on the way in (run/twin.py)",
    "quantize": "what comes in from float is made integers in one place (run/twin.py)",
    "compare": "yes and no are no numbers on a grid: what they choose from stays in float",
    "softmax": "at the network's end it stays in float; lower_softmax composes it elsewhere",
}
"""Ops without an entry in the table of integer kernels."""
WRITERS_REFUSED = {
    **REWRITTEN,
    "compare": "base of the work on vocabulary: its writer is being made",
    "input": "it is a tensor of the file and no operator: file/write.py adds it",
}
"""Ops without an entry in the table of writers."""
