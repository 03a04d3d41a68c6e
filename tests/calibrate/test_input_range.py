"""What a network takes, read off the statistics of its first layer."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from architectures.sketch import Sketch
from intaglio.calibrate.input_range import implied_input, range_of
from intaglio.ir.graph import Graph
from intaglio.numerics.normal import Normal
from intaglio.run.float import run_float

SHAPE = (3, 32, 32)
MEAN, STD = torch.tensor([0.4, -0.7, 1.5], dtype=torch.float64), 0.6


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def first_layer(out: int = 8, *, seed: int = 0, **attrs) -> Graph:
    sketch = Sketch(*SHAPE, seed=seed)
    sketch.conv("conv", "x", out, **attrs)
    return sketch.done()


def sums_of(graph: Graph) -> torch.Tensor:
    return graph.params["conv.weight"].double().sum((2, 3))


def expected_mean(graph: Graph, mean: torch.Tensor = MEAN) -> torch.Tensor:
    """Return the mean of a layer without padding on images of such a mean, in closed form."""
    return sums_of(graph) @ mean + graph.params["conv.bias"].double()


def estimate(graph: Graph, known: Normal, seed: int = 0) -> Normal:
    found = implied_input(graph, {"conv": known}, seeded(seed))
    assert found is not None
    return found


def rectangles(count: int = 24, seed: int = 0) -> torch.Tensor:
    """Return images of rectangles before one another, of mean MEAN and deviation STD.

    They stand in for photographs and are made in another way than the noise that the estimate
    uses: edges, occlusion, and a power that falls as 1 / f^1.5 instead of 1 / f^2.
    """
    generator = seeded(seed)
    found = torch.zeros(count, *SHAPE)
    for image in found:
        for _ in range(150):
            sizes = (2.0 / torch.rand(2, generator=generator).sqrt()).clamp(max=32.0)
            place = torch.rand(2, generator=generator) * 40.0 - 8.0
            top, left = (int(start) for start in place.clamp(min=0.0))
            bottom, right = (int(end) for end in (place + sizes).clamp(min=0.0))
            colour = torch.randn(1, generator=generator) + 0.3 * torch.randn(3, generator=generator)
            image[:, top:bottom, left:right] = colour[:, None, None]
    std, mean = torch.std_mean(found, (0, 2, 3), keepdim=True)
    return (found - mean) / std * STD + MEAN.float().reshape(1, 3, 1, 1)


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    return rectangles()


def measured(graph: Graph, batch: torch.Tensor) -> Normal:
    """Return the moments of the layer on images, before its activation."""
    bare = graph.copy()
    bare["conv"].attrs["activation"] = None
    seen = {}
    run_float(bare, batch, tap=lambda node, value: seen.update({node.name: value.double()}))
    std, mean = torch.std_mean(seen["conv"], (0, 2, 3), correction=0)
    return Normal(mean, std)


@pytest.mark.parametrize("out", [3, 8, 40])
@pytest.mark.parametrize("kernel", [1, 3])
def test_the_mean_of_every_channel_is_found_exactly(out, kernel):
    graph = first_layer(out, kernel=kernel)
    known = Normal(expected_mean(graph), torch.ones(out, dtype=torch.float64))

    # least squares in float64, of matrices whose condition is some tens
    torch.testing.assert_close(estimate(graph, known).mean, MEAN, rtol=1e-9, atol=1e-9)


def test_of_fewer_filters_than_channels_the_means_that_are_found_explain_what_is_stated():
    graph = first_layer(2)
    known = Normal(expected_mean(graph), torch.ones(2, dtype=torch.float64))

    found = estimate(graph, known).mean

    torch.testing.assert_close(expected_mean(graph, found), known.mean)
    assert found.norm() <= MEAN.norm()  # of all that do, the one nearest to zero


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "attrs",
    [
        {"kernel": 3},
        {"kernel": 3, "stride": (2, 2), "activation": (0.0, 6.0)},
        {"kernel": 7, "stride": (2, 2)},
    ],
)
def test_of_a_layer_that_saw_images_mean_and_deviation_are_found(attrs, seed, pictures):
    graph = first_layer(16, seed=seed, **attrs)

    found = estimate(graph, measured(graph, pictures))

    # edges are read by fewer windows: their mean is not that of all pixels
    torch.testing.assert_close(found.mean, MEAN, rtol=0.0, atol=0.1 * STD)
    assert found.std.tolist() == pytest.approx([STD] * 3, rel=0.25)


def test_an_image_twice_as_wide_has_twice_the_deviation_and_the_seed_matters_little():
    graph = first_layer(16)
    known = Normal(expected_mean(graph), torch.linspace(0.5, 2.0, 16, dtype=torch.float64))
    wide = Normal(known.mean, 2.0 * known.std)

    found = estimate(graph, known).std

    torch.testing.assert_close(estimate(graph, wide).std, 2.0 * found)
    assert torch.equal(estimate(graph, known).std, found)
    torch.testing.assert_close(estimate(graph, known, seed=1).std, found, rtol=0.25, atol=0.0)


def test_filters_that_are_dead_or_strange_do_not_move_the_deviation(pictures):
    graph = first_layer(16)
    known = measured(graph, pictures)
    usual = estimate(graph, known).std
    dead, strange = known.std.clone(), known.std.clone()
    dead[3] = 0.0
    strange[5] *= 1000.0
    zero = graph.copy()
    zero.params["conv.weight"] = graph.params["conv.weight"].clone()
    zero.params["conv.weight"][7] = 0.0

    for network, std in ((graph, dead), (graph, strange), (zero, known.std)):
        found = estimate(network, Normal(known.mean, std)).std
        torch.testing.assert_close(found, usual, rtol=0.25, atol=0.0)  # one of 16, and a median


def test_the_bias_and_the_activation_of_the_layer_do_not_matter():
    graph = first_layer(8, activation=(0.0, 6.0))
    known = Normal(expected_mean(graph), torch.ones(8, dtype=torch.float64))
    bare = graph.copy()
    bare["conv"].attrs["activation"] = None
    del bare.params["conv.bias"], bare["conv"].params["bias"]
    without = Normal(known.mean - graph.params["conv.bias"].double(), known.std)

    with_bias, found = estimate(graph, known), estimate(bare, without)

    torch.testing.assert_close(with_bias.mean, found.mean)
    assert torch.equal(with_bias.std, found.std)


@pytest.mark.parametrize("op", ["pad", "quantize"])
def test_a_layer_is_found_behind_what_only_hands_the_input_on(op, pictures):
    sketch = Sketch(*SHAPE)
    sketch.add("between", op, "x", **({"padding": (1, 1, 1, 1)} if op == "pad" else {}))
    sketch.conv("conv", "between", 16)
    graph = sketch.done()

    found = estimate(graph, measured(graph, pictures))

    torch.testing.assert_close(found.mean, MEAN, rtol=0.0, atol=0.25 * STD)  # zeros at the edges
    assert found.std.tolist() == pytest.approx([STD] * 3, rel=0.25)


def test_the_first_of_several_layers_that_read_the_input_tells():
    sketch = Sketch(*SHAPE)
    sketch.conv("unknown", "x", 8)
    sketch.conv("conv", "x", 8)
    sketch.conv("other", "x", 8)
    graph = sketch.done("unknown", "conv", "other")
    known = Normal(expected_mean(graph), torch.ones(8, dtype=torch.float64))
    wrong = Normal(known.mean + 5.0, 100.0 * known.std)

    found = implied_input(graph, {"other": wrong, "conv": known}, seeded())

    assert found is not None
    torch.testing.assert_close(found.mean, MEAN, rtol=1e-9, atol=1e-9)
    assert torch.equal(found.std, estimate(graph, known).std)


def unit(channels: int, std: float = 1.0) -> Normal:
    return Normal(
        torch.zeros(channels, dtype=torch.float64),
        torch.full((channels,), std, dtype=torch.float64),
    )


def test_where_no_layer_with_statistics_reads_the_input_nothing_is_said():
    sketch = Sketch(*SHAPE)
    sketch.conv("blind", "x", 3)
    sketch.conv("depthwise", "x", 3, groups=3)
    sketch.add("squashed", "sigmoid", "x")
    sketch.conv("behind", "squashed", 8)
    sketch.conv("second", "blind", 8)
    graph = sketch.done("depthwise", "behind", "second")
    statistics = {"depthwise": unit(3), "behind": unit(8), "second": unit(8)}

    assert implied_input(graph, statistics, seeded()) is None
    assert implied_input(graph, {}, seeded()) is None
    assert implied_input(graph, {**statistics, "blind": unit(3)}, seeded()) is not None


def test_a_linear_layer_tells_nothing():
    sketch = Sketch(6)
    sketch.weighted("linear", "linear", "x", {"weight": sketch.random(8, 6)})

    assert implied_input(sketch.done(), {"linear": unit(8)}, seeded()) is None


def test_a_layer_whose_filters_are_all_dead_tells_nothing():
    graph = first_layer(8)

    assert implied_input(graph, {"conv": unit(8, std=0.0)}, seeded()) is None
    graph.params["conv.weight"] = torch.zeros_like(graph.params["conv.weight"])
    assert implied_input(graph, {"conv": unit(8)}, seeded()) is None


def test_a_range_is_three_deviations_of_the_widest_channels():
    found = Normal(
        torch.tensor([0.5, -1.0], dtype=torch.float64), torch.tensor([1.0, 0.5]).double()
    )

    low, high = range_of(found)

    assert (low.item(), high.item()) == (-2.5, 3.5)
    assert low.shape == high.shape == ()
    assert low.dtype == high.dtype == torch.float32


@settings(max_examples=30, deadline=None)
@given(mean=st.floats(-300.0, 300.0), std=st.floats(0.0, 100.0))
def test_a_range_holds_the_mean_and_zero(mean, std):
    low, high = range_of(Normal(torch.tensor([mean]).double(), torch.tensor([std]).double()))

    assert low <= min(0.0, mean + 1e-3)  # float32
    assert high >= max(0.0, mean - 1e-3)
