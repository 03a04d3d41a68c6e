"""Runs into which trouble was planted: when it is noticed, what is told, what is left at the end.

Rows: `rate`, the run's rate times RATE_FACTOR; `scale`, a scale of a value that is set to nothing
after step DEAD_AT; `none`, the same run in peace. `noticed_at` is the step of the first event that
sent the run back, `went_back` how many did, `start` and `final` the top-1 of the twin on test
images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from benchmarks.networks import RESNET20
from benchmarks.rows import Job, Row, Wish
from benchmarks.training.runs import (
    Run,
    at,
    epochs_for,
    samples_of,
    start_of,
    told,
    top1,
    trained,
)
from benchmarks.training.settings import (
    DEAD_AT,
    DEAD_LOG,
    RATE_FACTOR,
    TROUBLE,
    TROUBLE_BUDGET,
    TROUBLE_TESTED,
    TUNING_IMAGES,
)
from intaglio.methods.learn.processes import Processes
from intaglio.run.fake import FakeNetwork

SCHEME = "w8a8"
RATE, SCALE, NONE = "rate", "scale", "none"
BACK = ("back to the state", "training ends here")


def jobs(wish: Wish) -> list[Job]:
    """Return the table's rows."""
    return [Job(planted, _work(planted, wish)) for planted in (RATE, SCALE, NONE)]


def _work(planted: str, wish: Wish) -> Callable[[], list[Row]]:
    return lambda: [measured(planted, wish)]


@dataclass
class Planting:
    """Progress that sets a scale to nothing when a run has done so many steps.

    Attributes:
        batch: Images in a step.
        at: Steps until then.
        networks: The one that is trained.
        done: Images so far.
        named: Whose scale it was.
    """

    batch: int
    at: int
    networks: list[FakeNetwork] = field(default_factory=list)
    done: int = 0
    named: str = ""

    def begin(self, step: str, total: int | None) -> None:
        """Count from here."""
        self.done = 0

    def advance(self, count: int) -> None:
        """Plant the trouble when it is time."""
        self.done += count
        if not self.named and self.done >= self.at * self.batch:
            self.named = plant(self.networks[0])

    def end(self) -> None:
        """Do nothing."""


@torch.no_grad()
def plant(network: FakeNetwork) -> str:
    """Set the scale of a value in the middle of a network to nothing; return whose it was."""
    assert network.value_grids is not None, "it is in integers"
    logs = [
        (name, one) for name, one in network.value_grids.named_parameters() if name.endswith(".log")
    ]
    name, log = logs[len(logs) // 2]
    log.fill_(DEAD_LOG)
    return name


def measured(planted: str, wish: Wish) -> Row:
    """Return the row of a run."""
    subject = at(RESNET20, wish.data)
    module, preprocess, shape = subject.build()
    train = samples_of(subject.calibration, preprocess, shape, wish.images)
    test = samples_of(subject.judged, preprocess, shape, wish.at_most(TROUBLE_TESTED))
    tuning = range(0, len(train), max(1, len(train) // TUNING_IMAGES))
    start = start_of(module, shape, SCHEME, train.take(tuning[:TUNING_IMAGES]).images)
    options = TROUBLE
    if planted == RATE:
        assert options.lr is not None, "the settings state it"
        options = options.model_copy(update={"lr": options.lr * RATE_FACTOR})
    epochs = epochs_for(wish.at_most(TROUBLE_BUDGET), options, len(train))
    options = options.model_copy(update={"epochs": epochs})
    planting = Planting(options.batch, min(DEAD_AT, wish.at_most(TROUBLE_BUDGET) // 2 // 64))
    run = Run(options, train, processes=Processes(device=wish.device))
    if planted == SCALE:
        run = Run(
            options,
            train,
            processes=run.processes,
            progress=planting,
            prepare=planting.networks.append,
        )
    ended = trained(start, run)
    events = ended.learned.events
    noticed = [event.step for event in events if any(word in event.what for word in BACK)]
    return {
        "scheme": SCHEME,
        "planted_at": {RATE: 0, SCALE: planting.at}.get(planted, ""),
        "noticed_at": noticed[0] if noticed else "never",
        "went_back": len(noticed),
        "n": len(test),
        "start": round(top1(start.twin.outputs, test), 2),
        "final": round(top1(ended.outputs, test), 2),
        **told(ended.learned, options),
    }
