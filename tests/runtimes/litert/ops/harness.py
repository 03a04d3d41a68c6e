"""Random small networks of one op, and the assertion that file and twin agree on every bit.

    network = Network(seed)
    x = network.input((4, 7, 6))
    y = network.add("max_pool2d", [x], {...}, grid=network.grids[x])
    network.assert_same_bits(LITERT)

Everything follows from the seed. Every third network has powers of two for all its scales: exact
ties in the rounding are rare otherwise. The scales are not those that calibration would choose: for
a few of them MUL and MEAN give other bits on ARM, so the tests of `litert` hold for x86-64.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.numerics.affine import dequantize
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.spec import QuantParams, QuantSpec, per_tensor
from intaglio.ops import OPS
from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.check import CheckCounts
from intaglio.runtimes.litert.file.write import write_tflite
from intaglio.runtimes.litert.format.verify import verify
from intaglio.targets.target import Target
from runtimes.litert.checked import check_file

TARGETS = (LITERT, LITERT_REFERENCE)
IMAGES = 2
Activation = tuple[float, float] | None
UNBOUNDED = (float("-inf"), float("inf"))
ACTIVATIONS: tuple[Activation, ...] = (None, None, (0.0, float("inf")), (0.0, 6.0), (-1.0, 1.0))


def cases(count: int) -> int:
    """Return how many random networks to test: `count`, or the share INTAGLIO_TEST_CASES asks."""
    return max(1, count // int(os.environ.get("INTAGLIO_TEST_CASES", "1")))


class Network:
    """A small graph in the making, a grid for each value, images that use all of the input's grid.

    Attributes:
        random: Where every choice comes from.
        power_of_two: Whether all scales are powers of two.
        graph: The nodes so far; `add` makes each an output.
        grids, weights: As in Encodings.
        values: The float32 value of each node on the images, to choose grids by.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = np.random.default_rng(seed)
        self.power_of_two = seed % 3 == 0
        self.graph = Graph()
        self.grids: dict[str, QuantParams] = {}
        self.weights: dict[str, QuantParams] = {}
        self.values: dict[str, Tensor] = {}

    def input(self, shape: Sequence[int], grid: QuantParams | None = None) -> str:
        """Add the network's input [BATCH, *shape] on a random grid, and images; return its name."""
        grid = grid or per_tensor(self.scale(), self.zero_point())
        name = self.graph.add(Node("x", "input", shape=(BATCH, *shape))).name
        self.graph.inputs, self.grids[name] = [name], grid
        integers = self.integers((IMAGES, *shape), grid.spec.qmin, grid.spec.qmax)
        self.values[name] = dequantize(integers, grid)
        return name

    def add(
        self,
        op: str,
        inputs: Sequence[str],
        attrs: dict[str, Any] | None = None,
        *,
        grid: QuantParams | None = None,
        params: dict[str, Tensor] | None = None,
        weight: QuantParams | None = None,
        output: bool = True,
    ) -> str:
        """Add a node; return its name.

        Args:
            grid: Of its value; chosen around the value's range when None.
            params: Its weights by role, real numbers.
            weight: The grid of its weight.
            output: Whether its value is an output of the network.
        """
        name = self.graph.unique_name(op)
        node = self.graph.add(Node(name, op, list(inputs), {}, dict(attrs or {}), source=name))
        for role, value in (params or {}).items():
            self.graph.set_param(node, role, value)
        known = [self.values[source] for source in inputs]
        self.values[name] = value = OPS[op].function(node, known, params or {})
        batched = any(self.graph[source].shape[0] == BATCH for source in inputs)
        node.shape = (BATCH if batched else value.shape[0], *value.shape[1:])
        self.grids[name] = grid or self.grid_around(self.values[name])
        if weight is not None:
            self.weights[name] = weight
        if output:
            self.graph.outputs.append(name)
        return name

    def operand(self, source: str, start: int, stop: int, grid: QuantParams | None = None) -> str:
        """Return channels [start, stop) of a value on their own grid: a slice, then a clamp."""
        attrs = {"axis": 1, "start": start, "stop": stop, "step": 1}
        part = self.add("slice", [source], attrs, grid=self.grids[source], output=False)
        chosen = grid or self.grid_around(self.values[part])
        return self.add("clamp", [part], {"activation": UNBOUNDED}, grid=chosen, output=False)

    def scale(self, low: float = 2.0**-10, high: float = 2.0**4) -> float:
        """Return a scale, log-uniform in [low, high]; a power of two where all are."""
        exponent = self.random.uniform(math.log2(low), math.log2(high))
        return float(2.0 ** (round(exponent) if self.power_of_two else exponent))

    def zero_point(self) -> int:
        """Return a zero point; one in three lies at an end of the range."""
        if self.random.random() < 1 / 3:
            return int(self.random.choice([-128, 127]))
        return int(self.random.integers(-128, 128))

    def grid_around(self, values: Tensor) -> QuantParams:
        """Return a random grid on which most of the values neither vanish nor saturate."""
        largest = max(float(values.abs().max()), 1e-6) / 255
        return per_tensor(self.scale(largest * 0.7, largest * 2.5), self.zero_point())

    def weight_grid(
        self, scales: Sequence[float], axis: int | None = 0, bits: int = 8
    ) -> QuantParams:
        """Return the symmetric grid of a weight: a scale per channel along `axis`, or one."""
        spec = QuantSpec(bits=bits, symmetric=True, axis=axis, narrow=bits != 2)
        made = torch.tensor(list(scales) if axis is not None else scales[0], dtype=torch.float32)
        return QuantParams(made, torch.zeros_like(made, dtype=torch.int32), spec)

    def integers(self, shape: Sequence[int], low: int, high: int) -> Tensor:
        """Return random integers low .. high, both included, int32."""
        return torch.from_numpy(self.random.integers(low, high + 1, shape).astype(np.int32))

    def choose(self, *options: Any) -> Any:
        """Return one of the options."""
        return options[int(self.random.integers(len(options)))]

    @property
    def images(self) -> Tensor:
        """Float images that fall exactly on the input's grid."""
        return self.values[self.graph.inputs[0]]

    def encodings(self) -> Encodings:
        """Return the grids chosen so far."""
        return Encodings(self.grids, self.weights)

    def assert_same_bits(self, target: Target) -> CheckCounts:
        """Write the file, run it, and compare it with the twin; return what was counted.

        Who changes the graph by a pass infers its shapes again: `add` alone knows them.
        """
        try:
            return assert_same_bits(self.graph, self.encodings(), target, self.images)
        except AssertionError as error:
            raise AssertionError(f"network {self.seed} on {target.name}: {error}") from error


def assert_same_bits(
    graph: Graph, encodings: Encodings, target: Target, images: Tensor
) -> CheckCounts:
    """Assert that file and twin agree on every integer of every value, and that some were compared.

    Raises:
        UnsupportedByTarget: From the twin or the writer.
    """
    twin = build_twin(graph, encodings, target)
    data = write_tflite(graph, encodings, target)
    verify(data, "the written file")
    counts = check_file(data, twin, [images])
    nodes = "; ".join(f"{node.name}: {node.op} {node.attrs} {node.shape}" for node in graph)
    assert counts.mismatches == 0, f"{counts.worst} of {counts.values_compared} in {nodes}"
    assert counts.values_compared > 0, f"nothing was compared in {nodes}"
    return counts
