"""A runtime of nobody: 7 bits, its own rounding, files in JSON that hold [C, H, W]."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from boardlet import interpreter, kernels
from intaglio.data.preprocess import Preprocess, describe
from intaglio.errors import RequestError, UnsupportedByTarget
from intaglio.host.files import RESULT_FILES
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.plan import Plan, with_derived
from intaglio.numerics.spec import QuantParams, QuantSpec
from intaglio.run.twin import site_of
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
from intaglio.targets.site import KernelMaker, Site
from intaglio.targets.target import TARGETS, Target

FILE_NAME = "model.board"
BITS = 7


@dataclass(frozen=True)
class BoardRunner:
    """A file, opened."""

    model: dict[str, Any]
    input_shape: tuple[int, ...]
    output_shapes: tuple[tuple[int, ...], ...]

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Return the outputs for images [N, C, H, W], real numbers."""
        runs = [interpreter.run(self.model, image.numpy()) for image in images]
        return [
            torch.from_numpy(np.stack([run[end["name"]] - end["zero"] for run in runs])).float()
            * torch.tensor(end["scale"], dtype=torch.float32)
            for end in self.model["outputs"]
        ]


@dataclass(frozen=True)
class Board(Target):
    """The board; see `intaglio.targets.runtime.Runtime`."""

    def lower(self, graph: Graph) -> Lowered:
        """Return the graph as it is: what the board lacks is refused."""
        return Lowered(graph.copy(), {})

    def refusals(self, graph: Graph, plan: Plan) -> list[Refusal]:
        """Return the layers whose ops the board lacks, or that are to stay in float."""
        return [
            UnsupportedByTarget(
                node.source or node.name,
                node.op,
                self.name,
                reason="the board has no such op",
                try_instead="Replace it",
            )
            for node in graph
            if node.name in plan.kept_float or not self._has(node)
        ]

    def _has(self, node: Node) -> bool:
        dilated = node.op == "conv2d" and tuple(node.attrs["dilation"]) != (1, 1)
        return node.op == "input" or (node.op in kernels.KERNELS and not dilated)

    def shares(self, graph: Graph, node: Node) -> bool:
        """Whether the node only moves values."""
        return node.op == "reshape"

    def prescribed(self, op: str, spec: QuantSpec) -> QuantParams | None:
        """Return None: every grid is free."""
        return None

    def holds(self, node: Node, shape: tuple[int, ...], bits: int) -> bool:
        """Whether a weight has 7 bits."""
        return bits == BITS

    def bias_limit(self, bits: int) -> int:
        """Return how large a bias may be."""
        return 2**28

    def settle_scales(
        self, graph: Graph, plan: Plan, grids: Grids, ranges: Ranges, *, trial: bool = False
    ) -> tuple[Plan, Grids]:
        """Return them as they are: the board's integers are the same everywhere."""
        return plan, with_derived(plan, grids)

    @property
    def kernels(self) -> Mapping[str, KernelMaker]:
        """Op to kernel."""
        return kernels.KERNELS

    def quantize_input(self, values: Tensor, params: QuantParams) -> Tensor:
        """Return floor(x / s + 1/2) in float64, within the grid, centered."""
        steps = (values.double() / params.scale.double() + 0.5).floor()
        spec, zero = params.spec, params.zero
        return steps.clamp(spec.qmin - zero, spec.qmax - zero).float()

    def size_bytes(self, graph: Graph, bits: Mapping[str, int]) -> int:
        """Return about what the JSON takes."""
        weights = sum(graph.param(graph[name], "weight").numel() for name in bits)
        return 400 * len(graph.nodes) + weights * 4 // 3

    def write(self, graph: Graph, encodings: Encodings, io: str, about: About) -> dict[str, bytes]:
        """Return the JSON."""
        first = graph.inputs[0]
        ops = [
            operator(site_of(graph, node, encodings, self)) for node in graph if node.op != "input"
        ]
        model = {
            "format": "boardlet 1",
            "input": {"name": first, "shape": graph[first].shape[1:], **ends(encodings, first)},
            "ops": ops,
            "outputs": [
                {"name": name, "shape": graph[name].shape[1:], **ends(encodings, name)}
                for name in graph.outputs
            ],
            "preprocess": describe(about.preprocess) if about.preprocess else None,
        }
        return {FILE_NAME: json.dumps(model).encode()}

    @contextmanager
    def open(self, files: Mapping[str, bytes], *, where: str | None = None) -> Iterator[Runner]:
        """Give the file opened; it is JSON and can do no harm."""
        model = _loaded(files, where or "the file")
        shapes = tuple((1, *end["shape"]) for end in model["outputs"])
        yield BoardRunner(model, (1, *model["input"]["shape"]), shapes)

    def about(self, files: Mapping[str, bytes], *, where: str) -> About:
        """Return what the file says of its images."""
        said = _loaded(files, where)["preprocess"]
        if said is None:
            return About()
        mean, std = tuple(said["mean"] or ()), tuple(said["std"] or ())
        return About(Preprocess(resize=said["resize"], crop=said["crop"], mean=mean, std=std))

    def check(
        self,
        files: Mapping[str, bytes],
        twin: IntegerNetwork,
        batches: Iterable[Tensor],
        *,
        where: str | None = None,
    ) -> CheckCounts:
        """Compare every value of every image."""
        model, counts = _loaded(files, where or "the file"), CheckCounts()
        for batch in batches:
            for image in batch:
                found = interpreter.run(model, image.numpy())
                self._compare(twin, image[None], found, counts)
        return counts

    def _compare(
        self, twin: IntegerNetwork, image: Tensor, found: Mapping[str, Any], counts: CheckCounts
    ) -> None:
        def tap(node: Node, value: Tensor) -> None:
            expected = twin.raw(node.name, value)[0].numpy()
            wrong = int((expected != found[node.name]).sum())
            counts.values_compared += expected.size
            counts.mismatches += wrong
            if wrong:
                counts.worst[node.name] = counts.worst.get(node.name, 0) + wrong

        twin.run(image, tap)
        counts.images += 1

    def quiet(self) -> None:
        """Do nothing: the board is silent."""


def ends(encodings: Encodings, name: str) -> dict[str, Any]:
    """Return a value's grid as the file has it."""
    grid = encodings.activations[name]
    low, high = grid.spec.qmin, grid.spec.qmax
    return {"scale": float(grid.step), "zero": grid.zero, "low": low, "high": high}


def operator(site: Site) -> dict[str, Any]:
    """Return the file's record of one node."""
    node, (low, high) = site.node, kernels.bounds(site)
    made: dict[str, Any] = {
        "op": node.op,
        "name": node.name,
        "inputs": list(node.inputs),
        "zeros": [grid.zero for grid in site.inputs],
        "zero": site.output.zero,
        "low": low,
        "high": high,
        "shape": list(node.shape[1:]),
    }
    if site.weight is not None:
        integers = site.weight.numpy().astype(np.int8)
        made["weight"] = base64.b64encode(integers.tobytes()).decode()
        made["weight_shape"] = list(integers.shape)
        made["bias"] = [0] if site.bias is None else site.bias.tolist()
    if node.op == "conv2d":
        made |= {key: node.attrs[key] for key in ("stride", "padding", "groups")}
    if node.op == "add":
        made |= {"factors": kernels.sum_factors(site), "shift": kernels.SUM_SHIFT}
    elif node.op != "reshape":
        factor = 1.0 / kernels.mean_count(site) if node.op == "mean" else 1.0
        pairs = kernels.multipliers(site, factor)
        made["mantissa"], made["shift"] = map(list, zip(*pairs, strict=True))
        made["keeps"] = node.attrs.get("keepdim", False)
    return made


def _loaded(files: Mapping[str, bytes], where: str) -> dict[str, Any]:
    try:
        return interpreter.load(files[FILE_NAME])
    except ValueError as error:
        raise RequestError(f"{where}: is no file of the board ({error})") from error


RESULT_FILES.register(FILE_NAME)("the integer network")
BOARD = TARGETS.register("boardlet")(
    Board(
        name="boardlet",
        runtime="boardlet 0.1",
        description="a board of nobody",
        file_name=FILE_NAME,
        schemes=("w7a7", "w7a7-per-tensor"),
        io_forms=("float",),
    )
)
