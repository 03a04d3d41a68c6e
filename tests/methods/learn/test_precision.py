"""Training in half precision: small gradients, overflows, what is told and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from intaglio.errors import NonFiniteError, RequestError
from intaglio.methods.learn.learner import NORMS, WEIGHTS
from intaglio.methods.learn.loop import learn
from intaglio.methods.learn.optimizer import Optimizer
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.learn.precision import check_precision, precision_of
from intaglio.methods.learn.processes import Processes
from methods.learn.tiny import TinyLearner, done, lesson, weights

SMALL = 2.0**-26
"""By which a loss is so small that its gradients are below 2**-25, which fp16 rounds to 0."""


class Faint:
    """Two layers whose loss is tiny, and what moves them.

    Attributes:
        optimizer: With the rate of the plain loss over SMALL.
    """

    def __init__(self, precision: str, **facts: float) -> None:
        torch.manual_seed(0)
        self.options = TrainOptions(precision=precision, lr=0.02 / SMALL, weight_decay=0.0)
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 1)
        layers = (self.first, self.second)
        groups = {
            WEIGHTS: [layer.weight for layer in layers],
            NORMS: [layer.bias for layer in layers],
        }
        self.optimizer = Optimizer(groups, self.options, "cpu")
        self.optimizer.restore_facts({**self.optimizer.facts(), **facts})
        self.optimizer.set_rate(1.0)
        self.images = torch.randn(16, 4, generator=torch.Generator().manual_seed(1))

    def loss(self) -> Tensor:
        """Return SMALL times the squared distance to the images' sums."""
        with precision_of(self.options, "cpu"):
            found = self.second(self.first(self.images).relu())
        return SMALL * (found.float() - self.images.sum(1, keepdim=True)).square().mean()

    def gradients(self) -> Tensor:
        """Return all gradients in one row, as they are moved by."""
        self.optimizer.backward(self.loss())
        scale = self.optimizer.loss_scale
        return torch.cat([one.grad.flatten() for one in self.optimizer.parameters]) / scale


def test_small_gradients_are_zero_in_fp16_and_are_there_where_losses_are_multiplied():
    assert not Faint("fp16", scale=1.0).gradients().any()

    found, exact = Faint("fp16").gradients(), Faint("fp32").gradients()

    assert found.count_nonzero() == exact.count_nonzero() > 20
    # sums of a few products whose factors have 11 bits each
    torch.testing.assert_close(found, exact, rtol=0.01, atol=0.01 * float(exact.abs().max()))


@pytest.mark.parametrize(
    ("precision", "facts", "learns"),
    [("fp16", {}, True), ("fp16", {"scale": 1.0}, False), ("bf16", {}, True)],
)
def test_a_network_learns_from_small_gradients_where_they_are_there(precision, facts, learns):
    faint = Faint(precision, **facts)
    before, weight = faint.loss().item(), faint.first.weight.detach().clone()

    for _ in range(60):
        faint.optimizer.backward(faint.loss())
        assert faint.optimizer.step()

    assert (faint.loss().item() < 0.1 * before) == learns
    assert torch.equal(faint.first.weight, weight) == (not learns)
    assert {one.dtype for one in faint.optimizer.parameters} == {torch.float32}
    assert {one.dtype for one in faint.optimizer.tensors().values()} == {torch.float32}


def test_the_scale_of_losses_doubles_after_2000_finite_steps_and_halves_at_an_overflow():
    faint = Faint("fp16", _growth_tracker=1999)
    assert faint.optimizer.loss_scale == 2.0**16

    faint.optimizer.backward(faint.loss())
    assert faint.optimizer.step()
    assert faint.optimizer.loss_scale == 2.0**17

    faint.optimizer.backward(math.inf * faint.loss())
    assert not faint.optimizer.step()
    assert faint.optimizer.loss_scale == 2.0**16


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_a_network_learns_in_half_precision(precision):
    given = lesson(precision=precision, epochs=10.0)

    learned = learn(given)

    assert learned.last > learned.start + 0.3
    assert learned.last == given.measured()
    assert not learned.rolled_back
    assert {
        value.dtype for value in weights(given.learner).values() if value.is_floating_point()
    } == {torch.float32}


def test_what_stays_in_fp32_is_told_before_the_first_step():
    told = {
        precision: learn(lesson(precision=precision)).events
        for precision in ("fp32", "bf16", "fp16")
    }

    first = {precision: events[0] for precision, events in told.items()}
    assert not [event for event in told["fp32"] if "trains in" in event.what]
    assert first["bf16"].step == first["fp16"].step == 0
    assert first["bf16"].what.startswith("trains in bf16: convolutions and products of matrices")
    assert "rounding of values and weights to grids, losses, and all that" in first["bf16"].what
    assert first["fp16"].what.endswith(
        "Losses are multiplied by 65536, and gradients divided by as much"
    )
    assert "multiplied" not in first["bf16"].what


def large(factor=100.0, **options):
    """Return a run in which gradients of the first layer leave fp16 until losses are small."""
    given = lesson(precision="fp16", **options)
    given.learner.second.weight.data.mul_(factor)
    return replace(given, measured=lambda: 1.0)


def test_the_first_overflow_of_fp16_is_told_and_how_many_there_were_and_nothing_goes_back():
    learned = learn(large())

    told = [event.what for event in done(learned) if "overflow" in event.what]
    assert len(told) == 2
    assert told[0].startswith("gradients overflowed fp16: the step was left out, and losses are")
    count = int(told[1].split()[0])
    assert told[1] == f"{count} of 10 steps overflowed fp16 and were left out"
    assert 2 < count < 10
    assert not learned.rolled_back


def test_a_run_in_which_every_step_overflows_is_an_error():
    with pytest.raises(NonFiniteError, match=r"in each of the 10 steps .* nothing was learned"):
        learn(large(3000.0))


class Explodes(TinyLearner):
    """Has gradients that are infinite, whatever losses are multiplied by, from a step on."""

    steps = 0

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return scores whose gradient is infinite."""
        is_step = self.training and torch.is_grad_enabled()
        self.steps += is_step
        found = super().forward(images)
        if is_step and self.steps > 5:
            found[0].register_hook(lambda gradient: gradient * math.inf)
        return found


def test_gradients_that_overflow_whatever_losses_are_multiplied_by_end_the_run():
    given = lesson(Explodes(), precision="fp16", epochs=20.0, evaluations=0)

    learned = learn(given)

    told = [event.what for event in learned.events if "even of losses" in event.what]
    reason = "gradients overflow fp16 even of losses that are multiplied by 6.10352e-05"
    assert told[0].startswith(f"{reason}: back to the state after step 0")
    assert told[1] == f"{reason}: training ends here"
    assert "62 of 67 steps overflowed fp16 and were left out" in {e.what for e in learned.events}
    assert learned.rolled_back


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("device", ["meta", "abacus"])
def test_a_precision_that_a_device_has_not_is_refused_before_any_work(tmp_path, device, precision):
    given = lesson(precision=precision)
    before = weights(given.learner)

    with pytest.raises(RequestError) as refused:
        learn(given, place=tmp_path, processes=Processes(device=device))

    assert str(refused.value).startswith(f"device '{device}' cannot train in {precision} here (")
    assert "--precision fp32" in str(refused.value)
    assert not list(tmp_path.iterdir())
    assert all(torch.equal(before[name], value) for name, value in weights(given.learner).items())


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_a_cpu_has_every_precision(precision):
    check_precision(TrainOptions(precision=precision), "cpu")
