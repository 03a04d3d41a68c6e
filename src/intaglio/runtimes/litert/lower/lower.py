"""From the canonical graph to the one whose every node is a tensor of the written file."""

from __future__ import annotations

from intaglio.ir.graph import Graph
from intaglio.passes.absorb_rescale import absorb_rescale
from intaglio.passes.remove_noop import remove_noop
from intaglio.runtimes.litert.lower.align_constants import align_constants
from intaglio.runtimes.litert.lower.express_padding import express_padding
from intaglio.runtimes.litert.lower.lower_activations import (
    lower_hard_sigmoid,
    lower_hard_swish,
    lower_silu,
)
from intaglio.runtimes.litert.lower.lower_affine_axes import lower_affine_axes
from intaglio.runtimes.litert.lower.lower_shapes import (
    lower_affine,
    lower_average_pool,
    lower_nearest,
    lower_strided_slice,
    separate_grids,
    split_concat,
)
from intaglio.runtimes.litert.lower.lower_transposed import crop_transposed


def lower(graph: Graph) -> dict[str, int]:
    """Rewrite a canonical graph for LiteRT, in place; its function stays up to float32 rounding.

    Returns:
        How many changes each pass made, by name.
    """
    passes = (
        align_constants,
        lower_silu,
        lower_hard_sigmoid,
        lower_hard_swish,
        lower_affine,
        lower_affine_axes,
        lower_average_pool,
        lower_nearest,
        lower_strided_slice,
        crop_transposed,
        absorb_rescale,
        remove_noop,
        express_padding,
        separate_grids,
        split_concat,
    )
    return {step.__name__: step(graph) for step in passes}
