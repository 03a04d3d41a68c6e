"""A plain module in the loop."""

from __future__ import annotations

import torch
from torch import nn

from intaglio.methods.learn.lesson import Lesson
from intaglio.methods.learn.loop import learn
from intaglio.methods.learn.module_learner import ModuleLearner
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.learn.re_estimate import re_estimate
from intaglio.tasks.classify import CLASSIFY
from methods.learn.tiny import TensorSamples, images_and_labels

OPTIONS = TrainOptions(epochs=6, batch=8, lr=0.05, evaluations=0, freeze=0.5)


def network():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Flatten(), nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)
        )


def learner_of(module):
    return ModuleLearner(module, lambda images: (module(images),))


def lesson(module, **changes):
    samples = TensorSamples(*images_and_labels(40))
    options = OPTIONS.model_copy(update=changes)
    return Lesson(learner_of(module), samples, CLASSIFY, options, measured=lambda: 0.0)


def test_it_learns_as_a_plain_loop_of_the_same_steps_would():
    module = network()
    images, labels = images_and_labels(40)
    before = CLASSIFY.loss([module.eval()(images)], labels).item()

    learned = learn(lesson(module))

    assert learned.steps == 30
    assert CLASSIFY.loss([module.eval()(images)], labels).item() < 0.8 * before
    assert not module.training


def test_parameters_are_grouped_and_those_without_gradient_stay():
    module = network()
    module[1].weight.requires_grad_(False)
    before = module[1].weight.clone()

    groups = learner_of(module).groups()
    learn(lesson(module, epochs=1))

    assert [one.shape for one in groups["weights"]] == [(3, 6)]
    assert len(groups["norms"]) == 4  # two biases, gain and offset
    assert torch.equal(module[1].weight, before)


def test_frozen_norms_keep_their_statistics_in_training():
    learner = learner_of(network())
    images, _ = images_and_labels(8)
    learner.train()
    learner(images)
    moved = learner.module[2].running_mean.clone()
    assert bool((moved != 0).any())

    learner.freeze_norms()
    learner.train()
    learner(images)

    assert torch.equal(learner.module[2].running_mean, moved)
    assert learner.norm_statistics() == {}
    assert learner.module[1].training


def test_statistics_can_be_taken_anew():
    learner = learner_of(network())
    images, _ = images_and_labels(8)

    re_estimate(learner, [images])

    values = learner.module[1](images.flatten(1))
    # one batch: its own mean, summed in another order
    assert torch.allclose(learner.module[2].running_mean, values.mean(0), atol=1e-6)
    assert learner.norm_momentum == 0.1


def test_a_killed_run_goes_on_and_ends_with_the_same_numbers(tmp_path):
    whole, first, second = network(), network(), network()
    learn(lesson(whole))

    class Killed(Exception):
        """Stands for the end of the process."""

    class Until:
        """Progress that kills the run after 20 steps."""

        def __init__(self):
            self.steps = 0

        def begin(self, step, total):
            """Count from here."""

        def advance(self, count):
            self.steps += 1
            if self.steps == 20:
                raise Killed

        def end(self):
            """Nothing is open."""

    quick = {"save_seconds": 1e-9}
    try:
        learn(lesson(first, **quick), place=tmp_path, progress=Until())
    except Killed:
        learn(lesson(second, **quick), place=tmp_path, resume=True)

    for name, wanted in whole.state_dict().items():
        assert torch.equal(second.state_dict()[name], wanted), name
