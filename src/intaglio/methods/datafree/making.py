"""Images on their way, as a checkpoint and back: the file is that of all training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from intaglio.errors import RequestError
from intaglio.methods.datafree.adam import adam_tensors, restore_adam
from intaglio.methods.datafree.pictures import Pictures
from intaglio.methods.learn.checkpoint import NOW, Checkpoint, Facts, load, refuse_other
from intaglio.methods.learn.parts import Tensors, copied, joined, under
from intaglio.methods.learn.saver import Saver

READY, GOOD, ADAM, PICTURES = "ready", "good", "adam", "pictures"
PLAIN = ("number", "step", "factor", "events", "first", "last", "good_step")
"""What of it is a plain value."""


@dataclass(eq=False)
class Making:
    """Where the making of images is.

    Attributes:
        ready: Batches that are done.
        number: The batch that is being made.
        step: Of it, that are done.
        factor: Of the rate; below 1 once this batch went back.
        events: What was done.
        first, last: Loss of the batch norms of each batch, at its first and at its last step.
        good, good_step: What the batch goes back to.
        lately: The loss of the batch norms by now.
        seconds: Spent before this process went on.
    """

    ready: list[Tensor] = field(default_factory=list)
    number: int = 0
    step: int = 0
    factor: float = 1.0
    events: list[str] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)
    good: Tensors = field(default_factory=dict)
    good_step: int = 0
    lately: float = float("nan")
    seconds: float = 0.0

    pictures: Pictures = field(init=False)
    adam: torch.optim.Adam = field(init=False)

    def begin(self, pictures: Pictures, rate: float) -> None:
        """Begin a batch."""
        self.pictures, self.step, self.factor = pictures, 0, 1.0
        groups = [
            {"params": learned, "lr": rate * share, "share": share}
            for learned, share in pictures.groups()
        ]
        self.adam = torch.optim.Adam(groups)
        self.keep_good()

    def set_rate(self, rate: float) -> None:
        """Set the rate of pixels, and others with it."""
        for group in self.adam.param_groups:
            group["lr"] = rate * group["share"] * self.factor

    def keep_good(self) -> None:
        """Let this be what the batch goes back to."""
        self.good, self.good_step = self._now(), self.step

    def go_back(self, reason: str, lowered: float) -> None:
        """Go back to the last good images, at a lower rate; the second time the batch ends."""
        self._take(self.good)
        if self.factor < 1.0:
            self.events.append(f"{reason}: batch {self.number} ends after step {self.good_step}")
            self.step = 2**62
            return
        self.factor, self.step = lowered, self.good_step
        self.events.append(
            f"{reason}: batch {self.number} goes back to step {self.good_step}, and on with a tenth"
            " of the rate"
        )

    def end_batch(self) -> None:
        """Put the images to those that are ready."""
        with torch.no_grad():
            self.ready.append(self.pictures().detach().cpu().contiguous())
        self.last.append(self.lately)
        self.number, self.step = self.number + 1, 0

    def tensors(self) -> dict[str, Tensor]:
        """Return copies of all that changes."""
        ready = {str(index): batch for index, batch in enumerate(self.ready)}
        return copied(joined({NOW: self._now(), GOOD: self.good, READY: ready}))

    def restore(self, tensors: Tensors) -> None:
        """Take over what `tensors` returned."""
        self._take(under(tensors, NOW))
        self.good = under(tensors, GOOD)
        ready = under(tensors, READY)
        self.ready = [ready[str(index)] for index in range(len(ready))]

    def _now(self) -> dict[str, Tensor]:
        parts = {PICTURES: self.pictures.tensors(), ADAM: adam_tensors(self.adam)}
        return copied(joined(parts))

    def _take(self, tensors: Tensors) -> None:
        with torch.no_grad():
            for name, value in under(tensors, PICTURES).items():
                self.pictures.tensors()[name].copy_(value)
        restore_adam(self.adam, under(tensors, ADAM))


def saver_of(place: Path | None, about: dict[str, str], every_seconds: float) -> Saver[Making]:
    """Return what saves images on their way; arguments as of `Saver` and `checkpoint_of`."""
    return Saver(place, every_seconds, lambda now, seconds: checkpoint_of(now, about, seconds))


def checkpoint_of(making: Making, about: dict[str, str], seconds: float) -> Checkpoint:
    """Return the making of images as a checkpoint.

    Args:
        about: What is made, in words: what a run that goes on has in common with the killed one.
        seconds: That it took in this process.
    """
    state: dict[str, Any] = {name: getattr(making, name) for name in PLAIN}
    state["seconds"] = making.seconds + seconds
    return Checkpoint(_facts(about).model_copy(update={"state": state}), making.tensors())


def _facts(about: dict[str, str]) -> Facts:
    return Facts(about=about, options={}, images=0, total=0, step=0, state={})


def restored(
    making: Making,
    place: Path,
    about: dict[str, str],
    pictures: Callable[[int], Pictures],
    rate: float,
) -> None:
    """Let the making of images go on where it was saved in a folder.

    Args:
        pictures: Returns a batch before its first step, by its number.

    Raises:
        RequestError: If nothing is there, it is damaged, or it is of another run.
    """
    stored = load(place)
    refuse_other(stored, _facts(about), {})
    try:
        state = stored.facts.state
        for name in PLAIN:
            setattr(making, name, state[name])
        step, factor = making.step, making.factor
        making.begin(pictures(making.number), rate)
        making.restore(stored.tensors)
        making.step, making.factor, making.good_step = step, factor, int(state["good_step"])
        making.seconds = float(state["seconds"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise RequestError(
            f"{place}: what was saved does not fit this version of intaglio ({error}): start it"
            " anew, without --resume"
        ) from error
