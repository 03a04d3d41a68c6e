"""A plain module as what the loop trains: in float, with the batch norms that it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from intaglio.methods.learn.learner import NORMS, SCALES, WEIGHTS
from intaglio.run.fake.on_grid import OnGrid


class ModuleLearner(nn.Module):
    """A module in training; parameters that need no gradient stay as they are.

    For networks that cannot be captured as one graph: the loop asks for outputs, and what a loss
    makes of them may run other parts of the module.

    Attributes:
        module: What learns.
        frozen: Whether batch norms keep their statistics, [] bool.
        observes: Nothing is observed.
    """

    frozen: Tensor
    observes = True

    def __init__(self, module: nn.Module, outputs: Callable[[Tensor], Sequence[Tensor]]) -> None:
        """Keep the module.

        Args:
            module: Changed in place.
            outputs: What of the module is computed for images [N, C, H, W], for the loss to see.
        """
        super().__init__()
        self.module = module
        self._outputs = outputs
        self.register_buffer("frozen", torch.tensor(False))
        self._norms = {
            name: norm
            for name, norm in module.named_modules()
            if isinstance(norm, _BatchNorm) and norm.track_running_stats
        }

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the outputs [N, ...] for images [N, C, H, W], in order."""
        return list(self._outputs(images))

    @property
    def norm_momentum(self) -> float:
        """How much of a batch's statistics goes into those of batch norms, 0..1."""
        momenta = [norm.momentum for norm in self._norms.values() if norm.momentum is not None]
        return momenta[0] if momenta else 0.1

    @norm_momentum.setter
    def norm_momentum(self, momentum: float) -> None:
        """Let so much go into those of all batch norms."""
        for norm in self._norms.values():
            norm.momentum = momentum

    def train(self, mode: bool = True) -> ModuleLearner:
        """Choose between training and measuring; norms that are frozen only measure."""
        super().train(mode)
        if bool(self.frozen):
            for norm in self._norms.values():
                norm.eval()
        return self

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters: those of more than one dimension are weights, others norms."""
        learned = [one for one in self.module.parameters() if one.requires_grad]
        return {
            WEIGHTS: [one for one in learned if one.ndim > 1],
            NORMS: [one for one in learned if one.ndim <= 1],
            SCALES: [],
        }

    def grids(self) -> Mapping[str, Tensor]:
        """Return none."""
        return {}

    def weights_on_grids(self) -> Mapping[str, OnGrid]:
        """Return none."""
        return {}

    def norm_statistics(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Return (mean, variance) [C] each of batch norms that follow the batches, by layer."""
        if bool(self.frozen):
            return {}
        return {
            name: (norm.running_mean, norm.running_var)
            for name, norm in self._norms.items()
            if norm.running_mean is not None and norm.running_var is not None
        }

    def freeze_norms(self) -> None:
        """Keep the statistics of all batch norms from now on."""
        self.frozen.fill_(True)
        self.train(self.training)
