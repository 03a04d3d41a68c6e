"""Weights that jump between two integers: counted, frozen, or damped.

Source: Nagel et al. 2022, arXiv:2203.11086, sections 4.1 to 4.3. A weight's integer *turns back* at
step t, o = 1, when it changes, and in the direction opposite to its last change. Its frequency and
the mean of its integers are exponential averages with momentum m,

    f(t) = m o(t) + (1 - m) f(t - 1)        mean(t) = m n(t) + (1 - m) mean(t - 1)

Freezing: where f exceeds a threshold, which falls along a cosine from 0.1 to 0.015, the integer
stays what its mean is nearest to, for good. Damping: sum (w(n) - w)^2 over all weights inside their
grid, w(n) the latent in the middle of its integer's interval (not differentiated), with a factor
that rises along a cosine from 0 to 0.1.

How we differ: m is 0.005, not 0.001, as runs are thousands of steps; a single turn, or two, never
freeze a weight. Distances of the damping are those of latents: where a batch norm is folded into a
weight, they are measured before it is. Where nothing is frozen, integers are read every `EVERY`
steps, and a turn that is seen stands for one in as many: f is a lower bound. `EVERY` is odd, so
that a weight that jumps at every step is not always read at the same integer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.errors import RequestError
from intaglio.methods.learn.events import Event
from intaglio.methods.learn.learner import Learner, OnGrid
from intaglio.methods.learn.options import TrainOptions
from intaglio.numerics.spec import QuantSpec

MOMENTUM = 0.005
THRESHOLDS = (0.1, 0.015)
"""Frequency above which a weight is frozen, at the first step and at the last."""
DAMPING = 0.1
"""Factor of the damping at the last step."""
OFTEN = 0.01
"""Frequency above which a weight is said to jump: more often than once in 100 steps."""
EVERY = 17


@dataclass(eq=False)
class Track:
    """What was seen of one weight; all have its shape.

    Attributes:
        integers: At the last reading.
        direction: Of their last change: -1 or 1; 0 before the first. int8.
        frequency: How often they turned back, a step, 0..1; 0 once frozen. float32.
        mean: Of the integers, float32; unused (no numbers) where nothing is frozen.
        frozen: Which of them stay; unused where nothing is frozen.
    """

    integers: Tensor
    direction: Tensor
    frequency: Tensor
    mean: Tensor
    frozen: Tensor

    def read(self, integers: Tensor, gap: int) -> None:
        """Take the integers of a step that is `gap` steps after the last reading.

        Those of frozen weights are not what they seem: the optimizer has moved their latents.
        """
        if self.frozen.numel():
            integers = torch.where(self.frozen, self.integers, integers)
        change = (integers > self.integers).to(torch.int8)
        change -= (integers < self.integers).to(torch.int8)
        keep = (1.0 - MOMENTUM) ** gap
        turned = change * self.direction < 0
        self.frequency.mul_(keep).add_(turned, alpha=(1.0 - keep) / gap)
        torch.where(change == 0, self.direction, change, out=self.direction)
        if self.mean.numel():
            self.mean.mul_(keep).add_(integers, alpha=1.0 - keep)
        self.integers = integers

    def freeze(self, threshold: float) -> None:
        """Let integers stay that turn back too often."""
        often = self.frequency > threshold
        if bool(often.any()):
            middle = self.mean.round().to(self.integers.dtype)
            self.integers = torch.where(often, middle, self.integers)
            self.frequency.masked_fill_(often, 0.0)
            self.frozen |= often


class Oscillation:
    """Weights of a run that jump, and what is done about them.

    Attributes:
        total_steps: Steps of the run.
    """

    def __init__(self, learner: Learner, options: TrainOptions, total_steps: int) -> None:
        """Remember the integers that a run starts with."""
        self.total_steps = total_steps
        self._learner = learner
        self._choice = options.oscillation
        self._tracks: dict[str, Track] = {}
        self._read_at = 0
        self._read(0)

    def after_step(self, step: int) -> list[Event]:
        """Look at the weights behind the optimizer's step, and freeze what has to be.

        Args:
            step: Steps that are done, this one included.

        Returns:
            Behind the last step: how many weights jumped, if any did; nothing before.
        """
        if self._choice == "freeze" or step - self._read_at >= EVERY:
            self._read(step)
        if self._choice == "freeze":
            threshold = _along_cosine(*THRESHOLDS, self._share(step))
            for track in self._tracks.values():
                track.freeze(threshold)
            self.pin()
        return self._summary(step) if step == self.total_steps else []

    def pin(self) -> None:
        """Write the integers of frozen weights into their latents, whatever has moved these.

        For after a step, and whenever other latents are taken over: those of an average.
        """
        grids = self._learner.weights_on_grids()
        for layer, track in self._tracks.items():
            if layer in grids and track.frozen.numel() and bool(track.frozen.any()):
                latent = grids[layer].latent
                with torch.no_grad():
                    held = grids[layer].latent_at(track.integers)
                    latent.copy_(torch.where(track.frozen, held, latent))

    def penalty(self, step: int) -> Tensor | None:
        """Return what damping adds to the loss of a step, []; None where nothing is damped.

        Args:
            step: Steps that are done before this one.
        """
        grids = self._learner.weights_on_grids() if self._choice == "damp" else {}
        factor = _along_cosine(0.0, DAMPING, self._share(step))
        if not grids or factor == 0.0:
            return None
        return factor * torch.stack([distance(grid) for grid in grids.values()]).sum()

    def tensors(self) -> dict[str, Tensor]:
        """Return copies of all that was seen, by name, for a run that is resumed or goes back."""
        found = {"read_at": torch.tensor(self._read_at)}
        for layer, track in self._tracks.items():
            for name, tensor in vars(track).items():
                found[f"{layer}/{name}"] = tensor.clone()
        return found

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `tensors` returned.

        Raises:
            RequestError: If it is that of another network or of other options.
        """
        layers = {name.rpartition("/")[0] for name in tensors if "/" in name}
        grids = self._learner.weights_on_grids()
        try:
            self._read_at = int(tensors["read_at"])
            self._tracks = {
                layer: self._restored(layer, grids[layer], tensors) for layer in sorted(layers)
            }
        except (KeyError, ValueError) as error:
            raise RequestError(
                f"the state of the run that is resumed does not fit this network ({error});"
                " start the run anew, or resume it with the options that it was started with"
            ) from error

    def _share(self, step: int) -> float:
        return min(1.0, step / max(self.total_steps, 1))

    def _read(self, step: int) -> None:
        """Read the integers of all weights; of those that are on grids for the first time too."""
        gap, self._read_at = step - self._read_at, step
        for layer, grid in self._learner.weights_on_grids().items():
            integers = integers_of(grid)
            if layer not in self._tracks:
                self._tracks[layer] = _new_track(integers, with_mean=self._choice == "freeze")
            elif gap > 0:
                self._tracks[layer].read(integers, gap)

    def _restored(self, layer: str, grid: OnGrid, tensors: Mapping[str, Tensor]) -> Track:
        """Return a layer's track, made of copies; a ValueError where one does not fit its weight."""
        fresh = vars(_new_track(integers_of(grid), with_mean=self._choice == "freeze"))
        for name, tensor in fresh.items():
            stored = tensors[f"{layer}/{name}"]
            if stored.shape != tensor.shape or stored.dtype != tensor.dtype:
                raise ValueError(f"{name} of {layer!r}: {list(stored.shape)} {stored.dtype}")
            tensor.copy_(stored)
        return Track(**fresh)

    def _summary(self, step: int) -> list[Event]:
        tracks = self._tracks.values()
        count = sum(track.integers.numel() for track in tracks)
        frozen = sum(int(track.frozen.sum()) for track in tracks)
        jumping = sum(int((track.frequency > OFTEN).sum()) for track in tracks)
        if not frozen + jumping:
            return []
        done = {
            "freeze": f"{frozen} of them were frozen at the integer nearest to their mean",
            "damp": "a penalty drew them towards the middle of their integers",
            "none": "nothing was done about it",
        }[self._choice]
        what = f"{frozen + jumping} of {count} weights jumped between two integers"
        return [Event(step, f"{what}; {done}")]


def distance(grid: OnGrid) -> Tensor:
    """Return the sum of squared distances of a weight to the middle of its integers, [].

    It has a gradient for the latent. Weights outside the grid are not drawn back to its edge.
    """
    steps = grid.steps()
    is_inside = (steps >= grid.spec.qmin) & (steps <= grid.spec.qmax)
    middle = grid.latent_at(steps.round_())
    return (grid.latent - middle).mul(is_inside).square().sum()


def integers_of(grid: OnGrid) -> Tensor:
    """Return the integers of a weight, same shape, in the smallest type that holds its grid."""
    steps = grid.steps().round_().clamp_(grid.spec.qmin, grid.spec.qmax)
    return steps.to(_integer_type(grid.spec))


def _integer_type(spec: QuantSpec) -> torch.dtype:
    for kind in (torch.int8, torch.int16):
        if torch.iinfo(kind).min <= spec.qmin and spec.qmax <= torch.iinfo(kind).max:
            return kind
    return torch.int32


def _new_track(integers: Tensor, *, with_mean: bool) -> Track:
    """Return a track that starts with these integers; with a mean where weights are frozen."""
    unused = torch.empty(0, device=integers.device)
    return Track(
        integers=integers,
        direction=torch.zeros_like(integers, dtype=torch.int8),
        frequency=torch.zeros_like(integers, dtype=torch.float32),
        mean=integers.float() if with_mean else unused,
        frozen=torch.zeros_like(integers, dtype=torch.bool) if with_mean else unused.bool(),
    )


def _along_cosine(first: float, last: float, share: float) -> float:
    """Return a number between `first` (share 0) and `last` (share 1), on half a cosine."""
    return last + (first - last) * 0.5 * (1.0 + math.cos(math.pi * share))
