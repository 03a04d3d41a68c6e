"""From the canonical graph to the one whose every node is a tensor of the written file."""

from __future__ import annotations

from intaglio.ir.graph import Graph
from intaglio.passes.absorb_rescale import absorb_rescale
from intaglio.passes.remove_noop import remove_noop
from intaglio.runtimes.litert.lower.align_constants import (
    align_constants,
    align_values,
    own_constants,
)
from intaglio.runtimes.litert.lower.express_padding import express_padding
from intaglio.runtimes.litert.lower.free_scales import free_clamps, free_scales, store_factors
from intaglio.runtimes.litert.lower.guard_factors import guard_factors
from intaglio.runtimes.litert.lower.lift_matmul import lift_matmul
from intaglio.runtimes.litert.lower.lower_activations import (
    lower_hard_sigmoid,
    lower_hard_swish,
    lower_silu,
)
from intaglio.runtimes.litert.lower.lower_affine_axes import lower_affine_axes
from intaglio.runtimes.litert.lower.lower_average_pool import lower_average_pool
from intaglio.runtimes.litert.lower.lower_composed import (
    lower_div,
    lower_extremes,
    lower_softmax,
)
from intaglio.runtimes.litert.lower.lower_max_pool import lower_max_pool
from intaglio.runtimes.litert.lower.lower_nearest import lower_nearest
from intaglio.runtimes.litert.lower.lower_pixel_shuffle import lower_pixel_shuffle
from intaglio.runtimes.litert.lower.lower_prelu import lower_prelu
from intaglio.runtimes.litert.lower.lower_shapes import (
    lower_affine,
    lower_strided_slice,
    separate_grids,
    split_concat,
)
from intaglio.runtimes.litert.lower.lower_take import lower_take
from intaglio.runtimes.litert.lower.lower_transposed import crop_transposed
from intaglio.runtimes.litert.lower.pixel_layers import lower_adaptive_pool, lower_resize


def lower(graph: Graph) -> dict[str, int]:
    """Rewrite a canonical graph for LiteRT, in place; its function stays up to float32 rounding.

    Returns:
        How many changes each pass made, by name.
    """
    passes = (
        align_constants,
        align_values,
        lower_pixel_shuffle,
        lower_prelu,
        lower_silu,
        lower_hard_sigmoid,
        lower_hard_swish,
        lower_softmax,
        lower_div,
        lower_extremes,
        lower_take,
        lower_affine,
        lower_affine_axes,
        lower_average_pool,
        lower_adaptive_pool,
        lower_max_pool,
        lower_nearest,
        lower_resize,
        lower_strided_slice,
        crop_transposed,
        absorb_rescale,
        remove_noop,
        lift_matmul,
        guard_factors,
        express_padding,
        separate_grids,
        store_factors,
        free_clamps,
        free_scales,
        own_constants,
        split_concat,
    )
    return {step.__name__: step(graph) for step in passes}
