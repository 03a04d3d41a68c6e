"""What the loop trains: a network that says which of its numbers are learned, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from intaglio.run.fake.on_grid import OnGrid

WEIGHTS, NORMS, SCALES = "weights", "norms", "scales"
"""Groups of parameters: weights of layers; biases and the numbers of batch norms; scales and other
bounds of grids, each of which is one number (or one a channel) and the logarithm of which moves."""


class Learner(Protocol):
    """A network in training; an nn.Module (run/fake makes it).

    Attributes:
        norm_momentum: How much of a batch's statistics goes into those of batch norms, 0..1.
        observes: Whether ranges are observed in training; they are held where it is False.
        training: Which of the two `train` chose; an nn.Module has it.
    """

    norm_momentum: float
    observes: bool
    training: bool

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Return the outputs [N, ...] for images [N, C, H, W], real numbers, in order."""

    def train(self, mode: bool = True) -> Any:
        """Choose between training (statistics of the batch, ranges observed) and measuring."""

    def groups(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """Return the parameters by group: WEIGHTS, NORMS and SCALES; each is in one group."""

    def grids(self) -> Mapping[str, Tensor]:
        """Return the scale of each value and each weight by name, [] or [C], detached."""

    def weights_on_grids(self) -> Mapping[str, OnGrid]:
        """Return the weights that are rounded, by layer; none in a float network."""

    def norm_statistics(self) -> Mapping[str, tuple[Tensor, Tensor]]:
        """Return (mean, variance) [C] each of every batch norm, by layer: the buffers themselves.

        Those that were frozen are not among them.
        """

    def freeze_norms(self) -> None:
        """Keep the statistics of all batch norms from now on, and fold them."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything that training changes, as tensors; phases (frozen norms) too."""

    def load_state_dict(self, state: Mapping[str, Any]) -> Any:
        """Take over what `state_dict` returned."""
