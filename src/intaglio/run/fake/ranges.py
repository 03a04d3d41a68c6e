"""How a grid follows its values while a network trains: one method a file, one table.

The grid that a method wishes for and the grid that counts are two things: a runtime settles wishes
to grids on which its kernels are exact, and these count. A method is told the grid that counts and
gives its edges, with the gradients of what it learns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from intaglio.numerics.spec import QuantParams, QuantSpec
from intaglio.registry import Registry
from intaglio.run.fake.fake_quantize import Edges


class Together(Protocol):
    """What several processes that train together tell each other."""

    def summed(self, values: Tensor) -> Tensor:
        """Return the sum over all processes."""

    def lowest(self, values: Tensor) -> Tensor:
        """Return the least over all processes, number by number."""

    def highest(self, values: Tensor) -> Tensor:
        """Return the greatest over all processes, number by number."""


class ValueRange(nn.Module):
    """The grid of a set of values that share one; a method is a kind of it.

    Attributes:
        spec: Its integers.
        observes: Whether `observe` must see the values before they are rounded. If so, `seen` and
            `follow` are called at the end of a step.
    """

    observes = False

    def __init__(self, start: QuantParams) -> None:
        """Start from the grid that calibration found."""
        super().__init__()
        self.spec: QuantSpec = start.spec

    def wished(self) -> QuantParams:
        """Return the grid that it asks for.

        Raises:
            SpecError, RangeError: If what it asks for is no grid.
        """
        raise NotImplementedError

    def wished_scale(self) -> Tensor:
        """Return the scale that it asks for, [], as it is: maybe no scale at all."""
        return self.wished().scale

    def edges(self, used: QuantParams, count: int) -> Edges:
        """Return the edges of the grid that counts, with gradients.

        Args:
            count: Numbers of one image's value, for methods that scale gradients by it.
        """
        raise NotImplementedError

    def observe(self, values: Tensor, bounds: tuple[float, float] | None) -> None:
        """Look at values of a step in training, before they are rounded.

        It may be called for several values, or for none, in a step.

        Args:
            bounds: Of the clamp that is still to come; None where there is none.
        """

    def seen(self) -> tuple[Tensor, Tensor]:
        """Return the smallest and the largest, [] each, of what was observed in this step.

        (inf, -inf) where nothing was.
        """
        raise NotImplementedError

    def follow(self, low: Tensor, high: Tensor) -> None:
        """Take in what was observed in a step, over all processes; a new one begins."""


class WeightRange(nn.Module):
    """The scales of one layer's weight; a method is a kind of it.

    Attributes:
        spec: Its integers.
        holds: Whether the integers stay: the weight does not learn.
        start_scale: The scales that calibration found, [C] or [].
        zero_point: That of the grid, of the same shape, int32; it stays.
    """

    holds = False
    start_scale: Tensor
    zero_point: Tensor

    def __init__(self, start: QuantParams, weight: Tensor) -> None:
        """Start from the scales that calibration found, for this weight."""
        super().__init__()
        self.spec: QuantSpec = start.spec
        self.register_buffer("start_scale", start.scale.clone())
        self.register_buffer("zero_point", start.zero_point.clone())

    def wished(self, weight: Tensor) -> Tensor:
        """Return the scales that it asks for, [C] or [].

        Args:
            weight: What is rounded, detached.
        """
        raise NotImplementedError

    def step(self, used: Tensor, count: int) -> Tensor:
        """Return the scales that count, [C] or [], with gradients.

        Args:
            count: Numbers for each scale.
        """
        return used


@dataclass(frozen=True)
class RangeMethod:
    """How the grids of a network follow its numbers.

    Attributes:
        values: Makes the range of a set of values from the grid that calibration found.
        weights: Makes that of a weight, from its scales and itself.
        description: One line for lists.
    """

    values: Callable[[QuantParams], ValueRange]
    weights: Callable[[QuantParams, Tensor], WeightRange]
    description: str


RANGE_METHODS: Registry[RangeMethod] = Registry("range method")


def edges_of(used: QuantParams, step: Tensor) -> Edges:
    """Return the edges of a grid with this step (of the same number, with a gradient)."""
    low, high = used.spec.qmin - used.zero, used.spec.qmax - used.zero
    size = step.detach()
    return Edges(step, size * low, size * high, follow=True)
