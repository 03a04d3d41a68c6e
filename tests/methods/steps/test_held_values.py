"""Held values: the least type that holds the whole grid, and what it takes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from intaglio.methods.steps.held_values import centered, held_bytes, storage, stored
from intaglio.numerics.spec import QuantParams, QuantSpec, per_tensor


@st.composite
def grids(draw: st.DrawFn) -> QuantParams:
    spec = QuantSpec(
        bits=draw(st.integers(2, 16)), signed=draw(st.booleans()), narrow=draw(st.booleans())
    )
    return per_tensor(0.5, draw(st.integers(spec.qmin, spec.qmax)), spec)


@given(grids())
def test_no_integer_of_a_grid_wraps(grid):
    raw = torch.arange(grid.spec.qmin, grid.spec.qmax + 1)
    value = (raw - grid.zero).float()  # as the twin holds it: minus the zero point

    held = stored(value, grid)

    assert torch.equal(held.long(), raw)
    assert torch.equal(centered(held, grid), value)
    assert held.element_size() + 4 == held_bytes(grid)


@pytest.mark.parametrize("bits", range(2, 17))
def test_a_signed_grid_takes_one_byte_up_to_8_bits_and_two_beyond(bits):
    grid = per_tensor(1.0, 0, QuantSpec(bits=bits))

    assert held_bytes(grid) == 4 + (1 if bits <= 8 else 2)


def test_a_value_without_a_grid_is_held_as_it_is():
    value = torch.tensor([0.1, -1e30])

    assert stored(value, None) is value
    assert centered(value, None) is value
    assert storage(None) == torch.float32
    assert held_bytes(None) == 8
