"""What a runtime is to the rest of the code: the one page that everything above asks.

Nothing outside `runtimes/` knows a runtime by its name. A new one is a frozen object with these
functions, registered in TARGETS (targets/target.py): docs/add_a_target.md shows one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from intaglio.data.preprocess import Preprocess
from intaglio.errors import MismatchError, UnsupportedByTarget
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.plan import Plan
from intaglio.numerics.spec import QuantParams, QuantSpec
from intaglio.targets.ending import FileEnding
from intaglio.targets.site import KernelMaker

Ranges = Mapping[str, tuple[Tensor, Tensor]]
"""Value to its (lowest, highest) real number."""
Refusal = UnsupportedByTarget
"""A layer that a runtime cannot hold, ready to be raised."""
Grids = dict[str, QuantParams]
"""Value to its grid."""


@dataclass(frozen=True)
class About:
    """What files say of themselves, for whoever runs them.

    Attributes:
        preprocess: What is done to an image; None where nothing is known.
        labels: Names of the classes, in order; () where unknown.
        scheme: As on the command line; "" where unknown.
        model: What the network is called; "" where it has no name.
        postprocess: What the outputs are made into, in which files are to end; None: files end in
            the network's outputs.
    """

    preprocess: Preprocess | None = None
    labels: tuple[str, ...] = ()
    scheme: str = ""
    model: str = ""
    postprocess: FileEnding | None = None


@dataclass(frozen=True)
class Lowered:
    """A graph in the words of a runtime.

    Attributes:
        graph: Its every node is one that the runtime's writer is asked for.
        changes: Name of each rewriting to how many changes it made.
    """

    graph: Graph
    changes: Mapping[str, int]


@dataclass
class Deviation:
    """How far outputs of a file in float are from the twin's, where no bits are promised.

    Attributes:
        largest: Of all values.
        relative: Of each output its largest deviation over its largest magnitude in the twin; the
            largest of all outputs.
        values: How many were compared.
    """

    largest: float = 0.0
    relative: float = 0.0
    values: int = 0

    @property
    def is_absurd(self) -> bool:
        """Whether it is more than other orders of summing explain; NaN is."""
        return not self.relative <= ABSURD


ABSURD = 1e-2
"""Relative deviation beyond which a file does not hold its twin's network.

Sums of float32 in another order differ by some 1e-6 of the largest output (1.6e-6 for MobileNetV2),
which leaves deeper networks a factor of thousands; a file of another network is off by tenths.
"""


@dataclass
class CheckCounts:
    """What a check found.

    Attributes:
        images: How many were run.
        values_compared: Integers compared, over all tensors and images.
        mismatches: How many differed.
        worst: Layer to number of mismatches, for those that have any, in the graph's order.
        border_values: Integers taken over from the runtime where layers in float end; they are not
            among the values compared.
        border_equal: How many of them the twin's own float32 arithmetic gives too.
        partitions: Parts in which the runtime runs the network; one is fastest.
        builtin: Names of the ops that run outside the runtime's fast kernels, in order.
        shifts: How many of those only turn the integers of a uint8 end into int8, or back.
        remarks: Sentences for the user: what is exact, but slower than it could be.
        deviation: Of a file in float; None of one of integers.
    """

    images: int = 0
    values_compared: int = 0
    mismatches: int = 0
    worst: dict[str, int] = field(default_factory=dict)
    border_values: int = 0
    border_equal: int = 0
    partitions: int = 1
    builtin: list[str] = field(default_factory=list)
    shifts: int = 0
    remarks: list[str] = field(default_factory=list)
    deviation: Deviation | None = None


class IntegerNetwork(Protocol):
    """The twin, as a runtime's check sees it (run/twin.py makes it).

    A value is in the twin's own form: integer minus zero point in float32; a value without a grid
    is real.
    """

    @property
    def graph(self) -> Graph:
        """The lowered graph."""

    @property
    def encodings(self) -> Encodings:
        """The grid of every value."""

    def run(
        self,
        images: Tensor,
        tap: Callable[[Node, Tensor], None] | None = None,
        exchange: Callable[[Node, Tensor], Tensor] | None = None,
    ) -> list[Tensor]:
        """Return the outputs; `tap` sees each value, `exchange` may put another in its place."""

    def raw(self, name: str, value: Tensor) -> Tensor:
        """Return the integers of a value; reals come as they are."""

    def given(self, images: Tensor) -> Tensor:
        """Return images as the network's first value, in the twin's own form."""


class Runner(Protocol):
    """Opened files of one network, in the runtime itself."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """What it takes, (1, C, H, W) as torch has it."""

    @property
    def output_shapes(self) -> tuple[tuple[int, ...], ...]:
        """What it gives for one image, each in torch's order of axes."""

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Return the outputs for float32 images [N, C, H, W], real numbers, [N, ...] each.

        Raises:
            RequestError: If the runtime cannot run them.
        """


class Runtime(Protocol):
    """One runtime, or one way in which it runs: how graphs are written, run and checked for it.

    Graphs, plans and encodings that a function is given are never changed.
    """

    @abstractmethod
    def lower(self, graph: Graph) -> Lowered:
        """Return a canonical graph in the runtime's words, its function up to float32 rounding."""

    @abstractmethod
    def refusals(self, graph: Graph, plan: Plan) -> list[Refusal]:
        """Return every layer of a lowered, planned graph that cannot be held, without writing."""

    @abstractmethod
    def shares(self, graph: Graph, node: Node) -> bool:
        """Whether the node's inputs and its result must be on one grid."""

    @abstractmethod
    def prescribed(self, op: str, spec: QuantSpec) -> QuantParams | None:
        """Return the grid that the runtime fixes for the result of `op`; None: it is free."""

    @abstractmethod
    def holds(self, node: Node, shape: tuple[int, ...], bits: int) -> bool:
        """Whether the layer's weight, of this shape, can have integers of so many bits."""

    @abstractmethod
    def bias_limit(self, bits: int) -> int:
        """Return how large a bias may be beside a weight of so many bits."""

    @abstractmethod
    def settle_scales(
        self, graph: Graph, plan: Plan, grids: Grids, ranges: Ranges, *, trial: bool = False
    ) -> tuple[Plan, Grids]:
        """Return plan and grids, derived ones included, on which every kernel is exact.

        Args:
            ranges: What calibration saw; may be empty.
            trial: Whether it is for trying what can be held alone: then no scale is moved.

        Raises:
            UnsupportedByTarget: If no scale does it; names the layer.
        """

    @property
    @abstractmethod
    def kernels(self) -> Mapping[str, KernelMaker]:
        """Op to what makes its integer kernel."""

    @abstractmethod
    def quantize_input(self, values: Tensor, params: QuantParams) -> Tensor:
        """Return reals as centered integers of the grid, in float32; NaN stays NaN."""

    @abstractmethod
    def size_bytes(self, graph: Graph, bits: Mapping[str, int]) -> int:
        """Return what the files take, without what they say of themselves.

        Args:
            bits: Layer to bits of its weight; layers without an entry stay in float.
        """

    @abstractmethod
    def write(self, graph: Graph, encodings: Encodings, io: str, about: About) -> dict[str, bytes]:
        """Return the files of a network by name, the network itself first.

        Args:
            io: One of the target's `io_forms`.

        Raises:
            UnsupportedByTarget: If they cannot hold a node, or its bits; names the user's layer.
        """

    @abstractmethod
    def open(
        self, files: Mapping[str, bytes], *, where: str | None = None
    ) -> AbstractContextManager[Runner]:
        """Return files opened in the runtime, which ends with the context.

        Args:
            where: The place on a disk that they were read from: they are then untrusted, and run
                where they can do no harm. None: this process has written them.

        Raises:
            RequestError: If the runtime cannot load them.
        """

    @abstractmethod
    def about(self, files: Mapping[str, bytes], *, where: str) -> About:
        """Return what files that were read from a disk say of themselves.

        Raises:
            RequestError: If they are damaged, or what they say makes no sense.
        """

    @abstractmethod
    def check(
        self,
        files: Mapping[str, bytes],
        twin: IntegerNetwork,
        batches: Iterable[Tensor],
        *,
        where: str | None = None,
    ) -> CheckCounts:
        """Run files in the runtime and compare every quantized tensor with the twin.

        Of files in float the outputs are compared, and their deviation is counted.

        Args:
            batches: float32 [N, C, H, W] each, as the float network wants them; gone through once.
            where: As for `open`.

        Raises:
            RequestError: If the runtime cannot load or run them, or they are no files of the twin.
        """

    @abstractmethod
    def quiet(self) -> None:
        """Keep what the runtime says of itself, once in a process, from standard error."""


def require_match(counts: CheckCounts, runtime: str) -> None:
    """Raise MismatchError, naming the first layer, when anything differed that must not."""
    if counts.deviation is not None and counts.deviation.is_absurd:
        raise MismatchError(
            f"{deviation_text(counts.deviation)} on {runtime}, where {ABSURD:g} is the most that"
            " float32 arithmetic explains: please report the network; the file was not written"
        )
    if counts.mismatches:
        first = next(iter(counts.worst))
        raise MismatchError(
            f"{counts.mismatches} of {counts.values_compared} values differ between the file and"
            f" its twin on {runtime}, first in layer '{first}' ({counts.worst[first]} values):"
            " please report the network; the file was not written"
        )


def deviation_text(found: Deviation) -> str:
    """Return how far the file is from its twin, in words."""
    return (
        f"the file's outputs are up to {found.largest:.3g} from its twin's,"
        f" {found.relative:.3g} of the largest output,"
    )
