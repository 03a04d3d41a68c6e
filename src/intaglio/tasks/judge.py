"""Which of two integer networks is better, on images that neither was tuned on."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from intaglio.errors import RequestError
from intaglio.ir.graph import Graph
from intaglio.run.float import run_float
from intaglio.run.twin import IMAGES_AT_ONCE
from intaglio.tasks.evaluate import Made, SideBySide, listed
from intaglio.tasks.judgement import Judgement
from intaglio.tasks.task import Outputs, Task, output_shapes, task_for

FEWEST = 16
"""A judge short of time still looks at that many images."""


class Judge:
    """The float network's answers, computed once, and judgements against them.

    Attributes:
        task: By which it judges.
        images: Those that it judges on, [M, C, H, W].
        labels: Class indices of the images, [M] int64; None without, and where they are not the
            network's.
    """

    def __init__(
        self,
        graph: Graph,
        images: Tensor,
        labels: Tensor | None,
        task: Task | None = None,
        *,
        is_told: bool = False,
        seconds: float | None = None,
    ) -> None:
        """Run the float graph on the images [M, C, H, W].

        Args:
            labels: [M] int64, or None; those that are not the network's are passed over, since
                folders of any images may be given to calibrate with.
            task: None: the first that the outputs fit.
            is_told: Whether the user said what the network is for; its labels say so too.
            seconds: Beyond them no more images are taken in, once there are FEWEST.
        """
        self.task = task or task_for(output_shapes(graph))
        self.names = graph.output_titles
        self.floats: list[Outputs] = []
        began, count = time.perf_counter(), 0
        for piece in torch.split(images, IMAGES_AT_ONCE):
            spent = time.perf_counter() - began
            if not len(piece) or (seconds and spent > seconds and count >= FEWEST):
                break
            self.floats.append(run_float(graph, piece))
            count += len(piece)
        self.images = images[:count]
        self.labels = self._own(labels, output_shapes(graph), count)
        self.is_told = is_told or self.labels is not None

    def _own(self, labels: Tensor | None, shapes: list[tuple[int, ...]], n: int) -> Tensor | None:
        """Return the labels where they are the network's."""
        if labels is None or not self.floats or self.task.misfit(shapes, labels) is not None:
            return None
        if not self.task.needs_labels:
            return None
        for piece, outputs in zip(_pieces(labels[:n]), self.floats, strict=True):
            try:
                self.task.check(outputs, piece)
            except RequestError:
                return None
        return labels[:n]

    def of(self, network: Callable[[Tensor], Made]) -> Judgement:
        """Return the judgement of a network, a twin most times: each output by itself."""
        both = SideBySide(self.task, self.names, is_told=self.is_told)
        labels = [None] * len(self.floats) if self.labels is None else _pieces(self.labels)
        for piece, floats, known in zip(_pieces(self.images), self.floats, labels, strict=False):
            both.add(floats, listed(network(piece)), known)
        return both.judgement()


def _pieces(tensor: Tensor) -> tuple[Tensor, ...]:
    return torch.split(tensor, IMAGES_AT_ONCE)
