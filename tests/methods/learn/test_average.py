"""The moving average of what is learned."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from intaglio.methods.learn.average import Average


def parameter(value):
    return nn.Parameter(torch.tensor([value]))


def test_the_average_starts_at_the_parameters_and_follows_them():
    moving = parameter(0.0)
    average = Average({"weights": [moving]}, decay=0.75)

    for value in (8.0, 16.0):
        moving.data.fill_(value)
        average.update()

    assert float(average.tensors()["weights.0"]) == 0.75 * (0.25 * 8.0) + 0.25 * 16.0


def test_it_stands_in_for_a_block_and_for_good():
    moving = parameter(1.0)
    average = Average({"weights": [moving]}, decay=0.5)
    moving.data.fill_(3.0)

    with average.in_place():
        assert moving.item() == 1.0
    assert moving.item() == 3.0
    average.put_in()
    assert moving.item() == 1.0


def test_an_error_in_the_block_leaves_the_parameters_as_they_were():
    moving = parameter(1.0)
    average = Average({"weights": [moving]}, decay=0.5)
    moving.data.fill_(3.0)

    with pytest.raises(ValueError, match="stop"), average.in_place():
        raise ValueError("stop")

    assert moving.item() == 3.0


def test_without_decay_nothing_is_kept_and_nothing_is_changed():
    moving = parameter(1.0)
    average = Average({"weights": [moving]}, decay=0.0)
    moving.data.fill_(3.0)
    average.update()

    with average.in_place():
        assert moving.item() == 3.0
    assert average.tensors() == {}
