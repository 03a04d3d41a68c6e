"""Bits under a budget: the optimum, the front, and what cannot be met."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import RequestError
from intaglio.methods.bits.allocate_bits import allocate, pareto_front

BITS = (8, 4, 2)
LAYER = st.lists(st.tuples(st.integers(0, 60), st.floats(-3, 30, width=16)), min_size=1, max_size=3)
LAYERS = st.lists(LAYER, min_size=1, max_size=6)


def tables(layers):
    costs = {
        f"layer{number}": {BITS[i]: cost for i, (cost, _) in enumerate(options)}
        for number, options in enumerate(layers)
    }
    penalties = {
        f"layer{number}": {BITS[i]: penalty for i, (_, penalty) in enumerate(options)}
        for number, options in enumerate(layers)
    }
    return costs, penalties


def totals(costs, penalties, bits) -> tuple[int, float]:
    return (
        sum(costs[name][chosen] for name, chosen in bits.items()),
        sum(penalties[name][chosen] for name, chosen in bits.items()),
    )


def brute(costs, penalties):
    """Return (size, sensitivity) of every choice."""
    return [
        totals(costs, penalties, dict(zip(costs, chosen, strict=True)))
        for chosen in itertools.product(*costs.values())
    ]


def network(layers: int, seed: int = 0):
    """Return tables as of a network: sizes of weights, errors that fall fourfold for each bit."""
    generator = torch.Generator().manual_seed(seed)
    sizes = (2 ** (6 + 12 * torch.rand(layers, generator=generator))).long().tolist()
    noise = torch.rand(layers, generator=generator).pow(4).tolist()
    costs = {f"l{i}": {b: size * b // 8 + 7 for b in BITS} for i, size in enumerate(sizes)}
    penalties = {f"l{i}": {b: part * 4.0**-b for b in BITS} for i, part in enumerate(noise)}
    return costs, penalties


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(LAYERS, st.integers(0, 200))
def test_the_choice_is_as_good_as_the_best_of_all(layers, budget):
    costs, penalties = tables(layers)
    fitting = [total for size, total in brute(costs, penalties) if size <= budget]

    if not fitting:
        smallest = min(size for size, _ in brute(costs, penalties))
        with pytest.raises(RequestError, match=f"{smallest} bytes"):
            allocate(costs, penalties, budget)
        return
    bits = allocate(costs, penalties, budget)

    size, total = totals(costs, penalties, bits)
    assert list(bits) == list(costs)
    assert size <= budget
    assert total == pytest.approx(min(fitting), abs=1e-9)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(LAYERS)
def test_the_front_is_all_that_nothing_beats(layers):
    costs, penalties = tables(layers)

    front = pareto_front(costs, penalties, points=1000)

    best: list[tuple[int, float]] = []
    for size, total in sorted(brute(costs, penalties)):
        if not best or total < best[-1][1] - 1e-9:
            best.append((size, total))
    found = [(point.size_bytes, point.sensitivity) for point in front]
    assert [size for size, _ in found] == [size for size, _ in best]
    assert [total for _, total in found] == pytest.approx([total for _, total in best], abs=1e-9)
    for point in front:
        size, total = totals(costs, penalties, point.bits)
        assert (size, pytest.approx(total, abs=1e-9)) == (point.size_bytes, point.sensitivity)


@pytest.mark.parametrize("seed", range(3))
def test_a_network_of_sixty_layers_is_solved_to_the_byte(seed):
    costs, penalties = network(60, seed)
    least, most = (sum(f(c.values()) for c in costs.values()) for f in (min, max))

    for share in (0.1, 0.4, 0.8):
        budget = int(least + share * (most - least))
        bits = allocate(costs, penalties, budget)
        size, total = totals(costs, penalties, bits)
        assert size <= budget
        # nothing that is found by exchanging two layers' bits is better
        for one, other in itertools.combinations(costs, 2):
            for pair in itertools.product(BITS, repeat=2):
                changed = {**bits, one: pair[0], other: pair[1]}
                new_size = size + sum(
                    costs[n][changed[n]] - costs[n][bits[n]] for n in (one, other)
                )
                gain = sum(penalties[n][changed[n]] - penalties[n][bits[n]] for n in (one, other))
                assert new_size > budget or gain >= -1e-12 * total


def test_a_thinned_front_is_near_the_optimum_and_ends_where_it_must():
    costs, penalties = network(60)

    front = pareto_front(costs, penalties, points=100)

    assert 50 <= len(front) <= 100
    assert front[0].size_bytes == sum(min(c.values()) for c in costs.values())
    assert front[-1].sensitivity == pytest.approx(sum(min(p.values()) for p in penalties.values()))
    sizes = [point.size_bytes for point in front]
    assert sizes == sorted(set(sizes))
    for point in front[:: len(front) // 8]:
        _, best = totals(costs, penalties, allocate(costs, penalties, point.size_bytes))
        assert best <= point.sensitivity * (1 + 1e-9)
        assert point.sensitivity <= best * 1.05


def test_all_layers_keep_the_most_bits_where_there_is_room():
    costs, penalties = network(10)

    assert set(allocate(costs, penalties, 10**9).values()) == {8}


def test_the_sensitive_layer_gets_the_bits():
    costs = {"a": {8: 100, 4: 50}, "b": {8: 100, 4: 50}}

    assert allocate(costs, {"a": {8: 0, 4: 9}, "b": {8: 0, 4: 1}}, 150) == {"a": 8, "b": 4}
    assert allocate(costs, {"a": {8: 0, 4: 1}, "b": {8: 0, 4: 9}}, 150) == {"a": 4, "b": 8}


def test_of_equal_choices_the_smaller_is_taken():
    assert allocate({"a": {8: 100, 4: 50}}, {"a": {8: 0.0, 4: 0.0}}, 200) == {"a": 4}


@pytest.mark.parametrize(
    ("costs", "penalties", "said"),
    [
        ({}, {}, "no layers"),
        ({"a": {8: 1}}, {}, "'a'"),
        ({"a": {8: 1}}, {"a": {8: 1.0}, "b": {8: 1.0}}, "'b'"),
        ({"a": {8: 1, 4: 1}}, {"a": {8: 1.0}}, r"\[4, 8\] bits"),
        ({"a": {8: 1}}, {"a": {8: float("nan")}}, "not finite"),
    ],
)
def test_tables_that_do_not_fit_together_are_refused_by_layer(costs, penalties, said):
    for function in (pareto_front, lambda *given: allocate(*given, 10)):
        with pytest.raises(RequestError, match=said):
            function(costs, penalties)
