"""No device: integers as papers simulate them, in float32, with grids where they say.

A value with a grid is rounded to it; everything between is real arithmetic, with weights that lie
on their grids and biases that do not. There is no file and nothing to be exact to: figures of it
stand beside published ones, and promise nothing of a device.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from torch import Tensor

from intaglio.errors import RequestError
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.affine import centered_integers
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.plan import Plan, with_derived
from intaglio.numerics.scheme import PUBLISHED, Scheme
from intaglio.numerics.spec import QuantParams, QuantSpec
from intaglio.targets.runtime import (
    About,
    CheckCounts,
    Grids,
    IntegerNetwork,
    Lowered,
    Ranges,
    Refusal,
    Runner,
)
from intaglio.targets.site import KernelMaker
from intaglio.targets.target import Target

LARGEST_BIAS = 2**31
FLOAT_BITS = 32


@dataclass(frozen=True)
class Simulation(Target):
    """Float32 arithmetic between grids; see `Runtime` for the functions."""

    computes_reals: bool = True

    def simulates(self, scheme: Scheme) -> bool:
        """Return True: the twin alone runs any of them."""
        return True

    def lower(self, graph: Graph) -> Lowered:
        """Return the graph as it is."""
        return Lowered(graph.copy(), {})

    def refusals(self, graph: Graph, plan: Plan) -> list[Refusal]:
        """Return none: what the float network computes can be simulated."""
        return []

    def shares(self, graph: Graph, node: Node) -> bool:
        """Return False: every value has a grid of its own, or none."""
        return False

    def prescribed(self, op: str, spec: QuantSpec) -> QuantParams | None:
        """Return None: all grids are free."""
        return None

    def holds(self, node: Node, shape: tuple[int, ...], bits: int) -> bool:
        """Return True."""
        return True

    def bias_limit(self, bits: int) -> int:
        """Return what int32 holds; the simulation itself keeps biases real."""
        return LARGEST_BIAS

    def settle_scales(
        self, graph: Graph, plan: Plan, grids: Grids, ranges: Ranges, *, trial: bool = False
    ) -> tuple[Plan, Grids]:
        """Return the grids as they are wished for."""
        return plan, with_derived(plan, grids)

    @property
    def kernels(self) -> Mapping[str, KernelMaker]:
        """No kernel: the twin computes reals."""
        return {}

    def quantize_input(self, values: Tensor, params: QuantParams) -> Tensor:
        """Return reals as centered integers of the grid, in float32; NaN stays NaN."""
        return centered_integers(values, params).where(~values.isnan(), values)

    def size_bytes(self, graph: Graph, bits: Mapping[str, int]) -> int:
        """Return what the weights and the biases take, 4 bytes for each scale."""
        total = 0
        for node in graph:
            for role, value in graph.params_of(node).items():
                width = bits.get(node.name, FLOAT_BITS) if role == "weight" else FLOAT_BITS
                total += -(-value.numel() * width // 8)
            total += 4 * node.channels if node.name in bits else 0
        return total

    def write(self, graph: Graph, encodings: Encodings, io: str, about: About) -> dict[str, bytes]:
        """Return no file."""
        return {}

    def open(
        self, files: Mapping[str, bytes], *, where: str | None = None
    ) -> AbstractContextManager[Runner]:
        """Raise RequestError: there is no file."""
        raise RequestError(f"target {self.name} has no file to open: the twin alone runs it")

    def about(self, files: Mapping[str, bytes], *, where: str) -> About:
        """Return nothing."""
        return About()

    def check(
        self,
        files: Mapping[str, bytes],
        twin: IntegerNetwork,
        batches: Iterable[Tensor],
        *,
        where: str | None = None,
    ) -> CheckCounts:
        """Raise RequestError: there is no file."""
        raise RequestError(f"target {self.name} has no file to check: the twin alone runs it")

    def quiet(self) -> None:
        """Do nothing: nobody speaks."""


SIMULATION = Simulation(
    name="simulation",
    runtime="none (float32 with values on grids)",
    description="no device: schemes of papers (w4a4-academic, ...), run by the twin alone",
    file_name="",
    schemes=tuple(f"w8a8-{coverage}" for coverage in PUBLISHED),
    io_forms=("float",),
    low_bit_layers="all layers",
)
"""None of TARGETS: no runtime runs it, and schemes name it, not users."""
