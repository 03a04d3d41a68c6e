"""Noise in place of images: its bounds and its spectrum, and channels brought to statistics."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from architectures import images
from architectures.sketch import Sketch
from intaglio.calibrate.noise import CONTRAST, noise_images, run_matched
from intaglio.ir.graph import Graph
from intaglio.numerics.normal import Normal
from intaglio.run.float import run_float, run_node

SHAPE = (3, 10, 12)
RELU, RELU6 = (0.0, float("inf")), (0.0, 6.0)
LOW, HIGH = torch.tensor([-2.0, 0.0, -1.0]), torch.tensor([2.5, 1.0, 7.0])


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(size: tuple[int, ...], seed: int = 0, count: int = 4) -> torch.Tensor:
    return noise_images(count, LOW, HIGH, size, seeded(seed))


SIZES = st.one_of(st.just(()), st.tuples(st.integers(1, 9), st.integers(1, 9)))


@settings(max_examples=40, deadline=None)
@given(
    ranges=st.lists(
        st.tuples(st.floats(-100.0, 100.0, width=32), st.floats(0.0, 50.0, width=32)),
        min_size=2,
        max_size=4,
    ),
    size=SIZES,
    seed=st.integers(0, 1000),
)
def test_noise_stays_within_the_bounds_of_each_channel(ranges, size, seed):
    low = torch.tensor([start for start, _ in ranges])
    high = low + torch.tensor([width for _, width in ranges])

    found = noise_images(2, low, high, size, seeded(seed))

    assert found.shape == (2, len(ranges), *size)
    assert found.dtype == torch.float32
    values = found.reshape(2, len(ranges), -1)
    assert bool((values >= low[:, None]).all())
    assert bool((values <= high[:, None]).all())


def test_the_same_seed_gives_the_same_images_and_another_one_does_not():
    state = torch.random.get_rng_state()

    assert torch.equal(made((16, 16), 3), made((16, 16), 3))
    assert not torch.equal(made((16, 16), 3), made((16, 16), 4))
    assert torch.equal(torch.random.get_rng_state(), state)  # nobody else's chance is used up


def test_images_of_one_batch_differ_and_a_generator_goes_on():
    generator = seeded(0)
    first, second = (noise_images(2, LOW, HIGH, (8, 8), generator) for _ in range(2))

    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, second)


def test_noise_lies_around_the_middle_and_is_as_wide_as_photographs():
    unit = (made((32, 32), count=64) - LOW.reshape(1, 3, 1, 1)) / (HIGH - LOW).reshape(1, 3, 1, 1)

    # the mean over all channels is exact but for clipping; a tenth of a channel's is its own
    assert unit.mean((0, 2, 3)).tolist() == pytest.approx([0.5] * 3, abs=0.02)
    # clipping at two deviations takes a twentieth of it
    assert unit.std((0, 2, 3)).tolist() == pytest.approx([CONTRAST] * 3, rel=0.1)


def frequencies(size: int) -> torch.Tensor:
    """Return the length of each frequency of square images, in periods."""
    along = torch.fft.fftfreq(size) * size
    return (along[:, None].square() + along.square()).sqrt()


def low_share(power: torch.Tensor) -> float:
    """Return the share of the power, without the mean's, of frequencies of up to 4 periods."""
    power = power.clone()
    power[0, 0] = 0.0
    return float(power[frequencies(len(power)) <= 4.0].sum() / power.sum())


def power_of(values: torch.Tensor) -> torch.Tensor:
    return torch.fft.fft2(values.double()).abs().square().mean((0, 1))


def test_most_power_is_at_low_frequencies_which_have_little_of_white_noise():
    pink, white = made((32, 32), count=16), images((1, 3, 32, 32), 16)

    # 48 of 1023 frequencies: their part of all, for white noise
    assert low_share(power_of(white)) == pytest.approx(48 / 1023, abs=0.01)
    # 0.54: of so few frequencies and 16 images the power varies by some hundredths
    expected = low_share(frequencies(32).pow(-2.0))
    assert low_share(power_of(pink)) == pytest.approx(expected, abs=0.05)


def test_amplitude_falls_as_one_over_frequency():
    """The slope of log power over log frequency, along both axes."""
    wide = noise_images(32, -1e3 * torch.ones(1), 1e3 * torch.ones(1), (64, 64), seeded(5))
    power = torch.fft.rfft2(wide).abs().square().mean((0, 1))
    periods = torch.arange(2, 17)
    for along in (power[periods, 0], power[0, periods]):
        x, y = periods.double().log(), along.double().log()
        slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
        # 15 points, each off by 1 / sqrt(32) of itself: a standard error of 0.08
        assert slope.item() == pytest.approx(-2.0, abs=0.25)


def test_channels_have_most_of_their_variance_in_common():
    values = made((32, 32), count=16).transpose(0, 1).flatten(1)

    alike = torch.corrcoef(values)

    assert alike.min() > 0.7


def test_an_input_without_height_and_width_gets_numbers():
    low, high = torch.full((50,), -1.0), torch.full((50,), 3.0)

    found = noise_images(20, low, high, (), seeded(0))

    assert found.shape == (20, 50)
    assert found.std() > 0.2


def test_a_channel_without_a_range_is_a_constant():
    found = noise_images(2, torch.tensor([-1.0, 0.5]), torch.tensor([1.0, 0.5]), (8, 8), seeded(0))

    assert bool((found[:, 1] == 0.5).all())
    assert found[:, 0].std() > 0.1


def stated(channels: int, seed: int = 0) -> Normal:
    generator = seeded(seed)
    mean, std = torch.randn((2, channels), generator=generator, dtype=torch.float64)
    return Normal(3.0 * mean, std.abs() + 0.1)


def network(activation: tuple[float, float] | None = None) -> Graph:
    """Return two layers with statistics, "first" and "last", and three nodes without."""
    sketch = Sketch(*SHAPE)
    sketch.conv("first", "x", 6, activation=activation)
    sketch.conv("blind", "first", 4, activation=RELU6)
    sketch.add("pool", "max_pool2d", "blind", kernel=(2, 2), stride=(2, 2))
    sketch.conv("last", "pool", 5, kernel=1)
    sketch.add("flat", "reshape", "last", shape=(-1, 60))
    return sketch.done("flat", "blind")


def values_of(graph: Graph, batch: torch.Tensor, statistics) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    run_matched(graph, batch, statistics, lambda node, value: found.update({node.name: value}))
    return found


def moments(value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    values = value.double().transpose(0, 1).flatten(1)
    return values.mean(1), values.std(1, correction=0)


def assert_matches(value: torch.Tensor, known: Normal) -> None:
    mean, std = moments(value)
    torch.testing.assert_close(mean, known.mean, rtol=1e-4, atol=1e-4)  # float32
    torch.testing.assert_close(std, known.std, rtol=1e-4, atol=1e-4)


def test_channels_have_exactly_the_stated_moments():
    statistics = {"first": stated(6, 1), "last": stated(5, 2)}

    found = values_of(network(), images((1, *SHAPE), 4), statistics)

    assert_matches(found["first"], statistics["first"])
    assert_matches(found["last"], statistics["last"])


@pytest.mark.parametrize("activation", [RELU, RELU6, (-1.0, 0.5)])
def test_they_have_them_before_the_activation_and_go_on_behind_it(activation):
    statistics = {"first": stated(6, 1)}
    batch = images((1, *SHAPE), 4)
    graph = network(activation)

    found = values_of(graph, batch, statistics)

    before = values_of(network(), batch, statistics)["first"]
    assert_matches(before, statistics["first"])
    assert torch.equal(found["first"], before.clamp(*activation))
    expected = run_node(graph, graph["blind"], [found["first"]])
    assert torch.equal(found["blind"], expected)
    assert graph["first"].attrs["activation"] == activation


def test_layers_without_statistics_are_computed_as_usual():
    graph, batch = network(RELU), images((1, *SHAPE), 4)
    usual: dict[str, torch.Tensor] = {}
    run_float(graph, batch, tap=lambda node, value: usual.update({node.name: value}))

    found = values_of(graph, batch, {})
    matched = values_of(graph, batch, {"last": stated(5)})

    assert set(found) == set(usual)
    for name, value in usual.items():
        # another layout in memory: sums in another order
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-4)
    for name in ("first", "blind", "pool"):
        assert torch.equal(matched[name], found[name])
    assert not torch.allclose(matched["last"], found["last"], atol=0.1)


def test_every_value_is_shown_once_the_input_first():
    graph, batch = network(), images((1, *SHAPE), 2)
    shown: list[str] = []

    run_matched(graph, batch, {"last": stated(5)}, lambda node, value: shown.append(node.name))

    assert shown == ["x", "first", "blind", "pool", "last", "flat"]
    assert torch.equal(values_of(graph, batch, {})["x"], batch)


def test_a_channel_that_is_constant_has_its_mean_and_no_nan():
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4)
    sketch.conv("next", "conv", 2)
    graph = sketch.done()
    graph.params["conv.weight"][1] = 0.0
    graph.params["conv.weight"][2] = 0.0
    graph.params["conv.bias"][2] = 0.0
    known = Normal(
        torch.tensor([1.0, -2.5, 0.75, 4.0], dtype=torch.float64),
        torch.tensor([1.0, 3.0, 2.0, 0.0], dtype=torch.float64),
    )

    found = values_of(graph, images((1, *SHAPE), 3), {"conv": known})

    assert bool((found["conv"][:, 1] == -2.5).all())
    assert bool((found["conv"][:, 2] == 0.75).all())
    assert bool((found["conv"][:, 3] == 4.0).all())  # it varies, and is said not to
    assert found["conv"][:, 0].std() > 0.9
    assert all(bool(value.isfinite().all()) for value in found.values())


@pytest.mark.parametrize("number", [0.0, 0.1, -7.77, 1e4])
def test_images_of_one_colour_give_every_channel_its_mean(number):
    known = stated(6)

    found = values_of(network(), torch.full((2, *SHAPE), number), {"first": known})

    expected = known.mean.float().reshape(1, -1, 1, 1).expand(found["first"].shape)
    assert torch.equal(found["first"], expected)


def test_numbers_without_height_and_width_are_matched_over_the_batch():
    sketch = Sketch(7)
    sketch.weighted("linear", "linear", "x", {"weight": sketch.random(5, 7)})
    known = stated(5)

    graph = sketch.done()

    assert_matches(values_of(graph, images((1, 7), 16), {"linear": known})["linear"], known)
    alone = values_of(graph, images((1, 7), 1), {"linear": known})["linear"]
    assert torch.equal(alone, known.mean.float()[None])  # of one number no deviation is known


def test_how_large_a_weight_is_does_not_matter_where_statistics_are_known():
    graph, batch = network(RELU), images((1, *SHAPE), 4)
    scaled = graph.copy()
    scaled.params["first.weight"] = 1000.0 * graph.params["first.weight"]
    statistics = {"first": stated(6)}

    first, second = (values_of(each, batch, statistics) for each in (graph, scaled))

    torch.testing.assert_close(first["blind"], second["blind"], rtol=1e-3, atol=1e-3)
    unmatched = (values_of(each, batch, {})["blind"] for each in (graph, scaled))
    assert not torch.allclose(*unmatched, rtol=1e-3, atol=1e-3)
