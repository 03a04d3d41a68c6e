"""Grids that are chosen for who reads them: factors around zero."""

from __future__ import annotations

import pytest
import torch

from architectures.sketch import Sketch
from calibrate.planned import plan_of
from intaglio.numerics.affine import params_from_range
from intaglio.numerics.spec import QuantParams
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.scales.center_factors import center_factors
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
