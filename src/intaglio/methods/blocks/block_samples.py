"""What one training step of a block looks at: the same window of some images, of both networks.

At each step some images and one window are drawn, so that a step costs the same for large and small
pictures, and sees many images. Windows at the edge of the picture are as frequent as others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.ir.graph import Graph
from intaglio.methods.blocks.block_walk import BlockWalk
from intaglio.methods.blocks.blocks import Block
from intaglio.methods.blocks.windows import Box, boxes_for
from intaglio.methods.steps.held_values import centered
from intaglio.numerics.encodings import Encodings
from intaglio.run.float import in_layout

SIDE = 8
"""Rows and columns of a window."""
LEAST_IMAGES = 4


@dataclass(frozen=True, eq=False)
class Sample:
    """One step's data.

    Attributes:
        boxes: Where each value is needed; empty where the block must see whole pictures.
        floats: The block's inputs in the float network, cut to their boxes.
        twins: The same in the twin, real numbers.
        target: The block's result in the float network, cut to its box.
    """

    boxes: dict[str, Box]
    floats: dict[str, Tensor]
    twins: dict[str, Tensor]
    target: Tensor


@dataclass(frozen=True, eq=False)
class Sampler:
    """Draws samples of a block.

    Attributes:
        walk: Values of both networks; the block's float result is made already.
        images: The first so many are drawn from.
        positions: How many positions of the result a sample has, about.
    """

    graph: Graph
    block: Block
    encodings: Encodings
    walk: BlockWalk
    images: int
    positions: int
    generator: torch.Generator

    def draw(self) -> Sample:
        """Return the next sample."""
        result = self.block.outputs[0]
        boxes: dict[str, Box] = {}
        area = 1
        shape = self.graph[result].shape
        if self.block.is_local:
            box = self._window(*shape[2:])
            boxes = boxes_for(self.graph, self.block.nodes, result, box)
            area = (box.bottom - box.top) * (box.right - box.left)
        elif len(shape) == 4:
            area = shape[2] * shape[3]
        wished = max(LEAST_IMAGES, self.positions // area)
        chosen = torch.randperm(self.images, generator=self.generator)[:wished]
        floats = {name: self._taken(name, boxes, chosen) for name in self.block.inputs}
        twins = {name: self._real(name, boxes, chosen) for name in self.block.inputs}
        return Sample(boxes, floats, twins, self._taken(result, boxes, chosen))

    def _window(self, height: int, width: int) -> Box:
        rows, columns = min(SIDE, height), min(SIDE, width)
        top, left = self._begin(height, rows), self._begin(width, columns)
        return Box(top, left, top + rows, left + columns)

    def _begin(self, size: int, length: int) -> int:
        # drawn from half a window beyond the picture and moved into it: edges get their share
        drawn = torch.randint(
            -(length // 2), size - length // 2 + 1, (1,), generator=self.generator
        )
        return min(max(int(drawn), 0), size - length)

    def _taken(self, name: str, boxes: Mapping[str, Box], chosen: Tensor) -> Tensor:
        return _gathered(self.walk.floats[name], boxes.get(name), chosen)

    def _real(self, name: str, boxes: Mapping[str, Box], chosen: Tensor) -> Tensor:
        grid = self.encodings.activations.get(name)
        value = _gathered(self.walk.integers[name], boxes.get(name), chosen)
        return value if grid is None else centered(value, grid).mul_(grid.scale)


def mixed(first: Tensor, second: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Return a tensor whose elements are those of `first` with probability `share`.

    Source: QDrop (Wei et al. 2022, arXiv:2203.05740), equation 5.
    """
    if share >= 1.0:
        return first
    taken = torch.empty_like(first, dtype=torch.bool).bernoulli_(share, generator=generator)
    return torch.where(taken, first, second)


def _gathered(value: Tensor, box: Box | None, chosen: Tensor) -> Tensor:
    part = (value if box is None else box.cut(value))[chosen]
    return in_layout(part)
