"""Ranges without images: deviations to either side, calibrators on samples, noise for the rest."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from architectures import images
from architectures.sketch import Sketch
from calibrate.planned import plan_of, planned
from intaglio.calibrate import CALIBRATORS, observe_ranges
from intaglio.calibrate.implied_ranges import (
    ImpliedRanges,
    NoImages,
    implied_ranges,
    reached,
)
from intaglio.calibrate.minmax import MinMax
from intaglio.calibrate.noise_ranges import calibrated_ranges
from intaglio.ir.graph import Graph
from intaglio.numerics.normal import Normal
from intaglio.numerics.spec import QuantSpec
from intaglio.passes.implied_values import REACH, implied_values
from intaglio.run.float import run_float
from intaglio.runtimes import LITERT

SHAPE = (3, 8, 8)
RELU, RELU6 = (0.0, float("inf")), (0.0, 6.0)
IMAGES = torch.tensor(-2.5), torch.tensor(3.5)
INT4 = QuantSpec(bits=4)
CLIPPING = [name for name in CALIBRATORS if name != "minmax"]


def normal(*channels: tuple[float, float]) -> Normal:
    """Return channels from (mean, deviation) each."""
    means, stds = zip(*channels, strict=True)
    return Normal(torch.tensor(means, dtype=torch.float64), torch.tensor(stds, dtype=torch.float64))


def silence(names: set[str]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Stand where no noise may be asked for."""
    raise AssertionError(f"noise was asked for {names}")


def found(
    graph: Graph,
    statistics: dict[str, Normal],
    *,
    calibrator=MinMax,
    noise=silence,
    scores=silence,
    scheme: str = "w8a8",
) -> ImpliedRanges:
    graph, plan = planned(graph, LITERT, scheme)

    def observed(by):
        drawn = torch.randn((16, *SHAPE), generator=torch.Generator().manual_seed(0))
        return calibrated_ranges(graph, drawn, statistics, by)

    values = implied_values(graph, statistics)
    known = NoImages(values, IMAGES, noise, scores, observed)
    return implied_ranges(graph, plan, known, calibrator=calibrator)


def numbers(result: ImpliedRanges) -> dict[str, tuple[float, float]]:
    for bounds in result.ranges.values():
        assert all(end.shape == () and end.dtype == torch.float32 for end in bounds)
    return {name: (low.item(), high.item()) for name, (low, high) in result.ranges.items()}


def inner(activation: tuple[float, float] | None = None, channels: int = 2) -> Graph:
    """Return a network with a value "inner" that is no output."""
    sketch = Sketch(*SHAPE)
    sketch.conv("inner", "x", channels, activation=activation)
    sketch.conv("out", "inner", 2)
    return sketch.done()


END = {"out": normal((0.0, 1.0), (0.0, 1.0))}


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (None, (-10.0, 11.0)),
        (RELU, (0.0, 11.0)),
        (RELU6, (0.0, 6.0)),
        ((-1.0, 20.0), (-1.0, 11.0)),
        ((-4.0, -1.0), (-4.0, 0.0)),
    ],
)
def test_a_range_is_five_deviations_to_either_side_through_the_activation(activation, expected):
    result = found(inner(activation), {"inner": normal((1.0, 2.0), (-5.0, 1.0)), **END})

    assert numbers(result)["inner"] == expected
    assert result.from_noise == ()


def test_a_relu6_that_is_never_reached_leaves_the_range_below_it():
    result = found(inner(RELU6), {"inner": normal((0.5, 0.25), (-3.0, 0.5)), **END})

    assert numbers(result)["inner"] == (0.0, 1.75)


def test_the_widest_channels_make_the_range_and_not_their_average():
    result = found(inner(None, 3), {"inner": normal((0.0, 1.0), (-10.0, 0.0), (5.0, 3.0)), **END})

    assert numbers(result)["inner"] == (-10.0, 20.0)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [(None, (-23.0, 25.0)), (RELU6, (0.0, 6.0)), ((-20.0, 1.0), (-20.0, 1.0))],
)
@pytest.mark.parametrize("calibrator", ["minmax", "mse", "percentile-99.9"])
def test_outputs_have_twelve_deviations_whatever_the_calibrator(calibrator, activation, expected):
    sketch = Sketch(*SHAPE)
    sketch.conv("out", "x", 2, activation=activation)
    stated = {"out": normal((1.0, 2.0), (-5.0, 1.0))}

    result = found(sketch.done(), stated, calibrator=CALIBRATORS[calibrator])

    assert numbers(result)["out"] == pytest.approx(expected, rel=1e-6)  # float32


def test_what_a_softmax_at_the_end_reads_has_them_too_and_what_is_before_has_not():
    sketch = Sketch(*SHAPE)
    sketch.conv("inner", "x", 2)
    sketch.conv("scores", "inner", 2, kernel=6)
    sketch.add("probabilities", "softmax", "scores", axis=1)
    stated = normal((0.0, 1.0), (0.0, 0.5))

    ranges = numbers(found(sketch.done(), {"inner": stated, "scores": stated}))

    assert ranges["scores"] == pytest.approx((-12.0, 12.0), abs=1e-5)
    assert ranges["inner"] == (-5.0, 5.0)
    assert "probabilities" not in ranges


def classifier(classes: int) -> Graph:
    """Return a network whose scores batch norms tell nothing of but through a pool."""
    sketch = Sketch(*SHAPE)
    sketch.conv("inner", "x", 4)
    sketch.add("pool", "mean", "inner", axes=(2, 3), keepdim=False)
    weights = {"weight": sketch.random(classes, 4), "bias": sketch.random(classes)}
    sketch.weighted("scores", "linear", "pool", weights)
    return sketch.done()


@pytest.mark.parametrize("name", ["minmax", "mse"])
def test_scores_of_classes_have_the_range_that_is_found_for_scores(name):
    asked = []

    def scores(names: set[str]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        asked.append(names)
        return {name: (torch.tensor(-3.0), torch.tensor(7.0)) for name in names}

    stated = {"inner": normal(*[(0.0, 1.0)] * 4)}
    result = found(classifier(3), stated, calibrator=CALIBRATORS[name], scores=scores)

    assert asked == [{"scores"}]
    assert numbers(result)["scores"] == (-3.0, 7.0)
    assert result.from_noise == ()


def test_two_numbers_are_no_scores():
    ranges = numbers(found(classifier(2), {"inner": normal(*[(0.0, 1.0)] * 4)}))

    assert "scores" in ranges


def test_scores_of_which_nothing_is_implied_are_told():
    ends = torch.tensor(-1.0), torch.tensor(1.0)

    def noise(names: set[str]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        return dict.fromkeys(names, ends)

    result = found(classifier(3), {}, noise=noise, scores=noise)

    assert result.from_noise[-1] == "scores"


@pytest.mark.parametrize("calibrator", ["minmax", "mse"])
def test_the_input_has_the_range_that_is_given(calibrator):
    stated = {"inner": normal((0.0, 1.0), (0.0, 1.0)), **END}

    ranges = numbers(found(inner(), stated, calibrator=CALIBRATORS[calibrator]))

    assert ranges["x"] == (-2.5, 3.5)


def test_a_function_of_a_value_has_the_range_of_the_function():
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 1)
    sketch.constant("three", torch.tensor(3.0))
    sketch.add("gate", "add", "conv", "three", activation=RELU6)
    sketch.add("product", "mul", "conv", "gate")
    sketch.conv("out", "product", 2)

    ranges = numbers(found(sketch.done(), {"conv": normal((0.0, 1.0)), **END}))

    # x relu6(x + 3) has its least at -1.5; taken as normal it would go down to -8
    assert ranges["product"] == pytest.approx((-2.25, 30.0))
    assert ranges["gate"] == (0.0, 6.0)


@pytest.mark.parametrize("name", CLIPPING)
@pytest.mark.parametrize("activation", [None, RELU, RELU6])
def test_at_4_bits_other_calibrators_give_a_range_within_that_of_five_deviations(name, activation):
    graph = inner(activation)
    stated = {"inner": normal((0.5, 1.0), (-0.5, 0.75)), **END}

    low, high = numbers(found(graph, stated, calibrator=CALIBRATORS[name], scheme="w4a4"))["inner"]

    least, most = numbers(found(graph, stated, scheme="w4a4"))["inner"]
    assert least <= low <= 0.0 <= high <= most
    assert high < most or activation == RELU6
    # and yet it holds what nearly all numbers are
    assert high >= 2.0
    assert low == 0.0 if activation else low <= -1.5


def test_a_normal_value_is_clipped_at_4_bits_where_theory_says():
    stated = {"inner": normal((0.0, 1.0), (0.0, 1.0)), **END}

    result = found(inner(), stated, calibrator=CALIBRATORS["mse"], scheme="w4a4")

    # 2.475 to either side on a symmetric grid; one of 16 steps is wider on one side by one
    low, high = numbers(result)["inner"]
    assert high - low == pytest.approx(2 * 2.475 * 15.5 / 15.0, rel=0.05)


@pytest.mark.parametrize("name", CLIPPING)
def test_each_value_is_seen_on_its_own_grid(name):
    asked = []

    def calibrator(spec: QuantSpec):
        asked.append(spec)
        return CALIBRATORS[name](spec)

    stated = {"inner": normal((0.0, 1.0), (0.0, 1.0)), **END}
    found(inner(), stated, calibrator=calibrator, scheme="w4a4")

    assert asked == [INT4]  # for "inner"; input and output have none


@pytest.mark.parametrize("name", ["mse", "percentile-99.9"])
def test_the_order_of_channels_does_not_matter(name):
    channels = [(0.0, 1.0), (3.0, 0.5), (-1.0, 2.0)]

    ranges = [
        numbers(
            found(
                inner(None, 3),
                {"inner": normal(*order), **END},
                calibrator=CALIBRATORS[name],
                scheme="w4a4",
            )
        )["inner"]
        for order in (channels, channels[::-1])
    ]

    # each channel gets other noise, of the same mean and deviation; where zero is, of 16 integers,
    # may be either of two neighbours
    spans = [high - low for low, high in ranges]
    assert spans[0] == pytest.approx(spans[1], rel=0.1)
    assert ranges[0] == pytest.approx(ranges[1], abs=1.1 * spans[0] / 15.0)


@settings(max_examples=40, deadline=None)
@given(
    channels=st.lists(
        st.tuples(st.floats(-100.0, 100.0), st.floats(0.0, 10.0, width=32)),
        min_size=2,
        max_size=2,
    ),
    activation=st.sampled_from([None, RELU, RELU6, (-1.0, 1.0), (2.0, 3.0)]),
    reach=st.sampled_from([6.0, REACH, 12.0]),
)
def test_zero_is_always_within(channels, activation, reach):
    graph = inner(activation)
    value = implied_values(graph, {"inner": normal(*channels)})["inner"]

    low, high = reached(graph["inner"], value, reach)

    assert low <= 0.0 <= high
    bounds = activation or (-float("inf"), float("inf"))
    assert low >= min(bounds[0], 0.0)
    assert high <= max(bounds[1], 0.0)


def test_zero_is_within_where_all_channels_are_far_above_it():
    sketch = Sketch(*SHAPE)
    sketch.conv("inner", "x", 1)
    sketch.conv("out", "inner", 1)
    stated = normal((100.0, 1.0))

    ranges = numbers(found(sketch.done(), {"inner": stated, "out": stated}))

    assert ranges["inner"] == (0.0, 105.0)
    assert ranges["out"] == pytest.approx((0.0, 112.0), rel=1e-6)


def blind() -> Graph:
    """Return a network in which nothing is known of "zeta" and "alpha", and then of "out"."""
    sketch = Sketch(*SHAPE)
    sketch.conv("zeta", "x", 2)
    sketch.conv("known", "zeta", 2, padding=(1, 1, 1, 1))
    sketch.add("alpha", "add", "zeta", "known")
    sketch.add("moved", "max_pool2d", "alpha", kernel=(2, 2))
    sketch.conv("middle", "moved", 2)
    sketch.conv("out", "middle", 2)
    return sketch.done()


def test_noise_is_asked_for_what_nothing_is_implied_of_and_for_nothing_else():
    asked = []

    def noise(names: set[str]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        asked.append(set(names))
        return {name: (torch.tensor(-1.0), torch.tensor(float(len(name)))) for name in names}

    stated = normal((0.0, 1.0), (0.0, 1.0))
    result = found(blind(), {"known": stated, "out": stated}, noise=noise)

    assert asked == [{"zeta", "alpha", "middle"}]
    assert result.from_noise == ("zeta", "alpha", "middle")  # in the graph's order
    ranges = numbers(result)
    assert ranges["zeta"] == (-1.0, 4.0)
    assert ranges["middle"] == (-1.0, 6.0)
    assert ranges["known"] == (-5.0, 5.0)
    assert "moved" not in ranges  # it has its input's grid


def test_without_any_statistics_everything_but_the_input_is_from_noise():
    def noise(names: set[str]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        return dict.fromkeys(names, (torch.tensor(0.0), torch.tensor(1.0)))

    result = found(blind(), {}, noise=noise)

    assert result.from_noise == ("zeta", "known", "alpha", "middle", "out")
    assert numbers(result)["x"] == (-2.5, 3.5)


def test_constants_have_the_range_that_is_stored():
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 2)
    sketch.constant("offset", torch.tensor([[[[-0.25]], [[7.0]]]]))
    sketch.add("sum", "add", "conv", "offset")
    sketch.conv("out", "sum", 2)

    ranges = numbers(found(sketch.done(), {"conv": normal((0.0, 1.0), (0.0, 1.0)), **END}))

    assert ranges["offset"] == (-0.25, 7.0)
    assert ranges["sum"] == (-5.25, 12.0)


def test_grids_that_are_prescribed_need_no_range():
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 2)
    sketch.add("gate", "sigmoid", "conv")
    sketch.conv("out", "gate", 2)

    assert set(numbers(found(sketch.done(), {"conv": normal((0, 1), (0, 1)), **END}))) == {
        "x",
        "conv",
        "out",
    }


def test_the_ranges_hold_what_images_of_such_statistics_reach_and_are_for_the_same_values():
    """A second computation: statistics measured on images, and ranges observed on them."""
    sketch = Sketch(*SHAPE)
    sketch.conv("first", "x", 4, padding=(1, 1, 1, 1), activation=RELU6)
    sketch.conv("second", "first", 4, kernel=1)
    sketch.add("sum", "add", "first", "second", activation=RELU)
    sketch.add("pool", "adaptive_avg_pool2d", "sum", size=(1, 1))
    sketch.conv("out", "pool", 3, kernel=1)
    graph = sketch.done()
    batch = images((1, *SHAPE), 64)
    bare = graph.copy()
    bare["first"].attrs["activation"] = None
    measured: dict[str, Normal] = {}
    for network, names in ((bare, {"first"}), (graph, {"second", "out"})):

        def tap(node, value, names=names):
            if node.name in names:
                std, mean = torch.std_mean(value.double(), (0, 2, 3), correction=0)
                measured[node.name] = Normal(mean, std)

        run_float(network, batch, tap=tap)

    implied = numbers(found(graph, measured))
    seen = observe_ranges(graph, plan_of(graph, LITERT, "w8a8"), [batch], calibrator=MinMax)

    assert set(implied) == set(seen)
    for name in ("first", "second", "sum", "pool", "out"):
        low, high = (end.item() for end in seen[name])
        least, most = implied[name]
        assert least <= low <= high <= most, name
        assert most - least <= 12.0 * max(high - low, 1.0), name  # and are not beyond reason


def test_a_calibrator_sees_every_channel_of_a_value_with_the_statistics_that_are_stated():
    stated = {"inner": normal((0.0, 0.1), (50.0, 0.1)), **END}

    result = found(inner(), stated, calibrator=CALIBRATORS["percentile-99.9"], scheme="w4a4")

    low, high = numbers(result)["inner"]
    bin_width = 50.0 / 1024  # a histogram has 2048 bins or more, and edges are powers of two
    assert low == pytest.approx(-0.31, abs=2 * bin_width)
    assert high == pytest.approx(50.31, abs=2 * bin_width)
