"""What moves parameters: SGD or AdamW for weights and norms, Adam for scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intaglio.methods.learn.learner import NORMS, SCALES, WEIGHTS
from intaglio.methods.learn.options import DEFAULT_LR, TrainOptions

MOMENTUM = 0.9
FIRST_LOSS_SCALE, DOUBLED_AFTER = 2.0**16, 2000
"""Of losses in fp16, and the finite steps after which it doubles; one that is not halves it."""


class Optimizer:
    """All optimizers of a run as one.

    Weights and norms move by the one that was chosen, weights with decay. Scales are logarithms and
    move by Adam: its steps do not depend on how large gradients are, and so are relative.

    Attributes:
        parameters: Everything that learns.
        loss_scale: By how much losses are multiplied before gradients are computed in fp16.
    """

    def __init__(
        self, groups: Mapping[str, Sequence[nn.Parameter]], options: TrainOptions, device: str
    ) -> None:
        weights, norms, scales = (list(groups.get(name, ())) for name in (WEIGHTS, NORMS, SCALES))
        self._large, self._clip = [*weights, *norms], options.clip
        self.parameters = [*self._large, *scales]
        self._optimizers: dict[str, torch.optim.Optimizer] = {}
        if self._large:
            self._optimizers["weights"] = _chosen(weights, norms, options)
        if scales:
            self._optimizers["scales"] = torch.optim.Adam(scales, lr=options.scale_lr)
        highest = DEFAULT_LR[options.optimizer] if options.lr is None else options.lr
        self._highest = {"weights": highest, "scales": options.scale_lr}
        self._scaler = torch.amp.GradScaler(
            torch.device(device).type,
            init_scale=FIRST_LOSS_SCALE,
            growth_interval=DOUBLED_AFTER,
            enabled=options.precision == "fp16",
        )
        self._first_facts = self.facts()

    @property
    def loss_scale(self) -> float:
        """By how much losses are multiplied now; 1 but in fp16."""
        return float(self._scaler.get_scale())

    def set_rate(self, share: float) -> float:
        """Set all rates to a share of their highest; return that of weights."""
        for name, optimizer in self._optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = self._highest[name] * share
        return self._highest["weights"] * share

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of a loss, those before forgotten."""
        for parameter in self.parameters:
            parameter.grad = None
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def step(self) -> bool:
        """Move all parameters by their gradients; return whether those were finite.

        If any was not, nothing is moved; in fp16 the scale of losses falls.
        """
        moving = [
            optimizer
            for optimizer in self._optimizers.values()
            if any(_gradients(group["params"]) for group in optimizer.param_groups)
        ]
        if not moving:
            return True
        for optimizer in moving:
            self._scaler.unscale_(optimizer)
        norm = torch.nn.utils.get_total_norm(_gradients(self.parameters))
        is_finite = bool(norm.isfinite())
        if is_finite:
            if self._clip:
                torch.nn.utils.clip_grad_norm_(self._large, self._clip)
            for optimizer in moving:
                self._scaler.step(optimizer)
        self._scaler.update()
        return is_finite

    def tensors(self) -> dict[str, Tensor]:
        """Return momenta and the like, by optimizer, parameter and what it is."""
        return {
            f"{name}.{index}.{key}": value
            for name, optimizer in self._optimizers.items()
            for index, state in optimizer.state_dict()["state"].items()
            for key, value in state.items()
            if value is not None
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` returned; what it does not have is as at the start."""
        for name, optimizer in self._optimizers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for path, value in tensors.items():
                owner, index, key = path.split(".", 2)
                if owner == name:  # torch keeps the tensor itself, and changes it in place
                    state.setdefault(int(index), {})[key] = value.clone()
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state, "param_groups": groups})

    def facts(self) -> dict[str, Any]:
        """Return what else there is to keep, as plain JSON."""
        return dict(self._scaler.state_dict())

    def restore_facts(self, facts: Mapping[str, Any]) -> None:
        """Take over what `facts` returned."""
        if self._scaler.is_enabled():
            self._scaler.load_state_dict(dict(facts))

    def reset_loss_scale(self) -> None:
        """Multiply losses by what they were multiplied by at first."""
        self.restore_facts(self._first_facts)


def _chosen(
    weights: list[nn.Parameter], norms: list[nn.Parameter], options: TrainOptions
) -> torch.optim.Optimizer:
    """Return the optimizer of weights and norms."""
    groups = [
        {"params": members, "weight_decay": decay}
        for members, decay in ((weights, options.weight_decay), (norms, 0.0))
        if members
    ]
    if options.optimizer == "adamw":
        return torch.optim.AdamW(groups)
    return torch.optim.SGD(groups, lr=DEFAULT_LR["sgd"], momentum=MOMENTUM, nesterov=True)


def _gradients(parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]
