"""What flows from step to step, what a step may look at, and the table of steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from torch import Tensor

from intaglio.host.progress import Progress, Silent
from intaglio.ir.graph import Graph
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.normal import Normal
from intaglio.numerics.plan import Plan
from intaglio.targets.target import Target


@dataclass(frozen=True)
class State:
    """A network on its way to integers.

    Attributes:
        reference: The lowered float graph; every step that tunes compares with it.
        graph: The same nodes with the weights and biases that will be quantized: a rounding that
            was learned is stored as the real number that it stands for.
        statistics: Distribution of each layer's result before its activation, from batch norms.
        plan: What is to be quantized; None before the steps on structure are done.
        encodings: Scales and zero points; None before calibration.
    """

    reference: Graph
    graph: Graph
    statistics: Mapping[str, Normal] = field(default_factory=dict)
    plan: Plan | None = None
    encodings: Encodings | None = None

    @property
    def planned(self) -> Plan:
        """The plan, once there is one."""
        assert self.plan is not None, "a step on numbers came before the plan"
        return self.plan

    @property
    def encoded(self) -> Encodings:
        """The encodings, once there are some."""
        assert self.encodings is not None, "a step on numbers came before calibration"
        return self.encodings

    def replace(self, **changes: Any) -> State:
        """Return a state with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True, eq=False)
class Context:
    """What a step may look at but not change.

    Attributes:
        images: Tuning images [N, C, H, W], as the network takes them.
        target: The runtime whose arithmetic counts.
        seed: Of every random choice.
        memory_mb: What a step may hold beside the images; it takes fewer images rather than more.
        progress: Told how far the work is.
    """

    images: Tensor
    target: Target
    seed: int = 0
    memory_mb: int = 3000
    progress: Progress = field(default_factory=Silent)


class Step(Protocol):
    """One method with its settings; a frozen dataclass."""

    def __call__(self, state: State, context: Context) -> State:
        """Return the state after the method."""
