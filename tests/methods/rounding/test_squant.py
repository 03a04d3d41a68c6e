"""SQuant's rounding: sums of errors vanish by flips to the second nearest, others stay nearest."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from intaglio.methods import STEPS, make_step
from intaglio.methods.rounding.squant import RoundSquant, squant
from intaglio.methods.steps.state import Context
from intaglio.methods.steps.steps import NUMBERS
from intaglio.numerics.affine import (
    centered_ends,
    centered_integers,
    fake_quantize,
    params_from_range,
)
from intaglio.numerics.spec import QuantParams, QuantSpec
from intaglio.run.twin import build_twin
from intaglio.run.weights import integer_weight
from intaglio.runtimes import LITERT
from methods.quantized import calibrated, random_images

EXACT = 1e-6
"""Of a step: what float32 leaves of a weight that is an integer times a scale."""
SHAPES = [(4, 3, 3, 3), (6, 1, 3, 3), (3, 5, 1, 1), (3, 7), (2, 4, 1, 5), (1, 1, 2, 2)]
"""Of ordinary, depthwise, pointwise, fully connected, and odd layers."""


def grid_of(weight: Tensor, bits: int, *, per_channel: bool = True) -> QuantParams:
    """Return the grid that covers a weight's largest magnitudes."""
    largest = weight.abs().flatten(1).amax(1)
    largest = largest if per_channel else largest.amax()
    spec = QuantSpec(bits=bits, symmetric=True, axis=0 if per_channel else None, narrow=bits > 2)
    return params_from_range(-largest, largest, spec)


def drawn(seed: int, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def errors(rounded: Tensor, weight: Tensor, params: QuantParams) -> Tensor:
    """Return q - w / s in steps, [C_out, C_in / groups, kH kW] float64."""
    scale = params.scale.double().reshape(-1, 1, 1)
    rows = weight.double().reshape(*weight.shape[:2], -1) / scale
    return integer_weight(rounded, params).double().reshape(rows.shape) - rows


def with_scale(bits: int, *scales: float) -> QuantParams:
    """Return a grid of these scales, one for each channel."""
    spec = QuantSpec(bits=bits, symmetric=True, axis=0, narrow=bits > 2)
    return QuantParams(torch.tensor(scales), torch.zeros(len(scales), dtype=torch.int32), spec)


def flipped_slowly(
    values: list[int], wanted: list[float], count: int, sign: int, ends: tuple[int, int]
) -> list[int]:
    """Return integers, the `count` nearest to their second nearest flipped, ties to the first."""
    gains = []
    for place, (value, wish) in enumerate(zip(values, wanted, strict=True)):
        gain = sign * (value - wish)
        if gain > 0 and ends[0] <= value - sign <= ends[1]:
            gains.append((-gain, place))
    found = list(values)
    for _, place in sorted(gains)[:count]:
        found[place] -= sign
    return found


def row_slowly(kernels: list[list[float]], ends: tuple[int, int]) -> list[list[int]]:
    """Return the integers of one row of a weight, given in steps: kernel after kernel, then all."""
    found = []
    for wanted in kernels:
        values = [min(max(round(wish), ends[0]), ends[1]) for wish in wanted]
        total = sum(values) - sum(wanted)
        if len(wanted) > 1:
            sign = 1 if total > 0 else -1
            values = flipped_slowly(values, wanted, round(abs(total)), sign, ends)
        found.append(values)
    sums = [sum(q) - sum(w) for q, w in zip(found, kernels, strict=True)]
    sign = 1 if sum(sums) > 0 else -1
    tried = [
        flipped_slowly(q, w, 1, sign, ends) for q, w in zip(found, kernels, strict=True)
    ]  # each kernel with its one flip, where it has one
    may = [
        (-sign * total, place)
        for place, total in enumerate(sums)
        if sign * total > 0 and tried[place] != found[place]
    ]
    for _, place in sorted(may)[: round(abs(sum(sums)))]:
        found[place] = tried[place]
    return found


@st.composite
def eighths(draw) -> tuple[Tensor, int]:
    """Return a weight of eighths, whose sums are exact and often tie, and bits that clip some."""
    rows, channels = draw(st.integers(1, 2)), draw(st.integers(1, 4))
    kernel = draw(st.sampled_from([(), (1, 1), (1, 2), (2, 2), (1, 5)]))
    count = rows * channels * (kernel[0] * kernel[1] if kernel else 1)
    numbers = draw(st.lists(st.integers(-36, 36), min_size=count, max_size=count))
    return torch.tensor(numbers).reshape(rows, channels, *kernel) / 8.0, draw(st.integers(2, 4))


@settings(deadline=None, max_examples=150)
@given(eighths(), st.sampled_from([0.25, 1.0, 4.0]))
def test_it_is_the_slow_walk_over_kernels_and_rows(problem, scale):
    weight, bits = problem
    params = with_scale(bits, *[scale] * len(weight))
    kernels = weight.reshape(*weight.shape[:2], -1).double().tolist()
    ends = (params.spec.qmin, params.spec.qmax)

    found = squant(weight * scale, params)

    wanted = torch.tensor([row_slowly(row, ends) for row in kernels])
    assert torch.equal(found, wanted.float().reshape(weight.shape) * scale)


@pytest.mark.parametrize("shape", [(1, 1, 1, 6), (1, 1, 2, 3), (1, 6), (1, 6, 1, 1)])
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_of_all_flips_that_make_the_sum_vanish_those_with_the_least_error_are_taken(shape, seed):
    weight = drawn(seed, shape)
    params = grid_of(weight, 3)
    rows = (weight.double() / params.scale.double().reshape(-1, *[1] * (len(shape) - 1))).flatten()
    lower = rows.floor()
    choices = torch.tensor(list(itertools.product((0.0, 1.0), repeat=6)), dtype=torch.float64)
    tried = lower + choices - rows
    allowed = tried[tried.sum(1).abs() <= 0.5 + EXACT]

    found = errors(squant(weight, params), weight, params)

    assert float(found.square().sum()) <= float(allowed.square().sum(1).min()) + EXACT


@pytest.mark.parametrize("per_channel", [True, False])
@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from(SHAPES), st.integers(2, 8))
def test_each_integer_is_one_of_the_two_nearest_and_sums_of_errors_vanish(
    per_channel, seed, shape, bits
):
    weight = drawn(seed, shape)
    params = grid_of(weight, bits, per_channel=per_channel)

    found = squant(weight, params)

    assert found.shape == weight.shape
    assert found.dtype == torch.float32
    assert torch.equal(fake_quantize(found, params), found)  # on its grid, and within its ends
    off = errors(found, weight, params)
    assert float(off.abs().max()) < 1.0 + EXACT
    assert float(off.sum(2).abs().max()) <= 1.0 + EXACT
    assert float(off.sum((1, 2)).abs().max()) <= 0.5 + EXACT


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 6))
def test_rows_flip_one_integer_of_a_kernel_at_most_behind_kernels_that_sum_to_half_a_step(
    seed, bits
):
    weight = drawn(seed, (3, 8, 3, 3))
    params = grid_of(weight, bits)
    each = with_scale(bits, *params.scale.repeat_interleave(8).tolist())

    alone = squant(weight.reshape(24, 1, 3, 3), each).reshape(weight.shape)  # a row of one kernel
    found = squant(weight, params)

    assert float(errors(alone, weight, params).sum(2).abs().max()) <= 0.5 + EXACT
    moved = integer_weight(found, params) - integer_weight(alone, params)
    assert int(moved.abs().flatten(2).sum(2).max()) <= 1
    by_row = moved.flatten(1)
    assert not bool(((by_row > 0).any(1) & (by_row < 0).any(1)).any())  # all in one direction
    before = errors(alone, weight, params).sum((1, 2))
    assert torch.equal(by_row.sum(1), -before.round().int())


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([3, 4, 8]))
def test_sums_shrink_and_single_errors_grow_a_little(seed, bits):
    weight = drawn(seed, (8, 8, 3, 3))
    params = grid_of(weight, bits)

    nearest = errors(fake_quantize(weight, params), weight, params)
    found = errors(squant(weight, params), weight, params)

    assert bool((found.sum((1, 2)).abs() <= nearest.sum((1, 2)).abs() + EXACT).all())
    assert float(found.sum(2).square().sum()) < 0.5 * float(nearest.sum(2).square().sum())
    growth = float(found.abs().sum() / nearest.abs().sum())
    assert 1.0 <= growth < 1.15


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("shape", [*SHAPES, (4, 500), (2, 64, 3, 3)])
def test_a_weight_on_its_grid_stays_bit_for_bit(shape, bits, per_channel):
    weight = drawn(3, shape) * 0.037
    params = grid_of(weight, bits, per_channel=per_channel)
    weight = fake_quantize(weight, params)

    found = squant(weight, params)

    assert torch.equal(found.view(torch.int32), weight.view(torch.int32))


def test_sums_that_are_half_a_step_or_less_leave_nearest_rounding():
    weight = torch.tensor([[0.25, -0.25, 1.25, 0.125], [2.25, 0.25, 1.0, -1.0]])

    assert torch.equal(squant(weight, with_scale(4, 1.0, 1.0)), weight.round())


def test_what_the_ends_of_the_grid_cut_stays_cut_and_others_make_up_for_it_as_far_as_they_may():
    kernel = torch.tensor([9.0, 0.375, 0.25, -1.0]).reshape(1, 1, 2, 2)
    same = torch.full((1, 4), 8.0)

    found = squant(kernel, with_scale(3, 1.0))

    # 9 is 3 at most, the sum is six steps too low, and two integers have a nearest above
    assert found.flatten().tolist() == [3.0, 1.0, 1.0, -1.0]
    assert squant(same, with_scale(3, 1.0)).flatten().tolist() == [3.0] * 4
    assert squant(-same, with_scale(3, 1.0)).flatten().tolist() == [-3.0] * 4


def test_rows_and_kernels_of_others_are_not_looked_at():
    weight, other = drawn(0, (4, 3, 3, 3)), drawn(1, (4, 3, 3, 3))
    other[2] = weight[2]
    params = grid_of(weight, 4)

    first, second = squant(weight, params), squant(other, params)

    assert torch.equal(first[2], second[2])


def test_a_weight_of_zeros_stays_zeros():
    weight = torch.zeros(3, 2, 3, 3)

    assert torch.equal(squant(weight, grid_of(weight, 8)), weight)


def test_on_inputs_of_one_number_a_layer_is_off_by_half_a_step_of_its_weight_at_most():
    weight = drawn(5, (16, 24, 3, 3))
    params = grid_of(weight, 4)
    flat = torch.full((1, 24, 3, 3), 2.0)

    def off(rounded: Tensor) -> Tensor:
        return nn.functional.conv2d(flat, rounded - weight).flatten().abs() / params.scale / 2.0

    assert float(off(squant(weight, params)).max()) <= 0.5 + 1e-4
    assert float(off(fake_quantize(weight, params)).max()) > 2.0


def test_the_step_needs_nothing_of_a_context():
    kind = STEPS["round-squant"]

    assert (kind.phase, kind.needs, kind.alters) == (NUMBERS, (), False)
    assert make_step({"name": "round-squant"}) == RoundSquant()


@pytest.mark.parametrize("scheme", ["w8a8", "w8a8-per-tensor", "w4a8", "w3a3-per-tensor"])
def test_without_images_the_step_rounds_every_weight_and_leaves_scales_and_biases(scheme):
    state, context = calibrated(scheme)
    before = {key: value.clone() for key, value in state.graph.params.items()}

    after = RoundSquant()(state, Context(None, LITERT))

    assert after.encodings is state.encodings
    assert after.reference is state.reference
    assert len(after.encodings.weights) == 5
    for name, params in after.encodings.weights.items():
        weight = state.graph.param(state.graph[name], "weight")
        rounded = after.graph.param(after.graph[name], "weight")
        bias = after.graph.param(after.graph[name], "bias")
        assert torch.equal(rounded, squant(weight, params))
        assert not torch.equal(rounded, weight)
        assert torch.equal(bias, state.graph.param(state.graph[name], "bias"))
    assert all(torch.equal(state.graph.params[key], value) for key, value in before.items())
    twin = build_twin(after.graph, after.encodings, context.target)
    assert twin(random_images(2)).isfinite().all()


def test_a_transposed_convolution_is_left_alone():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.ConvTranspose2d(4, 5, 2, 2)).eval()
    state, _ = calibrated("w8a8", module=module)
    (transposed,) = [node.name for node in state.graph if node.op == "conv_transpose2d"]

    after = RoundSquant()(state, Context(None, LITERT))

    for name in state.encodings.weights:
        weight = state.graph.param(state.graph[name], "weight")
        is_same = torch.equal(after.graph.param(after.graph[name], "weight"), weight)
        assert is_same is (name == transposed)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from(SHAPES), st.integers(3, 8))
def test_rows_with_a_zero_point_are_flipped_within_their_own_ends(seed, shape, bits):
    weight = drawn(seed, shape) + 0.7
    low, high = weight.flatten(1).amin(1), weight.flatten(1).amax(1)
    params = params_from_range(low, high, QuantSpec(bits=bits, axis=0))

    found = squant(weight, params)

    integers = integer_weight(found, params)
    assert int(integers.min()) >= params.spec.qmin
    assert int(integers.max()) <= params.spec.qmax
    torch.testing.assert_close(fake_quantize(found, params), found)
    inner = centered_integers(found, params).flatten(1)
    ends = centered_ends(params.zero_point, params.spec)
    lowest, highest = (end.unsqueeze(1) for end in ends)
    is_free = ((inner > lowest) & (inner < highest)).all(1)  # rows of which no end was in the way
    off = inner - weight.double().flatten(1) / params.scale.double().reshape(-1, 1)
    assert bool((off.sum(1).abs()[is_free] <= 0.5 + 1e-4).all())
