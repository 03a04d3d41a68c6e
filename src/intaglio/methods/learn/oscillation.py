"""Weights that jump between two integers: counted, frozen, or damped.

Source: Nagel et al. 2022, arXiv:2203.11086, section 4. Freezing: a weight whose integer turns back
more often than a threshold (turns.py), which falls along a cosine from 0.1 to 0.015, keeps the
integer that its mean is nearest to, for good. Damping: 0.1 times the squared distance of weights to
their integers (damping.py) is added to the loss; the factor rises to that along a cosine from 0.

How we differ: the momentum of averages is 0.005, not 0.001, as runs are thousands of steps; a turn
or two never freeze a weight. A weight is frozen when it turns back, not while it rests and the
threshold falls. Distances are those of latents: where a batch norm is folded into a weight, before
it is. Where nothing is frozen, integers are read every `EVERY` steps: frequencies are lower bounds.
`EVERY` is odd, so that a weight that jumps at every step is not always read at the same integer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from intaglio.errors import RequestError
from intaglio.methods.learn.damping import distance
from intaglio.methods.learn.events import Event
from intaglio.methods.learn.learner import Learner
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.learn.turns import Places, Turns, new_turns, nonzero, places_of

THRESHOLDS = (0.1, 0.015)
"""Frequency above which a weight is frozen, at the first step and at the last."""
DAMPING = 0.1
"""Factor of the damping at the last step."""
OFTEN = 0.01
"""Frequency above which a weight is said to jump: more often than once in 100 steps."""
EVERY = 17


class Oscillation:
    """Weights of a run that jump, and what is done about them.

    The network has the same weights on grids for good once it has any.

    Attributes:
        total_steps: Steps of the run.
    """

    def __init__(self, learner: Learner, options: TrainOptions, total_steps: int) -> None:
        """Remember the integers that a run starts with."""
        self.total_steps = total_steps
        self._learner = learner
        self._choice = options.oscillation
        self._places: Places | None = None
        self._turns: Turns | None = None
        self._is_frozen: Tensor | None = None  # bool, like the integers
        self._frozen: dict[str, Tensor] = {}  # indices by layer
        self._read(0)

    def after_step(self, step: int) -> list[Event]:
        """Look at the weights behind the optimizer's step, and freeze what has to be.

        Args:
            step: Steps that are done, this one included.

        Returns:
            Behind the last step: how many weights jumped, if any did; nothing before.
        """
        if self._choice == "freeze":
            self._freeze(self._read(step), step)
            self.pin()
        elif self._turns is None or step - int(self._turns.read_at) >= EVERY:
            self._read(step)
        return self._summary(step) if step == self.total_steps else []

    def pin(self) -> None:
        """Write the integers of frozen weights into their latents, whatever has moved these.

        For after a step, and whenever other latents are taken over: those of an average.
        """
        if not self._frozen or self._places is None or self._turns is None:
            return
        grids = self._learner.weights_on_grids()
        starts = dict(zip(self._places.shapes, self._places.offsets, strict=False))
        for layer, indices in self._frozen.items():
            latent, start = grids[layer].latent, starts[layer]
            row = self._turns.integers[start : start + latent.numel()]
            with torch.no_grad():
                held = grids[layer].latent_at(row.view(latent.shape)).reshape(-1)[indices]
                latent.put_(indices, held)

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
        if self._turns is None:
            return {}
        found = {name: tensor.clone() for name, tensor in vars(self._turns).items()}
        if self._is_frozen is not None:
            found["is_frozen"] = self._is_frozen.clone()
        return found

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `tensors` returned; the latents are the network's own to restore.

        Raises:
            RequestError: If it is that of another network or of other options.
        """
        self._places = self._turns = self._is_frozen = None
        self._frozen = {}
        if not tensors:
            return
        self._read(0)
        fresh = self.tensors()
        described = {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
        if described != {name: (tensor.shape, tensor.dtype) for name, tensor in fresh.items()}:
            raise RequestError(
                "the record of jumping weights in the state that is resumed is that of another"
                " network or of other options; resume with those of its start, or start anew"
            )
        for name, tensor in fresh.items():
            tensor.copy_(tensors[name])
        self._is_frozen = fresh.pop("is_frozen", None)
        self._turns = Turns(**fresh)
        self._list_frozen()

    def _read(self, step: int) -> Tensor | None:
        """Read all integers, and return which turned back, [K]; None where that cannot be."""
        grids = self._learner.weights_on_grids()
        if not grids:
            return None
        if self._places is None or self._turns is None:
            self._places = places_of(grids)
            self._turns = new_turns(self._places.integers(grids), step)
            if self._choice == "freeze":
                self._is_frozen = torch.zeros_like(self._turns.integers, dtype=torch.bool)
            return None
        if step <= int(self._turns.read_at):
            return None
        return self._turns.read(self._places.integers(grids), step, self._is_frozen)

    def _freeze(self, turned: Tensor | None, step: int) -> None:
        """Freeze the weights among those that turned back, [K], that did so too often."""
        if turned is None or self._turns is None or self._is_frozen is None:
            return
        threshold = _along_cosine(*THRESHOLDS, self._share(step))
        often = turned[self._turns.frequency[turned] > threshold]
        if len(often):
            middle = self._turns.mean[often].round().to(self._turns.integers.dtype)
            self._turns.integers[often] = middle
            self._is_frozen[often] = True
            self._list_frozen()

    def _list_frozen(self) -> None:
        if self._places is not None and self._is_frozen is not None:
            self._frozen = self._places.by_layer(nonzero(self._is_frozen))

    def _share(self, step: int) -> float:
        return min(1.0, step / max(self.total_steps, 1))

    def _summary(self, step: int) -> list[Event]:
        """Return the event that says how many weights jumped; none where no weight did."""
        if self._turns is None or self._places is None:
            return []
        is_jumping = self._turns.frequencies(step) > OFTEN
        frozen = 0
        if self._is_frozen is not None:
            frozen = int(self._is_frozen.sum())
            is_jumping |= self._is_frozen
        jumping = int(is_jumping.sum())
        if not jumping:
            return []
        done = {
            "freeze": f"{frozen} of them were frozen, each at the integer nearest to its mean",
            "damp": "a penalty drew them towards their integers",
            "none": "nothing was done about it",
        }[self._choice]
        what = f"{jumping} of {self._places.offsets[-1]} weights jumped between two integers"
        return [Event(step, f"{what}; {done}")]


def _along_cosine(first: float, last: float, share: float) -> float:
    """Return a number between `first` (share 0) and `last` (share 1), on half a cosine."""
    return last + (first - last) * 0.5 * (1.0 + math.cos(math.pi * share))
