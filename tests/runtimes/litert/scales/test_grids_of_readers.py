"""Grids that are chosen for who reads them: factors around zero, clamped values no wider."""

from __future__ import annotations

import pytest
import torch

from architectures.sketch import Sketch
from calibrate.planned import plan_of
from intaglio.numerics.affine import params_from_range
from intaglio.numerics.spec import QuantParams
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.scales.center_factors import center_factors
from intaglio.runtimes.litert.scales.narrow_grids import narrow_grids
from intaglio.targets.runtime import Ranges


def on_ranges(plan, ranges: Ranges) -> dict[str, QuantParams]:
    spec = next(iter(plan.activations.values()))
    return {name: params_from_range(*bounds, spec) for name, bounds in ranges.items()}


def between(low: float, high: float) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(low), torch.tensor(high)


@pytest.mark.parametrize(
    ("bounds", "farthest"), [((-1.0, 3.0), 3.0), ((-3.0, 1.0), 3.0), ((0.0, 2.0), 2.0)]
)
def test_a_second_factor_is_on_a_grid_around_zero_that_holds_its_range(bounds, farthest) -> None:
    sketch = Sketch(5, 6)
    sketch.add("b", "rescale", "x", factor=2.0)
    sketch.add("product", "matmul", "x", "b", transposed=True)
    graph = sketch.done()
    plan = plan_of(graph, LITERT, "w8a8")
    grids = on_ranges(plan, {name: between(*bounds) for name in ("x", "product")})

    found = center_factors(graph, plan, grids)

    assert found["product"] is grids["product"]
    assert found["x"].zero == 0  # of which b's grid is derived
    assert float(found["x"].step) * 127 == pytest.approx(farthest, rel=0.01)


def test_a_grid_around_zero_stays_as_it_is() -> None:
    sketch = Sketch(5, 6)
    sketch.add("product", "matmul", "x", "x", transposed=True)
    graph = sketch.done()
    plan = plan_of(graph, LITERT, "w8a8")
    grids = on_ranges(plan, {name: between(-1.0, 1.0) for name in ("x", "product")})
    grids["x"] = QuantParams(
        grids["x"].scale, torch.zeros_like(grids["x"].zero_point), grids["x"].spec
    )

    assert center_factors(graph, plan, grids) == grids


def narrowed(*chains, others: bool = False) -> QuantParams:
    """Return the grid of a value from -10 to 20 that functions read, and perhaps a sum."""
    sketch = Sketch(4, 6)
    sketch.weighted("value", "linear", "x", {"weight": sketch.random(6, 6)})
    outputs = [
        sketch.add(f"function{index}", "function", "value", chain=chain)
        for index, chain in enumerate(chains)
    ]
    if others:
        outputs.append(sketch.add("sum", "add", "value", "x"))
    graph = sketch.done(*outputs)
    plan = plan_of(graph, LITERT, "w8a8")
    ranges = dict.fromkeys(plan.activations, between(-10.0, 20.0))
    return narrow_grids(graph, plan, on_ranges(plan, ranges), ranges)["value"]


def test_a_value_is_on_no_wider_a_grid_than_its_readers_clamps() -> None:
    first, second = (("clamp", -1.0, 2.0), ("exp",)), (("clamp", 0.5, 4.0), ("log",))

    assert float(narrowed(first).step) == pytest.approx(3 / 255)
    assert float(narrowed(first, second).step) == pytest.approx(5 / 255)
    assert float(narrowed(second).step) == pytest.approx(4 / 255)  # zero is always on a grid
    assert float(narrowed((("clamp", -99.0, 99.0),)).step) == pytest.approx(30 / 255)


def test_a_value_that_others_read_as_well_keeps_its_grid() -> None:
    clamped = (("clamp", -1.0, 2.0), ("exp",))

    assert float(narrowed(clamped, others=True).step) == pytest.approx(30 / 255)
    assert float(narrowed(clamped, (("exp",),)).step) == pytest.approx(30 / 255)
