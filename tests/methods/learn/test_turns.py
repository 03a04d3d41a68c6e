"""How often integers turn back, against the averages taken step by step for every weight."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from intaglio.methods.learn.turns import MOMENTUM, new_turns, nonzero, places_of
from intaglio.numerics.spec import INT8_WEIGHT, QuantSpec
from methods.tiny_learner import on_grid


def wandering(count, steps, seed=0):
    """Return integers [steps, count] that now and then move up or down by some."""
    generator = torch.Generator().manual_seed(seed)
    moves = torch.randint(-3, 4, (steps, count), generator=generator)
    moves *= torch.rand(steps, count, generator=generator) < 0.2
    return moves.cumsum(0).clamp(-127, 127).to(torch.int8)


def step_by_step(rows):
    """Return frequency and mean [count] by the formulas of the paper."""
    frequency, mean = torch.zeros(rows.shape[1]).double(), rows[0].double()
    last = torch.zeros(rows.shape[1]).double()
    for before, now in zip(rows.double(), rows.double()[1:], strict=False):
        change = (now - before).sign()
        turned = (change != 0) & (last != 0) & (change != last)
        last = torch.where(change != 0, change, last)
        frequency = MOMENTUM * turned + (1 - MOMENTUM) * frequency
        mean = MOMENTUM * now + (1 - MOMENTUM) * mean
    return frequency, mean


def test_frequencies_and_means_are_those_of_averages_taken_at_every_step():
    rows = wandering(count=64, steps=300)
    rows[-1] = rows[-2] + torch.where(rows[-2] > 0, -1, 1)  # all change: all means are of now
    turns = new_turns(rows[0], 0)

    for step, row in enumerate(rows[1:], start=1):
        turns.read(row.clone(), step)

    frequency, mean = step_by_step(rows)
    assert torch.allclose(turns.frequencies(299).double(), frequency, atol=1e-5)
    assert torch.allclose(turns.mean.double(), mean, atol=1e-3)
    assert float(frequency.max()) > 0.05


def test_frequencies_fall_while_nothing_changes():
    rows = torch.tensor([[0], [1], [0], *[[0]] * 50], dtype=torch.int8).expand(-1, 8).contiguous()
    turns = new_turns(rows[0], 0)

    turned = [turns.read(row.clone(), step) for step, row in enumerate(rows[1:], start=1)]

    assert [len(indices) for indices, _ in turned] == [0, 8] + [0] * 50
    assert torch.allclose(turns.frequencies(52).double(), step_by_step(rows)[0], atol=1e-7)


def test_large_steps_across_the_whole_grid_have_the_right_direction():
    turns = new_turns(torch.full((8,), -127, dtype=torch.int8), 0)

    first = turns.read(torch.full((8,), 127, dtype=torch.int8), 1)
    second = turns.read(torch.full((8,), -127, dtype=torch.int8), 2)

    assert len(first[0]) == 0
    assert [one.tolist() for one in second] == [list(range(8)), [127] * 8]


def test_a_turn_seen_after_some_steps_stands_for_one_in_as_many():
    turns = new_turns(torch.zeros(8, dtype=torch.int8), 0)
    for reading in range(1, 400):
        turns.read(torch.full((8,), reading % 2, dtype=torch.int8), 10 * reading)

    found = turns.frequencies(10 * 399)

    assert torch.allclose(found, torch.full((8,), 0.1), atol=3e-3)


def test_held_weights_keep_their_integers():
    turns = new_turns(torch.zeros(8, dtype=torch.int8), 0)
    is_held = torch.arange(8) == 3

    turns.read(torch.ones(8, dtype=torch.int8), 1, is_held=is_held)

    assert turns.integers.tolist() == [1, 1, 1, 0, 1, 1, 1, 1]
    assert turns.changed_at.tolist() == [1, 1, 1, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("kind", [torch.int8, torch.int16, torch.int32, torch.bool])
def test_nonzero_finds_what_is_not_zero(kind):
    row = (torch.rand(800, generator=torch.Generator().manual_seed(0)) < 0.05).to(kind)

    assert nonzero(row).equal(row.nonzero().flatten())
    assert len(nonzero(torch.zeros(8, dtype=kind))) == 0


def test_integers_of_layers_lie_one_behind_the_other_whatever_the_memory_looks_like():
    first = nn.Parameter(
        torch.randn(4, 3, 5, 5).contiguous(memory_format=torch.channels_last) * 100.0
    )
    second = nn.Parameter(torch.tensor([[0.5, 1.5, -2.5]]))
    grids = {
        "a": on_grid(first, torch.zeros(4), INT8_WEIGHT),
        "b": on_grid(second, torch.zeros(()), INT8_WEIGHT),
    }
    places = places_of(grids)

    row = places.integers(grids)

    assert (row.dtype, len(row)) == (torch.int8, 304)  # 300 + 3, in whole words
    wanted = first.detach().round().clamp(-127, 127).flatten().to(torch.int8)
    assert row[:300].equal(wanted)
    assert row[300:].tolist() == [0, 2, -2, 0]  # half to even
    found = places.by_layer(torch.tensor([0, 299, 302]))
    assert [(layer, found[layer].tolist()) for layer in found] == [("a", [0, 299]), ("b", [2])]
    assert places.by_layer(torch.tensor([301])).keys() == {"b"}


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (QuantSpec(bits=4, symmetric=True, axis=0), torch.int8),
        (QuantSpec(bits=8, signed=False), torch.int16),
        (QuantSpec(bits=16, signed=False), torch.int32),
    ],
)
def test_integers_have_the_smallest_type_that_holds_their_grid(spec, kind):
    latent = nn.Parameter(torch.full((1, 3), 1e6))
    grids = {"a": on_grid(latent, torch.zeros(1), spec)}

    row = places_of(grids).integers(grids)

    assert row.dtype == kind
    assert row[:3].tolist() == [spec.qmax] * 3
