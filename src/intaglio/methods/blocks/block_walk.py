"""The float network and the twin side by side, block by block, over all tuning images at once.

Only values that pass from block to block are held for every image, float32 and as the twin's
integers; what is inside a block is made for a few images at a time. (`paired_walk.py` goes layer by
layer and holds every value between two layers.)
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from intaglio.ir.graph import Graph, Node
from intaglio.methods.blocks.blocks import Block
from intaglio.methods.steps.held_values import centered, held_bytes, storage, stored
from intaglio.methods.steps.state import Context
from intaglio.numerics.accumulate import exact_float32
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.spec import QuantParams
from intaglio.run.float import channels_last, in_layout, run_node
from intaglio.run.partial import Route, run_partial
from intaglio.run.twin import IMAGES_AT_ONCE, prepare, quantize_input
from intaglio.targets.site import Kernel
from intaglio.targets.target import Target

STEP_MB = 500
"""Left for what one training step makes."""


class BlockWalk:
    """Values between blocks, of both networks; `advance_floats`, then `advance_integers`, in turn.

    Attributes:
        floats: Float value by name, [N, ...].
        integers: The twin's value by name, raw integers [N, ...]; float32 where it has no grid.
        count: N, how many images fit the memory.
    """

    def __init__(
        self, reference: Graph, blocks: Sequence[Block], encodings: Encodings, context: Context
    ) -> None:
        self.reference = channels_last(reference)
        self.target = context.target
        fitting = block_images_within(reference, blocks, encodings, context.memory_mb)
        images, name = context.tuning_images[:fitting], reference.inputs[0]
        self.count = len(images)
        self.floats: dict[str, Tensor] = {name: in_layout(images)}
        grid = encodings.activations.get(name)
        self.integers: dict[str, Tensor] = {name: self.floats[name]}
        if grid is not None:
            self.integers[name] = _empty_like(images, storage(grid))
            for part in _parts(self.count):
                self.integers[name][part] = stored(
                    quantize_input(images[part], grid, self.target), grid
                )
        self.last_reader = {
            source: index for index, block in enumerate(blocks) for source in block.inputs
        }

    def advance_floats(self, block: Block) -> None:
        """Make the block's results in the float network."""
        route = Route.between(self.reference, block.inputs, block.outputs)
        step = functools.partial(run_node, self.reference)
        with torch.inference_mode(), exact_float32():
            for part in _parts(self.count):
                given = {name: self.floats[name][part] for name in block.inputs}
                for name, value in route.run(given, step).items():
                    if name not in self.floats:
                        self.floats[name] = self._empty(value, torch.float32)
                    self.floats[name][part] = value

    def advance_integers(self, block: Block, graph: Graph, encodings: Encodings) -> None:
        """Make the block's results in the twin."""
        kernels = block_kernels(block, graph, encodings, self.target)
        grids = encodings.activations
        for part in _parts(self.count):
            made = self.run_integers(block, graph, kernels, grids, part)
            for name, value in made.items():
                grid = grids.get(name)
                if name not in self.integers:
                    self.integers[name] = self._empty(value, storage(grid))
                self.integers[name][part] = stored(value, grid)

    def release(self, index: int) -> None:
        """Free what no block behind number `index` reads."""
        for values in (self.floats, self.integers):
            for name in [name for name in values if self.last_reader.get(name, -1) <= index]:
                del values[name]

    def run_integers(
        self,
        block: Block,
        graph: Graph,
        kernels: Mapping[str, Kernel],
        grids: Mapping[str, QuantParams],
        part: slice,
    ) -> dict[str, Tensor]:
        """Return the block's results in the twin's own form (integer minus zero point)."""
        given = {
            name: centered(self.integers[name][part], grids.get(name)) for name in block.inputs
        }

        def step(node: Node, inputs: Sequence[Tensor]) -> Tensor:
            """Return the node's value in the twin, by the kernel made for the block."""
            return kernels[node.name](inputs)

        with torch.inference_mode(), exact_float32():
            return run_partial(graph, given, block.outputs, step)

    def _empty(self, value: Tensor, dtype: torch.dtype) -> Tensor:
        whole = torch.empty((self.count, *value.shape[1:]), dtype=dtype)
        return in_layout(whole)


def block_kernels(
    block: Block, graph: Graph, encodings: Encodings, target: Target
) -> dict[str, Kernel]:
    """Return the integer kernels of a block's nodes and of the constants that they read.

    Raises:
        UnsupportedByTarget: If the target cannot compute one of them.
    """
    constants = {
        source
        for name in block.nodes
        for source in graph[name].inputs
        if graph[source].op == "constant"
    }
    return {
        name: prepare(graph, graph[name], encodings, target)
        for name in [*sorted(constants), *block.nodes]
    }


def block_images_within(
    graph: Graph, blocks: Sequence[Block], encodings: Encodings, memory_mb: int
) -> int:
    """Return how many images' values between blocks fit the memory; at least 4."""
    sizes = {
        node.name: math.prod(node.shape[1:]) * held_bytes(encodings.activations.get(node.name))
        for node in graph
    }
    last_reader = {source: index for index, block in enumerate(blocks) for source in block.inputs}
    live, most = set(graph.inputs), 1
    for index, block in enumerate(blocks):
        live.update(block.outputs)
        most = max(most, sum(sizes[name] for name in live))
        live = {name for name in live if last_reader.get(name, -1) > index}
    free = max(memory_mb - STEP_MB, memory_mb / 2) * 1e6
    return max(4, int(free // most))


def _parts(count: int) -> Iterator[slice]:
    for begin in range(0, count, IMAGES_AT_ONCE):
        yield slice(begin, min(begin + IMAGES_AT_ONCE, count))


def _empty_like(value: Tensor, dtype: torch.dtype) -> Tensor:
    return in_layout(torch.empty(value.shape, dtype=dtype))
