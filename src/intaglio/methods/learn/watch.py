"""A run of training that watches itself: what makes it go back, and what it only tells.

A run goes back to its last good state when

* a loss is NaN or infinite, or losses explode (loss_record.py): seen at every step;
* a parameter, its gradient or a statistic of a batch norm has NaN or infinity in it, or the scale
  of a value or a weight dies or explodes (scale_record.py): looked for every `EVERY` steps, and by
  `examine` before a state is kept as a good one;
* measurements are below the start, `patience` times in a row.

Scales of some channels of a weight that die or explode are told: such a layer still works.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from intaglio.errors import RequestError
from intaglio.methods.learn.events import Event
from intaglio.methods.learn.learner import Learner
from intaglio.methods.learn.loss_record import LossRecord
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.learn.scale_record import ScaleRecord, Trouble

EVERY = 20
"""Steps between two looks at all numbers: some 5 ms for 3.5 million weights."""


class Watch:
    """What was seen of a run so far.

    Attributes:
        events: What was told, once each; all of the run, those before it was resumed as well.
    """

    def __init__(self, options: TrainOptions, start: float, learner: Learner) -> None:
        """Remember where a run starts.

        Args:
            options: Of the run.
            start: Figure of the first measurement, the higher the better; NaN: there is none.
            learner: The network. Its scales are those of the start, unless ranges are only
                observed at first: then they are from the first look afterwards.
        """
        self.events: list[Event] = []
        self._options = options
        self._start = start
        self._losses = LossRecord()
        self._scales = ScaleRecord()
        self._below = 0
        self._told: set[str] = set()
        if not options.observer_delay:
            self._scales.look(learner.grids())

    def after_step(self, step: int, loss: float, learner: Learner) -> str | None:
        """Return why the run has to go back, in words without a full stop; None: it has not.

        Args:
            step: Steps that are done, this one included.
            loss: Of this step, not multiplied by a scaler.
            learner: The network behind the optimizer's step, gradients still there.
        """
        if not math.isfinite(loss):
            return f"the loss of step {step} is {loss}"
        if step == self._options.observer_delay + 1:
            self._losses = LossRecord()  # from here on it is another network: a quantized one
        before = self._losses.mean
        if self._losses.add(loss):
            steps = len(self._losses.row)
            return f"the loss exploded: from {before:.4g} to {loss:.4g}, high for {steps} steps"
        return self.examine(step, learner) if step % EVERY == 0 else None

    def examine(self, step: int, learner: Learner) -> str | None:
        """Look at all numbers of a network, and return why the run has to go back; None: all well.

        Args:
            step: Steps that are done.
            learner: The network.
        """
        reason = _not_finite(learner, with_gradients=self._options.precision != "fp16")
        if reason is not None or step <= self._options.observer_delay:
            return reason
        troubles = self._scales.look(learner.grids())
        fatal = [trouble.what for trouble in troubles if trouble.is_all]
        if fatal:
            others = f" (and {len(fatal) - 1} more)" if len(fatal) > 1 else ""
            return fatal[0] + others
        for trouble in troubles:
            self._tell(step, trouble)
        return None

    def after_measurement(self, step: int, figure: float) -> str | None:
        """Return why the run has to go back, in words without a full stop; None: it has not.

        Args:
            step: Steps that are done.
            figure: What was measured, the higher the better.
        """
        if not (figure < self._start or math.isnan(figure)):
            self._below = 0
            return None
        self._below += 1
        if self._below < self._options.patience:
            return None
        times = f"in {self._below} measurements in a row" if self._below > 1 else "when measured"
        return f"{figure:.4g} at step {step} is below {self._start:.4g} of the start, {times}"

    def after_rollback(self) -> None:
        """Forget losses and measurements of the state that was given up; what was told stays."""
        self._losses = LossRecord()
        self._below = 0

    def facts(self) -> dict[str, Any]:
        """Return all that was seen as plain JSON, for a run that is resumed."""
        return {
            "losses": asdict(self._losses),
            "scales": {name: _plain(scale) for name, scale in self._scales.start.items()},
            "below": self._below,
            "told": sorted(self._told),
            "events": [asdict(event) for event in self.events],
        }

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Go on from what `facts` returned.

        Raises:
            RequestError: If it is something else.
        """
        try:
            self._losses = LossRecord(**facts["losses"])
            self._losses.row = list(self._losses.row)
            self._scales = ScaleRecord(
                {name: _scales(plain) for name, plain in facts["scales"].items()}
            )
            self._below = int(facts["below"])
            self._told = set(facts["told"])
            self.events = [Event(**event) for event in facts["events"]]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RequestError(
                f"the record of the run that is resumed is not one of ours ({error!r});"
                " start the run anew"
            ) from error

    def _tell(self, step: int, trouble: Trouble) -> None:
        if trouble.name not in self._told:
            self._told.add(trouble.name)
            self.events.append(Event(step, trouble.what))


def _plain(scale: Tensor) -> list[float | None]:
    """Return a start's scales, [C], as JSON holds them: what is not finite is null."""
    return [one if math.isfinite(one) else None for one in scale.tolist()]


def _scales(plain: list[float | None]) -> Tensor:
    """Return the tensor [C] of which `_plain` made a list; comparisons with NaN are never true."""
    return torch.tensor([math.nan if one is None else one for one in plain], dtype=torch.float32)


def _not_finite(learner: Learner, *, with_gradients: bool) -> str | None:
    """Return which number of a network is NaN or infinite; None where all are finite.

    A sum is NaN or infinite if one of its terms is, so one reading and one answer of the device
    suffice for all tensors together. Finite numbers whose sum overflows are looked at again.
    Infinite gradients belong to fp16: its scaler skips such a step.
    """
    found = list(_numbers(learner, with_gradients=with_gradients))
    if not found:
        return None
    with torch.no_grad():
        sums = torch.stack([tensor.sum(dtype=torch.float32) for _, _, tensor in found])
    for index in (~sums.isfinite()).nonzero().flatten().tolist():
        what, owner, tensor = found[index]
        if not bool(tensor.isfinite().all()):
            name = owner if isinstance(owner, str) else _name(learner, owner)
            return f"{what} {name!r} has NaN or infinity in it"
    return None


def _numbers(
    learner: Learner, *, with_gradients: bool
) -> Iterator[tuple[str, Tensor | str, Tensor]]:
    """Yield every tensor that has to be finite: what it is, its parameter or layer, and itself."""
    for group, parameters in learner.groups().items():
        for parameter in parameters:
            yield f"a parameter of {group},", parameter, parameter.detach()
            if with_gradients and parameter.grad is not None:
                yield f"the gradient of a parameter of {group},", parameter, parameter.grad
    for layer, statistics in learner.norm_statistics().items():
        for tensor in statistics:
            yield "the running statistics of", layer, tensor


def _name(learner: Learner, parameter: Tensor) -> str:
    """Return the name of a parameter in the state of a network, which shares its memory."""
    names = (
        name
        for name, tensor in learner.state_dict().items()
        if isinstance(tensor, Tensor) and tensor.data_ptr() == parameter.data_ptr()
    )
    return next(names, "unnamed")
