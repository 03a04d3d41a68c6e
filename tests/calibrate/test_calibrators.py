"""What every calibrator does: order, degenerate values, what is not finite, batches, memory."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.calibrate import CALIBRATORS
from intaglio.calibrate.minmax import MinMax
from intaglio.numerics.affine import params_from_range
from intaglio.numerics.spec import INT8_ACTIVATION, INT8_WEIGHT_PER_TENSOR, QuantSpec

INT4 = QuantSpec(bits=4)
INT16 = QuantSpec(bits=16, symmetric=True)
SPECS = {
    "int8": INT8_ACTIVATION,
    "uint8": QuantSpec(signed=False),
    "int4": INT4,
    "symmetric": INT8_WEIGHT_PER_TENSOR,
    "int16": INT16,
}
FINITE = st.floats(-(2.0**100), 2.0**100, width=32)
EVERY = pytest.mark.parametrize("name", list(CALIBRATORS))
EVERY_GRID = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


def range_of(name: str, *batches: torch.Tensor, spec: QuantSpec = INT8_ACTIVATION):
    calibrator = CALIBRATORS[name](spec)
    for batch in batches:
        calibrator.observe(batch)
    low, high = calibrator.range()
    assert low.shape == high.shape == ()
    assert low.dtype == high.dtype == torch.float32
    return low.item(), high.item()


def random(shape, seed=0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_all_that_are_promised_are_there():
    promised = "minmax moving-average entropy mse aciq aciq-laplace aciq-gauss"
    percentiles = {f"percentile-{keep}" for keep in ("99.9", "99.99", "99.999")}

    assert {*promised.split(), *percentiles} <= set(CALIBRATORS)


@EVERY
@EVERY_GRID
@settings(max_examples=15, deadline=None)
@given(values=st.lists(FINITE, min_size=1, max_size=30))
def test_the_range_is_ordered_lies_within_the_values_and_makes_a_grid(name, spec, values):
    images = torch.tensor(values).reshape(-1, 1)

    low, high = range_of(name, images, spec=spec)

    assert min(values) <= low <= high <= max(values)
    params_from_range(torch.tensor(low), torch.tensor(high), spec)


@EVERY
@pytest.mark.parametrize("value", [0.0, 0.1, -3.0, 1e30, -1e-30])
def test_a_constant_has_the_range_of_one_value(name, value):
    found = range_of(name, torch.full((4, 3), value), torch.full((2, 3), value))

    assert found == (torch.tensor(value).item(),) * 2


@EVERY
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_nan_and_infinity_reach_the_range(name, bad, at):
    batches = [random((3, 50), seed) for seed in range(3)]
    batches[at][1, 7] = bad

    assert not torch.tensor(range_of(name, *batches)).isfinite().all()


@EVERY
def test_without_an_image_the_range_is_empty(name):
    assert range_of(name) == (float("inf"), float("-inf"))


@EVERY
@EVERY_GRID
@pytest.mark.parametrize("size", [1, 5])
def test_the_batch_size_does_not_matter(name, spec, size):
    images = random((20, 300)) * torch.linspace(0.5, 2.0, 20)[:, None]

    cut = range_of(name, *images.split(size), spec=spec)

    # a value right at an edge of the histogram may be counted on either side of it
    assert cut == pytest.approx(range_of(name, images, spec=spec), rel=2e-3)


@EVERY
def test_behind_a_relu_the_low_end_is_zero_and_the_high_end_is_positive(name):
    low, high = range_of(name, random((8, 2000)).relu())

    assert low == 0.0
    assert high > 1.0


@EVERY
def test_values_of_the_other_sign_have_the_mirrored_range(name):
    values = random((8, 2000)).relu()

    low, high = range_of(name, values)
    mirrored = range_of(name, -values)

    # the grid of 8 bits has one integer more below zero, and bins end on one side
    assert mirrored == pytest.approx((-high, -low), rel=0.02)


@EVERY
def test_zeros_among_images_do_no_harm(name):
    images = random((10, 1000))

    low, high = range_of(name, torch.zeros(2, 1000), images, torch.zeros(2, 1000))

    assert low < -0.5
    assert high > 0.5


@EVERY
@pytest.mark.parametrize("factor", [2.0**-20, 2.0**20])
def test_a_range_scales_with_the_values(name, factor):
    values = random((5, 1000))

    low, high = range_of(name, values)
    scaled = range_of(name, values * factor)

    assert scaled == pytest.approx((low * factor, high * factor), rel=1e-5)


@EVERY
def test_a_range_within_the_full_one_is_found_in_fixed_memory(name):
    calibrator, full = CALIBRATORS[name](INT8_ACTIVATION), MinMax()

    def size() -> int:
        held = {**vars(calibrator), **vars(getattr(calibrator, "histogram", calibrator))}
        tensors = [value for value in held.values() if isinstance(value, torch.Tensor)]
        return sum(tensor.untyped_storage().nbytes() for tensor in tensors)

    sizes = set()
    for seed in range(4):
        for one in (calibrator, full):
            one.observe(random((4, 3000), seed) * 3.0**seed)
        sizes.add(size())
    (low, high), (least, most) = calibrator.range(), full.range()

    assert len(sizes) == 1
    assert least <= low <= high <= most


@EVERY
def test_asking_twice_gives_the_same_and_more_may_follow(name):
    calibrator = CALIBRATORS[name](INT4)
    calibrator.observe(random((4, 1000)))

    first = calibrator.range()
    again = calibrator.range()
    calibrator.observe(random((4, 1000)) * 8.0)

    assert first == again
    assert calibrator.range()[1] > first[1]
