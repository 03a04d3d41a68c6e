"""Who moves when."""

from __future__ import annotations

import pytest

from intaglio.methods.datafree.options import Order, usual_rate
from methods.datafree.small import cached_state


def played(order, turns):
    """Return who moves in each turn, as letters."""
    moves = (order.move(turn) for turn in range(turns))
    return " ".join("G" * move.generator + "S" * move.student for move in moves)


def test_the_generator_warms_up_and_then_follows_the_student_s_steps():
    assert played(Order(2, 3, together=False), 10) == "G G S S S G S S S G"


def test_both_may_move_in_one_turn_on_the_same_images():
    assert played(Order(1, 1, together=True), 4) == "G GS GS GS"
    assert played(Order(1, 2, together=True), 5) == "G GS S GS S"


@pytest.mark.parametrize("steps", range(1, 9))
@pytest.mark.parametrize("order", [Order(2, 3, False), Order(0, 5, False), Order(1, 2, True)])
def test_a_game_ends_with_the_student_s_last_step(order, steps):
    total = order.total(steps)

    moves = [order.move(turn).student for turn in range(total)]

    assert sum(moves) == steps
    assert moves[-1]


def test_the_usual_rate_is_a_share_of_the_steps_of_weights():
    rates = [usual_rate(cached_state(scheme)) for scheme in ("w4a4", "w8a8")]

    assert 1e-5 < rates[0] < 1e-3
    assert 10.0 < rates[0] / rates[1] < 24.0  # 127 / 7 steps within a weight, but for its rounding
