"""A network on grids that was killed goes on to the same bytes, whatever is done beside it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from intaglio.methods.learn.lesson import Lesson
from intaglio.methods.learn.loop import learn
from intaglio.methods.learn.options import TrainOptions
from intaglio.numerics.batch_norm import BatchNorm
from intaglio.run.fake import FakeNetwork, trainable
from intaglio.run.fake.grids import Deployment
from intaglio.runtimes import LITERT
from intaglio.tasks.classify import CLASSIFY
from methods.learn.tiny import Stop, StopsAfter, TensorSamples, are_same
from methods.quantized import calibrated, random_images

BATCH, STEPS = 4, 6
IMAGES, LABELS = random_images(8, size=8), torch.tensor([0, 1, 2, 3] * 2)

USUAL = {
    "batch": BATCH, "epochs": 3.0, "evaluations": 2, "lr": 0.05, "freeze": 0.4,
    "save_seconds": 1e-9,
}  # fmt: skip


def network() -> FakeNetwork:
    """Return a convolution with a batch norm, and a classifier."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(6, 4),
    ).eval()  # fmt: skip
    state, _ = calibrated("w4a8", module=module, images=IMAGES)
    first = next(node.name for node in state.graph if node.op == "conv2d")
    zeros, ones = torch.zeros(6), torch.ones(6)
    norm = BatchNorm(ones, zeros, zeros, ones, 1e-5, None, {})
    deployment = Deployment(state.plan, state.encodings, LITERT)
    return trainable(state.graph, {first: norm}, deployment)


def lesson(**options: object) -> Lesson:
    learner = network()

    def measured() -> float:
        """Return the cross entropy, below 0."""
        with torch.no_grad():
            return -float(CLASSIFY.loss(learner(IMAGES), LABELS))

    return Lesson(
        learner,
        TensorSamples(IMAGES, LABELS),
        CLASSIFY,
        TrainOptions(**{**USUAL, **options}),
        measured,
        start=-9.0,
    )


@pytest.mark.parametrize(
    "options",
    [
        {"oscillation": "freeze", "ema": 0.5},
        {"oscillation": "damp", "optimizer": "adamw", "observer_delay": 2},
        {"evaluations": 0, "freeze": 1.0},
        {"precision": "fp16"},
        {"precision": "bf16", "freeze": 1.0},
    ],
)
def test_a_quantized_network_killed_behind_every_step_ends_in_the_same_bytes(tmp_path, options):
    whole = lesson(**options)
    before = {name: tensor.clone() for name, tensor in whole.learner.state_dict().items()}
    learned = learn(whole)

    for attempt in range(STEPS + 1):
        part = lesson(**options)
        killer = StopsAfter((attempt + 1) * BATCH)
        try:
            again = learn(part, place=tmp_path, resume=attempt > 0, progress=killer)
        except Stop:
            continue

    assert are_same(dict(part.learner.state_dict()), dict(whole.learner.state_dict()))
    assert not are_same(before, dict(whole.learner.state_dict()))
    assert again.events == learned.events
    assert again.steps == STEPS
