"""Statistics of batch norms taken anew: the plain mean, nothing else, and drift that is told."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from intaglio.methods.learn.re_estimate import re_estimate
from methods.tiny_learner import TinyLearner


def batches(count=6, scale=1.0, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return [scale * torch.randn(16, 3, 12, 12, generator=generator) for _ in range(count)]


def settled(scale=1.0):
    """Return a network whose statistics are those of images."""
    learner = TinyLearner()
    re_estimate(learner, batches(seed=4, scale=scale))
    return learner


def by_hand(learner, images):
    """Return mean and variance, [C], of the convolution's results, as means over batches."""
    scale = learner.conv_scale.detach().exp().reshape(-1, 1, 1, 1)
    weight = (learner.conv.detach() / scale).round() * scale
    values = [F.conv2d(batch, weight).transpose(0, 1).flatten(1).double() for batch in images]
    means = torch.stack([value.mean(1) for value in values]).mean(0)
    return means, torch.stack([value.var(1) for value in values]).mean(0)


def test_statistics_become_the_plain_mean_over_the_batches():
    learner, images = TinyLearner(), batches()

    re_estimate(learner, images)

    mean, variance = by_hand(learner, images)
    assert torch.allclose(learner.mean.double(), mean, atol=1e-5)
    assert torch.allclose(learner.variance.double(), variance, rtol=1e-4)


def test_nothing_else_changes():
    learner = TinyLearner()
    learner.eval()
    before = {name: tensor.clone() for name, tensor in learner.state_dict().items()}

    re_estimate(learner, iter(batches()))

    changed = {name for name, one in learner.state_dict().items() if not one.equal(before[name])}
    assert changed == {"mean", "variance"}
    assert (learner.norm_momentum, learner.observes, learner.training) == (0.1, True, False)
    assert all(parameter.grad is None for parameter in learner.parameters())


def test_a_network_in_training_stays_in_training_and_one_that_fails_is_as_before():
    learner = TinyLearner()

    with pytest.raises(RuntimeError):
        re_estimate(learner, [torch.zeros(1, 7, 4, 4)])

    assert (learner.norm_momentum, learner.observes, learner.training) == (0.1, True, True)


def test_statistics_that_were_right_are_not_told():
    assert re_estimate(settled(), batches(seed=5)) == []


def test_drift_is_told_with_figures():
    told = re_estimate(settled(), batches(scale=3.0))

    assert len(told) == 1
    assert told[0].startswith("the running statistics of 'norm' were off: means by 0.0")
    assert abs(float(told[0].split()[-1]) - 9.0) < 0.5


def test_a_mean_that_moved_is_told():
    learner = settled()
    with torch.no_grad():
        learner.mean.add_(2.0 * learner.variance.sqrt())

    (told,) = re_estimate(learner, batches())

    assert abs(float(told.split(" deviations")[0].split()[-1]) - 2.0) < 0.1


def test_statistics_that_were_nan_are_healed_and_told():
    learner, images = settled(), batches()
    learner.mean.fill_(float("nan"))

    (told,) = re_estimate(learner, images)

    assert "means by inf deviations" in told
    assert torch.allclose(learner.mean.double(), by_hand(learner, images)[0], atol=1e-5)


def test_frozen_statistics_stay_and_no_batch_is_asked_for():
    learner = settled()
    learner.freeze_norms()
    before = learner.mean.clone(), learner.variance.clone()

    assert re_estimate(learner, (1 / 0 for _ in range(1))) == []

    assert learner.mean.equal(before[0])
    assert learner.variance.equal(before[1])


def test_no_batch_changes_nothing():
    learner = settled()
    before = learner.variance.clone()

    assert re_estimate(learner, []) == []

    assert learner.variance.equal(before)


class ManyNorms(TinyLearner):
    """The one batch norm under seven names, the statistics of which start elsewhere."""

    def __init__(self):
        super().__init__()
        self.copies = [(torch.full((4,), 1.0 + k), torch.ones(4)) for k in range(7)]

    def forward(self, images):
        for mean, variance in self.copies:
            F.batch_norm(images, mean, variance, training=True, momentum=self.norm_momentum)
        return []

    def norm_statistics(self):
        return {f"norm{k}": copy for k, copy in enumerate(self.copies)}


def test_the_worst_layers_are_named_first_and_the_rest_is_counted():
    images = torch.randn(64, 4, 8, 8, generator=torch.Generator().manual_seed(0))

    told = re_estimate(ManyNorms(), [images])

    assert [sentence.split("'")[1] for sentence in told[:-1]] == [
        "norm6", "norm5", "norm4", "norm3", "norm2"
    ]  # fmt: skip
    assert told[-1] == "so were those of 2 more layers, by less"
