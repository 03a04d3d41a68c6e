"""Beyond the bounds that are told of a value, whoever reads it makes the same of everything."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from architectures.sketch import Sketch
from calibrate.planned import plan_of
from intaglio.calibrate.encodings import choose_encodings
from intaglio.calibrate.loop import observe_ranges
from intaglio.calibrate.minmax import MinMax
from intaglio.calibrate.mse import SquaredError
from intaglio.ir.graph import Graph
from intaglio.numerics.affine import fake_quantize
from intaglio.numerics.spec import QuantParams, QuantSpec
from intaglio.passes.read_bounds import ALL, as_read, read_bounds
from intaglio.runtimes import LITERT
from intaglio.targets.runtime import Ranges

OUTPUTS = {"sigmoid": (1 / 256, -128), "tanh": (1 / 128, 0)}
"""Scale and zero point of the results' grids."""


def value_read_by(*readers: tuple[str, dict], outputs: tuple[str, ...] = ()) -> Graph:
    """A value that functions read; with "x", where they take two."""
    sketch = Sketch(4, 6)
    sketch.weighted("value", "linear", "x", {"weight": sketch.random(6, 6)})
    made = [
        sketch.add(f"{op}{index}", op, *("value", "x")[: 1 + (op == "add")], **attrs)
        for index, (op, attrs) in enumerate(readers)
    ]
    return sketch.done(*made, *outputs)


def grid(op: str) -> QuantParams:
    scale, zero_point = OUTPUTS[op]
    return QuantParams(torch.tensor(scale), torch.tensor(zero_point), QuantSpec())


def hard_swish_in_parts(*, activation=(0.0, 6.0), number=3.0, crossed: bool = False) -> Graph:
    sketch = Sketch(4, 6)
    sketch.weighted("value", "linear", "x", {"weight": sketch.random(6, 6)})
    sketch.constant("number", torch.full((1, 1, 1), number))
    sketch.add("gate", "add", "value", "number", activation=activation)
    sketch.add("product", "mul", "x" if crossed else "value", "gate")
    return sketch.done("product")


@pytest.mark.parametrize("op", OUTPUTS)
@settings(deadline=None)
@given(beyond=st.floats(0.0, 50.0))
def test_a_sigmoid_or_tanh_rounds_everything_beyond_its_bounds_to_its_last_integers(op, beyond):
    low, high = read_bounds(value_read_by((op, {})), {f"{op}0": grid(op)}, "value")

    ends = torch.tensor([low - beyond, high + beyond], dtype=torch.float64)
    found = fake_quantize(getattr(torch, op)(ends).float(), grid(op))

    scale, zero_point = OUTPUTS[op]
    assert found.tolist() == [(-128 - zero_point) * scale, (127 - zero_point) * scale]
    assert -10.0 < low < high < 10.0


def test_a_sigmoid_that_stays_in_float_reads_all_of_a_value():
    assert read_bounds(value_read_by(("sigmoid", {})), {}, "value") == ALL


@settings(deadline=None)
@given(value=st.floats(-50.0, 50.0))
def test_a_hard_swish_makes_nothing_of_what_is_below_its_bound(value):
    low, high = read_bounds(hard_swish_in_parts(), {}, "value")

    assert (low, high) == (-3.0, math.inf)
    assert read_bounds(value_read_by(("hard_swish", {})), {}, "value") == (low, high)
    whole = torch.tensor(value, dtype=torch.float64)
    assert float(F.hardswish(whole)) == float(F.hardswish(whole.clamp(low, high)))


def test_a_product_with_the_gate_of_another_value_or_one_that_is_never_closed_reads_all():
    assert read_bounds(hard_swish_in_parts(crossed=True), {}, "value") == (-3.0, 3.0)  # its gate
    assert read_bounds(hard_swish_in_parts(activation=(1.0, 6.0)), {}, "value") == ALL
    assert read_bounds(hard_swish_in_parts(activation=None), {}, "value") == ALL
    assert read_bounds(hard_swish_in_parts(number=1.0), {}, "value") == (-1.0, math.inf)


def test_clamps_and_functions_that_begin_with_one_say_what_they_read():
    first, second = (("clamp", -1.0, 2.0), ("exp",)), (("clamp", 0.5, 4.0), ("log",))
    exp = (("exp",),)

    def of(*chains):
        """Return the bounds of a value that functions read."""
        return read_bounds(
            value_read_by(*(("function", {"chain": chain}) for chain in chains)), {}, "value"
        )

    assert of(first) == (-1.0, 2.0)
    assert of(first, second) == (-1.0, 4.0)
    assert of(first, exp) == ALL
    assert of((("hard_sigmoid",), ("exp",))) == (-3.0, 3.0)
    assert read_bounds(value_read_by(("clamp", {"activation": (0.0, 6.0)})), {}, "value") == (0, 6)


def test_a_networks_output_and_a_value_that_nobody_reads_are_read_whole():
    clamped = ("clamp", {"activation": (0.0, 6.0)})

    assert read_bounds(value_read_by(clamped, outputs=("value",)), {}, "value") == ALL
    assert read_bounds(value_read_by(clamped), {}, "clamp0") == ALL


def grid_of_value(graph: Graph, ranges: Ranges) -> QuantParams:
    plan = plan_of(graph, LITERT, "w8a8")
    known = dict.fromkeys(plan.activations, (torch.tensor(-10.0), torch.tensor(20.0))) | ranges
    return choose_encodings(graph, plan, known, LITERT).activations["value"]


def test_a_value_is_on_no_wider_a_grid_than_is_read_of_it():
    narrow = value_read_by(("function", {"chain": (("clamp", -1.0, 2.0), ("exp",))}))
    late = value_read_by(("function", {"chain": (("clamp", 0.5, 4.0), ("log",))}))
    wide = value_read_by(("function", {"chain": (("clamp", -99.0, 99.0), ("exp",))}))

    assert float(grid_of_value(narrow, {}).step) == pytest.approx(3 / 255, rel=1e-3)
    assert float(grid_of_value(late, {}).step) == pytest.approx(4 / 255, rel=1e-3)  # 0 is on it
    assert float(grid_of_value(wide, {}).step) == pytest.approx(30 / 255, rel=1e-3)


def test_a_value_that_others_read_as_well_keeps_its_grid():
    both = value_read_by(("clamp", {"activation": (0.0, 6.0)}), ("add", {"activation": None}))

    assert float(grid_of_value(both, {}).step) == pytest.approx(30 / 255, rel=1e-3)


@pytest.mark.parametrize("calibrator", [MinMax, SquaredError])
def test_with_either_kind_of_calibrator_a_grid_begins_where_a_hard_swish_reads(calibrator):
    graph = hard_swish_in_parts()
    images = 100.0 * torch.randn(64, 4, 6, generator=torch.Generator().manual_seed(0))
    plan = plan_of(graph, LITERT, "w8a8")

    ranges = observe_ranges(graph, plan, [images], calibrator=calibrator)
    found = choose_encodings(graph, plan, ranges, LITERT).activations["value"]

    low, high = ((end - found.zero) * float(found.step) for end in (-128, 127))
    assert low == pytest.approx(-3.0, abs=float(found.step))
    assert high > 100.0


def test_one_that_weighs_values_sees_them_only_as_far_as_they_are_read():
    graph = hard_swish_in_parts()
    images = torch.randn(64, 4, 6, generator=torch.Generator().manual_seed(0))
    far = torch.cat([images, 1e6 * images])  # half of all, and nearly half of these below -3
    plan = plan_of(graph, LITERT, "w8a8")
    low, _ = observe_ranges(graph, plan, [far], calibrator=SquaredError)["value"]

    assert -3.0 <= float(low) <= 0.0


def test_what_is_no_number_is_told_and_not_clamped():
    values = torch.tensor([-9.0, 2.0, 1e38, -math.inf, math.inf, math.nan]).repeat(50)  # all lanes

    found = as_read(values, (-3.0, 3.0)).reshape(50, 6)

    assert found[:, :3].tolist() == [[-3.0, 2.0, 3.0]] * 50
    assert found[:, 3:].isnan().all()
    assert as_read(values, ALL) is values
