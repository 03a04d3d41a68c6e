"""A moving average of what is learned: it is measured, and kept at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The moving average of parameters, which starts at their values.

        average = decay * average + (1 - decay) * parameter

    Attributes:
        decay: 0..1; with 0 the average is the parameters as they are, and nothing is kept.
    """

    def __init__(self, parameters: Mapping[str, Sequence[nn.Parameter]], decay: float) -> None:
        self.decay = decay
        self._parameters = {
            f"{group}.{index}": parameter
            for group, members in parameters.items()
            for index, parameter in enumerate(members)
            if decay > 0
        }
        self._average = {name: part.detach().clone() for name, part in self._parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters as they are now."""
        for name, parameter in self._parameters.items():
            self._average[name].lerp_(parameter, 1.0 - self.decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the network the averages for the length of a block."""
        own = {name: part.detach().clone() for name, part in self._parameters.items()}
        self.put_in()
        try:
            yield
        finally:
            self._set(own)

    def put_in(self) -> None:
        """Give the network the averages."""
        self._set(self._average)

    def tensors(self) -> dict[str, Tensor]:
        """Return the averages by name."""
        return dict(self._average)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` returned."""
        for name, average in self._average.items():
            average.copy_(tensors[name])

    @torch.no_grad()
    def _set(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self._parameters.items():
            parameter.copy_(values[name])
