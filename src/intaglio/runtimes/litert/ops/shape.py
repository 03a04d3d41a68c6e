"""Ops that move integers and compute nothing; input and output share one grid."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from intaglio.ops import OPS
from intaglio.run.site import Kernel, Site, integer_kernel, refuse_other_grid


@integer_kernel("concat")
@integer_kernel("pad")
@integer_kernel("reshape")
@integer_kernel("transpose")
@integer_kernel("slice")
@integer_kernel("depth_to_space")
def prepare_move(site: Site) -> Kernel:
    """The op's float function moves centered integers as well: a padded zero is the integer 0."""
    function, node = OPS[site.node.op].function, site.node
    refuse_other_grid(site)

    def kernel(inputs: Sequence[Tensor]) -> Tensor:
        return function(node, inputs, {})

    return kernel
