"""Second-order rounding: on the grid, never worse than nearest, exact in closed-form cases."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.methods.rounding import second_order as rounding
from intaglio.methods.rounding.input_moments import (
    HeldRows,
    InputMoments,
    Moments,
    input_moments,
    without_noise,
)
from intaglio.methods.rounding.round_columns import (
    damped,
    descended,
    inverse_factor,
    second_order,
)
from intaglio.methods.rounding.row_grids import row_grids
from intaglio.methods.rounding.second_order import (
    RIDGES,
    UNKNOWN,
    RoundSecondOrder,
    chosen_damping,
    chosen_ridge,
    corrected_target,
)
from intaglio.methods.steps.paired_walk import Layer, tune_layers
from intaglio.methods.steps.state import Prepared
from intaglio.numerics.affine import fake_quantize
from intaglio.numerics.spec import QuantParams, QuantSpec
from intaglio.run.twin import build_twin
from intaglio.run.weights import integer_weight
from methods.quantized import calibrated, random_images, separable

SPEC = QuantSpec(bits=4, symmetric=True, axis=0, narrow=True)


def problem(seed: int, *, groups: int = 1, rows: int = 3, columns: int = 6):
    generator = torch.Generator().manual_seed(seed)
    target = torch.randn(groups, rows, columns, generator=generator, dtype=torch.float64)
    factors = torch.randn(groups, columns, columns, generator=generator, dtype=torch.float64)
    hessian = factors @ factors.mT + 0.05 * torch.eye(columns, dtype=torch.float64)
    return target, hessian, target.abs().amax(2) / SPEC.qmax


def grids_of(scales, spec=SPEC):
    zeros = torch.zeros(scales.shape, dtype=torch.int32)
    return row_grids(QuantParams(scales.flatten(), zeros.flatten(), spec), *scales.shape)


def cost(integers, target, hessian, scales):
    error = integers * scales.unsqueeze(2) - target
    return ((error @ hessian) * error).sum(2)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 3))
def test_descent_never_raises_the_objective_and_ends_below_nearest(seed, groups):
    target, hessian, scales = problem(seed, groups=groups)
    nearest = (target / scales.unsqueeze(2)).round().clamp(SPEC.qmin, SPEC.qmax)

    better = descended(nearest, target, hessian, grids_of(scales), sweeps=5)

    at_start, at_end = (cost(q, target, hessian, scales) for q in (nearest, better))
    assert bool((at_end <= at_start + 1e-9).all())
    assert bool((better == better.round()).all())
    assert int(better.min()) >= SPEC.qmin
    assert int(better.max()) <= SPEC.qmax


def test_the_factor_of_the_inverse_is_upper_triangular_and_its_square_inverts():
    _, hessian, _ = problem(7, groups=2)

    found = inverse_factor(hessian)

    assert torch.equal(found, found.triu())
    torch.testing.assert_close(found.mT @ found @ hessian, torch.eye(6).double().expand(2, 6, 6))


def test_a_diagonal_hessian_gives_nearest_rounding():
    target, _, scales = problem(0)
    hessian = torch.diag(torch.linspace(0.5, 3.0, 6, dtype=torch.float64)).unsqueeze(0)

    found = second_order(target, hessian, grids_of(scales))

    assert torch.equal(found, (target / scales.unsqueeze(2)).round().clamp(-7, 7))


def test_two_equal_inputs_share_their_errors():
    target = torch.tensor([[[0.4, 0.4]]], dtype=torch.float64)
    same = torch.ones(1, 2, 2, dtype=torch.float64) + 1e-6 * torch.eye(2, dtype=torch.float64)
    one = torch.ones(1, 1, dtype=torch.float64)

    found = second_order(target, same, grids_of(one))

    assert found.sum() == 1.0  # 0.8 together: nearest rounding would give 0 and 0


@pytest.mark.parametrize("seed", range(5))
def test_with_descent_it_comes_near_the_best_of_all_integers(seed):
    target, hessian, scales = problem(seed, rows=1, columns=4)
    spec = QuantSpec(bits=2, symmetric=True, axis=0)
    scales = scales * SPEC.qmax  # about one step a weight
    every = torch.tensor(
        list(itertools.product(range(spec.qmin, spec.qmax + 1), repeat=4)), dtype=torch.float64
    )
    costs = cost(
        every.unsqueeze(0), target.expand(1, len(every), 4), hessian, scales.expand(1, len(every))
    )

    found = second_order(target, hessian, grids_of(scales, spec))
    found = descended(found, target, hessian, grids_of(scales, spec), sweeps=10)

    nearest = (target / scales.unsqueeze(2)).round().clamp(spec.qmin, spec.qmax)
    reached = float(cost(found, target, hessian, scales))
    assert float(costs.min()) <= reached + 1e-9
    assert reached <= float(cost(nearest, target, hessian, scales)) + 1e-9


def test_an_exact_prefix_leaves_the_target_alone():
    target, hessian, _ = problem(1)

    found = corrected_target(target, Moments(hessian, torch.zeros_like(hessian)), 1.0)

    assert torch.equal(found, target)


def test_a_prefix_that_halves_its_values_doubles_the_target():
    # x = 2 x^q: D = E[(x - x^q) x^q'] = H, and t = w + w H (H + 0)^-1 = 2 w
    target, hessian, _ = problem(2)

    found = corrected_target(target, Moments(hessian, hessian), 0.0)

    torch.testing.assert_close(found, 2.0 * target)


def drawn_rows(count: int, columns: int, seed: int) -> torch.Tensor:
    """Return rows [1, count, columns] of a fixed distribution."""
    mixing = torch.randn(columns, columns, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(count, columns, generator=generator) @ mixing).unsqueeze(0)


def moments_of(rows: torch.Tensor) -> Moments:
    """Return what rows show, with an exact prefix."""
    covariance = rows.double().mT @ rows.double() / rows.shape[1]
    return Moments(covariance, torch.zeros_like(covariance))


def held(floats: torch.Tensor, integers: torch.Tensor, activation=None, count=8) -> HeldRows:
    return HeldRows(lambda: [(floats, integers)], torch.zeros(1, count), activation)


def test_the_error_on_rows_held_apart_is_taken_behind_the_activation_at_the_best_bias():
    inputs = torch.arange(-3.0, 4.0).reshape(1, 7, 1)
    one = torch.ones(1, 1, 1)
    relu = held(inputs, inputs - 5.0, (0.0, float("inf")), 1)
    cut = held(inputs.clamp(max=0.0), 2.0 * inputs.clamp(max=0.0), (0.0, float("inf")), 1)

    assert relu.errors(one.unsqueeze(0), one, torch.tensor([0])) == [0.0]  # a shift is the bias's
    assert cut.errors(one.unsqueeze(0), one, torch.tensor([0])) == [0.0]  # nobody reads it
    plain = held(inputs, inputs, None, 1)
    both = torch.stack([one, 2.0 * one])
    assert plain.errors(both, one, torch.tensor([0])) == pytest.approx([0.0, 28.0])


def some_rows(columns: int) -> tuple[torch.Tensor, QuantParams]:
    rows = torch.randn(1, 8, columns, generator=torch.Generator().manual_seed(4)).double()
    scale = (rows.abs().amax(2) / SPEC.qmax).float().reshape(-1)
    return rows, QuantParams(scale, torch.zeros(8, dtype=torch.int32), SPEC)


@pytest.mark.parametrize(("count", "least", "most"), [(20_000, 0.01, 0.1), (12, 0.3, 10.0)])
def test_the_fewer_rows_there_are_the_more_damping_is_chosen(count, least, most):
    columns = 24
    fitted, apart = moments_of(drawn_rows(count, columns, 1)), drawn_rows(20_000, columns, 2)
    rows, params = some_rows(columns)
    moments = InputMoments(fitted, fitted, held(apart, apart))

    found = chosen_damping(rows, row_grids(params, 1, 8), SPEC, moments, 1.0)

    assert found is not None
    assert least <= found <= most


def test_nearest_rounding_stays_where_what_was_fitted_says_nothing_of_images_apart():
    columns = 24
    misleading = Moments(*(torch.ones(1, columns, columns).double() * one for one in (1.0, 0.0)))
    apart = torch.randn(1, 5000, columns, generator=torch.Generator().manual_seed(6))
    rows, params = some_rows(columns)
    moments = InputMoments(misleading, misleading, held(apart, apart))
    whole = replace(SPEC, axis=None)  # no scale is searched

    assert chosen_damping(rows, row_grids(params, 1, 8), whole, moments, 100.0) is None


def test_a_true_shift_of_the_prefix_is_followed_and_a_chance_one_is_not():
    integers = drawn_rows(20_000, 24, 2)
    covariance = moments_of(integers).covariance
    noise = torch.randn(1, 24, 24, generator=torch.Generator().manual_seed(5)).double()
    rows, _ = some_rows(24)

    def ridge(difference: torch.Tensor, floats: torch.Tensor) -> float:
        fitted = Moments(covariance, difference)
        return chosen_ridge(rows, InputMoments(fitted, fitted, held(floats, integers)))

    assert ridge(0.2 * covariance, 1.2 * integers) == min(RIDGES)
    assert ridge(noise * covariance.abs().mean(), integers) == max(RIDGES)


@pytest.mark.parametrize("scheme", ["w8a8", "w8a8-per-tensor", "w4a4"])
def test_weights_that_lie_on_their_grids_are_left_alone(scheme):
    state, context = calibrated(scheme)
    graph = state.graph.copy()
    for name, params in state.encodings.weights.items():
        graph.set_param(
            graph[name], "weight", fake_quantize(graph.param(graph[name], "weight"), params)
        )
    state = replace(state, prepared=Prepared(graph, graph))

    after = RoundSecondOrder()(state, context)

    for name, params in state.encodings.weights.items():
        weight = graph.param(graph[name], "weight")
        assert torch.equal(after.graph.param(after.graph[name], "weight"), weight)
        assert torch.equal(after.encodings.weights[name].scale, params.scale)


def test_one_piece_of_images_is_not_parted():
    state, context = calibrated(images=random_images(4))
    found = []

    def look(layer: Layer) -> None:
        found.append(input_moments(layer, torch.Generator()))

    tune_layers(state, context, look)

    assert all(moments.held is None for moments in found)
    assert chosen_ridge(torch.zeros(1, 1, 1), found[0]) == UNKNOWN


def test_moments_are_those_of_all_rows_by_unfolding():
    state, context = calibrated()
    checked = []

    def look(layer: Layer) -> None:
        if layer.node.op != "conv2d":
            return
        moments = input_moments(layer, torch.Generator().manual_seed(0)).every
        attrs = layer.node.attrs
        top, bottom, left, right = attrs["padding"]
        x = torch.cat([layer.quantized(i) for i in range(len(layer.floats))])
        padded = torch.nn.functional.pad(x, (left, right, top, bottom))
        kernel = tuple(layer.weight.shape[2:])
        rows = torch.nn.functional.unfold(padded, kernel, attrs["dilation"], 0, attrs["stride"])
        rows = rows.transpose(1, 2).reshape(-1, rows.shape[1]).double()  # [P, C * kH * kW]
        size = moments.covariance.shape[1]
        for group in range(moments.covariance.shape[0]):
            part = rows[:, group * size : (group + 1) * size]
            wanted = (part - part.mean(0)).T @ (part - part.mean(0)) / len(part)
            torch.testing.assert_close(moments.covariance[group], wanted, rtol=1e-3, atol=1e-5)
        checked.append(layer.node.name)

    tune_layers(state, context, look)

    assert len(checked) == 4


@pytest.mark.parametrize("scheme", ["w8a8", "w8a8-per-tensor", "w4a4", "w3a3-per-tensor"])
def test_weights_lie_on_their_grids_and_stay_there(scheme):
    state, context = calibrated(scheme)

    after = RoundSecondOrder()(state, context)

    for name, params in after.encodings.weights.items():
        weight = after.graph.param(after.graph[name], "weight")
        integers = integer_weight(weight, params)
        axis = params.spec.axis
        scale = params.scale if axis is None else params.scale.reshape(-1, *[1] * (weight.ndim - 1))
        assert torch.equal(integers.float() * scale, weight)


@pytest.mark.parametrize("scheme", ["w3a8-per-tensor", "w4a4", "w3a3"])
def test_it_beats_nearest_rounding_on_images_that_it_never_saw(scheme):
    images = random_images(64)
    state, context = calibrated(scheme, images=images)
    unseen = random_images(64, seed=9)
    real = separable()(unseen).detach()

    after = RoundSecondOrder()(state, context)

    before = build_twin(state.graph, state.encodings, context.target)(unseen)
    behind = build_twin(after.graph, after.encodings, context.target)(unseen)
    assert (behind - real).square().mean() < (before - real).square().mean()


def test_the_same_seed_gives_the_same_integers():
    state, context = calibrated("w4a4")

    first, again = (RoundSecondOrder()(state, context) for _ in range(2))

    for name in state.encodings.weights:
        node = first.graph[name]
        assert torch.equal(first.graph.param(node, "weight"), again.graph.param(node, "weight"))


def test_a_covariance_that_is_rounding_alone_can_be_inverted_once_it_is_damped():
    """Columns that never vary, beside numbers of which float32 has rounded the squares away."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(3, 6, 6, generator=generator, dtype=torch.float64) * 1e-7
    noise = noise + noise.mT
    own = torch.full((3, 6, 6), 4.0, dtype=torch.float64)
    varied = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    noise[1] = varied @ varied.T

    covariance = without_noise(noise, own)

    assert torch.equal(covariance[1], noise[1])
    assert torch.equal(covariance[0], torch.diag(noise[0].diagonal().clamp(min=0)))
    for share in (0.01, 0.1, 10.0):
        assert inverse_factor(damped(covariance, share).float().double()).isfinite().all()


def test_a_covariance_of_inputs_that_vary_is_believed():
    _, hessian, _ = problem(0, groups=2)

    assert without_noise(hessian, hessian) is hessian


def test_a_row_of_more_weights_than_moments_are_held_of_is_rounded_to_nearest(monkeypatch):
    state, context = calibrated("w4a8")
    first = next(node for node in state.graph if node.name in state.encodings.weights)
    assert state.graph.param(first, "weight")[0].numel() == 27
    changed = RoundSecondOrder()(state, context)
    monkeypatch.setattr(rounding, "MOST_COLUMNS", 26)

    after = RoundSecondOrder()(state, context)

    def integers(one):
        weight = one.graph.param(one.graph[first.name], "weight")
        return fake_quantize(weight, one.encodings.weights[first.name])

    nearest = fake_quantize(state.graph.param(first, "weight"), state.encodings.weights[first.name])
    assert torch.equal(integers(after), nearest)
    assert not torch.equal(integers(changed), nearest)
