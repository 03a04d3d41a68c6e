"""Ops that move integers and compute nothing; input and output share one grid."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from intaglio.ops import OPS
from intaglio.run.site import KERNELS, Kernel, Site, refuse_other_grid

MOVING = ("concat", "pad", "reshape", "transpose", "slice", "depth_to_space")


def prepare_move(site: Site) -> Kernel:
    """The op's float function moves centered integers as well: a padded zero is the integer 0."""
    function, node = OPS[site.node.op].function, site.node
    refuse_other_grid(site)

    def kernel(inputs: Sequence[Tensor]) -> Tensor:
        return function(node, inputs, {})

    return kernel


for _name in MOVING:
    KERNELS.register(_name)(prepare_move)
