"""LiteRT's two targets: through the XNNPACK delegate, and by the reference kernels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from intaglio.errors import RequestError
from intaglio.host.files import register_of_cores
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.plan import Plan, with_derived
from intaglio.numerics.scheme import HALF, PER_TENSOR
from intaglio.numerics.spec import QuantParams, QuantSpec
from intaglio.runtimes.litert import low_bits
from intaglio.runtimes.litert.check import check_file
from intaglio.runtimes.litert.check_floats import check_floats
from intaglio.runtimes.litert.file.about import (
    core_outputs,
    end_operators,
    input_shape,
    stored_about,
)
from intaglio.runtimes.litert.file.detection_metadata import LABELS_FILE as LABELMAP_FILE
from intaglio.runtimes.litert.file.end import differences, end_of, misfit
from intaglio.runtimes.litert.file.metadata import file_metadata, fitting_labels, with_labels
from intaglio.runtimes.litert.file.refusals import refusals
from intaglio.runtimes.litert.file.size import size_bytes
from intaglio.runtimes.litert.file.write import write_tflite
from intaglio.runtimes.litert.format.layout import file_shape
from intaglio.runtimes.litert.format.verify import verify
from intaglio.runtimes.litert.interpreter.exposed import giving
from intaglio.runtimes.litert.interpreter.isolated import isolated
from intaglio.runtimes.litert.interpreter.network import as_network
from intaglio.runtimes.litert.interpreter.quiet import silence_greeting
from intaglio.runtimes.litert.interpreter.runner import IN_PROCESS, InProcess, Opener
from intaglio.runtimes.litert.lower.guard_factors import shares
from intaglio.runtimes.litert.lower.lower import lower
from intaglio.runtimes.litert.on_device.files import device_files
from intaglio.runtimes.litert.ops.activation import prescribed
from intaglio.runtimes.litert.ops.elementwise import PRODUCT_LIMITS, SUM_RATIO_LIMITS
from intaglio.runtimes.litert.ops.ends import quantize_input
from intaglio.runtimes.litert.ops.site import Arithmetic, kernels_of
from intaglio.runtimes.litert.scales.agreement import AGREEMENTS, LIBRARY
from intaglio.runtimes.litert.scales.center_factors import center_factors
from intaglio.runtimes.litert.scales.fit_clamps import fit_clamps
from intaglio.runtimes.litert.scales.fit_operands import fit_operands
from intaglio.runtimes.litert.scales.fit_products import fit_products
from intaglio.runtimes.litert.scales.nudge import nudge_scales
from intaglio.targets.ending import Ending, FileEnding
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
from intaglio.targets.target import BESIDE, IN_FILE, TARGETS, Target

FILE_NAME = "model.tflite"
register_of_cores(FILE_NAME, "the integer network")
SCHEMES = (
    *(scheme + end for end in ("", PER_TENSOR) for scheme in ("w8a8", "w4a8", "w2a8", "mixed")),
    HALF,
)
"""FULLY_CONNECTED takes int4 and int2 weights; every layer float16 constants behind DEQUANTIZE."""


@dataclass(frozen=True)
class Litert(Target):
    """LiteRT with one of its two arithmetics; see `Runtime` for the functions.

    Attributes:
        arithmetic: Of the kernels that run a file.
    """

    io_forms: tuple[str, ...] = ("float", "int8", "uint8")
    postprocess_places: tuple[str, ...] = (BESIDE, IN_FILE)
    arithmetic: Arithmetic = "xnnpack"

    @property
    def is_reference(self) -> bool:
        """Whether the reference kernels run a file, without a delegate."""
        return self.arithmetic == "reference"

    def lower(self, graph: Graph) -> Lowered:
        """Return a canonical graph whose every node is a tensor of the file."""
        lowered = graph.copy()
        return Lowered(lowered, lower(lowered))

    def refusals(self, graph: Graph, plan: Plan) -> list[Refusal]:
        """Return every layer that a file cannot hold."""
        return refusals(graph, plan, self)

    def shares(self, graph: Graph, node: Node) -> bool:
        """Whether the node moves values, pools and resizes among them, or guards a factor."""
        return shares(graph, node)

    def prescribed(self, op: str, spec: QuantSpec) -> QuantParams | None:
        """Return the grid of a sigmoid's or tanh's result."""
        return prescribed(op, spec)

    def holds(self, node: Node, shape: tuple[int, ...], bits: int) -> bool:
        """Whether the weight has 8 bits, or the layer is a matrix product whose rows fill bytes."""
        return low_bits.holds(node, shape, bits)

    def bias_limit(self, bits: int) -> int:
        """Return how large a bias may be; sums of products fit beside it in the accumulator."""
        return low_bits.bias_limit(bits)

    def settle_scales(
        self, graph: Graph, plan: Plan, grids: Grids, ranges: Ranges, *, trial: bool = False
    ) -> tuple[Plan, Grids]:
        """Return scales of sums' operands within the limits; those on which x86-64 and ARM agree.

        The reference kernels are the same on both, but for functions of the processor's library.
        """
        if trial:
            return plan, with_derived(plan, grids)
        sums, products = SUM_RATIO_LIMITS[self.arithmetic], PRODUCT_LIMITS[self.arithmetic]
        grids = fit_clamps(graph, plan, center_factors(graph, plan, grids), ranges)
        plan, grids = fit_operands(graph, plan, grids, ranges, sums)
        grids = fit_products(graph, plan, with_derived(plan, grids), ranges, products)
        ops = LIBRARY if self.is_reference else AGREEMENTS
        return nudge_scales(graph, plan, grids, self.name, ops)

    @cached_property
    def kernels(self) -> Mapping[str, KernelMaker]:
        """Op to what makes its integer kernel."""
        return kernels_of(self.arithmetic)

    def quantize_input(self, values: Tensor, params: QuantParams) -> Tensor:
        """Return reals as centered integers, as QUANTIZE makes them."""
        return quantize_input(values, params, self.arithmetic)

    def device_files(self) -> dict[str, bytes]:
        """Return the runner of a detector, in NumPy and LiteRT alone, and what it imports."""
        return device_files()

    def size_bytes(self, graph: Graph, bits: Mapping[str, int]) -> int:
        """Return what a file takes, without metadata: right to one part in a hundred."""
        return size_bytes(graph, bits)

    def write(self, graph: Graph, encodings: Encodings, io: str, about: About) -> dict[str, bytes]:
        """Return the .tflite, with metadata that mobile libraries read."""
        end = None
        if about.postprocess is not None:
            end = end_of(about.postprocess, graph, encodings, about.labels)
        named = file_metadata(
            graph, about.preprocess, about.labels, scheme=about.scheme, model=about.model, end=end
        )
        content = write_tflite(graph, encodings, self, io=io, metadata=named, end=end)
        if end is not None:
            return {FILE_NAME: with_labels(content, end.names, LABELMAP_FILE)}
        return {FILE_NAME: with_labels(content, fitting_labels(graph, about.labels))}

    def end_misfit(self, post: Ending | None, shapes: Sequence[tuple[int, ...]]) -> str | None:
        """Return why no operators that make boxes or classes can stand behind these outputs."""
        return misfit(post, shapes)

    def end_differences(self, post: FileEnding) -> tuple[str, ...]:
        """Return how boxes or classes of the file differ from those of `boxes` and `maps`."""
        return differences(post)

    @contextmanager
    def open(self, files: Mapping[str, bytes], *, where: str | None = None) -> Iterator[Runner]:
        """Give the file opened; in a child process where it was read from a disk.

        Of one that ends in boxes or classes, what it gives is what stands in front of that end.
        """
        with self._opener(files, where) as opener:
            core = _core(files[FILE_NAME], where or IN_PROCESS)
            yield as_network(opener.open(core), where or IN_PROCESS)

    def about(self, files: Mapping[str, bytes], *, where: str) -> About:
        """Return what the file's own buffer says."""
        verify(files[FILE_NAME], where)
        return stored_about(files[FILE_NAME], where)

    def check(
        self,
        files: Mapping[str, bytes],
        twin: IntegerNetwork,
        batches: Iterable[Tensor],
        *,
        where: str | None = None,
    ) -> CheckCounts:
        """Run the file, and a copy with its inner tensors exposed, and compare.

        Of a file in float the outputs alone are compared, with a deviation. A file that ends in
        boxes or classes is run with all its operators, and its network's outputs are compared.
        """
        compare = check_file if twin.encodings.halves is None else check_floats
        with self._opener(files, where) as opener:
            if where is not None:
                _require_same_input(files[FILE_NAME], twin, where)
            core = _core(files[FILE_NAME], where or IN_PROCESS)
            counts = compare(core, twin, batches, opener)
        if core is not files[FILE_NAME]:
            counts.builtin = _without_end(counts.builtin, end_operators(core))
        slow = Counter(counts.builtin) - Counter(QUANTIZE=counts.shifts)
        if not self.is_reference and (counts.partitions != 1 or slow):
            counts.remarks.append(_slower(counts, slow))
        return counts

    def quiet(self) -> None:
        """Keep the delegate's greeting from standard error."""
        silence_greeting()

    @contextmanager
    def _opener(self, files: Mapping[str, bytes], where: str | None) -> Iterator[Opener]:
        if where is None:
            yield InProcess(self)
            return
        verify(files[FILE_NAME], where)
        with isolated(self, where=where) as opener:
            yield opener


def _core(content: bytes, where: str) -> bytes:
    """Return a file that gives its network's outputs: itself, or a copy of one with an end."""
    outputs = core_outputs(content, where)
    return giving(content, outputs) if outputs else content


def _without_end(builtin: Sequence[str], end: Sequence[str]) -> list[str]:
    """Return names of operators without those of the end, which are the last."""
    left, kept = Counter(end), []
    for name in reversed(builtin):
        if left[name]:
            left[name] -= 1
        else:
            kept.append(name)
    return kept[::-1]


def _require_same_input(content: bytes, twin: IntegerNetwork, where: str) -> None:
    own = file_shape((1, *twin.graph[twin.graph.inputs[0]].shape[1:]))
    given = input_shape(content)
    if given != own:
        raise RequestError(f"{where} takes {list(given)}, its twin {list(own)}: not a pair")


def _slower(counts: CheckCounts, slow: Counter[str]) -> str:
    outside = f"{slow.total()} ops ({', '.join(sorted(slow))}) run outside the delegate, in"
    cost = "exact, but slower" if counts.deviation is None else "slower"
    return (
        f"{outside if slow else 'the delegate runs the network in'} {counts.partitions}"
        f" partitions: {cost}"
    )


LITERT = Litert(
    name="litert",
    runtime="ai-edge-litert 2.3.0 (XNNPACK)",
    description="LiteRT's default interpreter, x86-64 and 64-bit ARM",
    file_name=FILE_NAME,
    schemes=SCHEMES,
    low_bit_layers=low_bits.WHERE,
)
LITERT_REFERENCE = Litert(
    name="litert-reference",
    runtime="ai-edge-litert 2.3.0 (reference kernels)",
    description="LiteRT's reference kernels (BUILTIN_REF)",
    file_name=FILE_NAME,
    schemes=SCHEMES,
    low_bit_layers=low_bits.WHERE,
    arithmetic="reference",
)
for _target in (LITERT, LITERT_REFERENCE):
    TARGETS.register(_target.name)(_target)
