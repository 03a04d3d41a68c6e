"""Operands' scales are brought to where a sum can be computed."""

from __future__ import annotations

import pytest
import torch

from architectures.sketch import Sketch
from calibrate.planned import plan_of
from intaglio.calibrate.encodings import choose_encodings
from intaglio.calibrate.loop import observe_ranges
from intaglio.calibrate.minmax import MinMax
from intaglio.errors import UnsupportedByTarget
from intaglio.ir.graph import Graph
from intaglio.numerics.encodings import Encodings
from intaglio.run.float import run_float
from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.file.write import write_tflite
from intaglio.targets.target import Target
from runtimes.litert.checked import check_file

SHAPE = (4, 6, 5)
IMAGES = torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(0))


def checked(graph: Graph, target: Target = LITERT) -> Encodings:
    """Calibrate, write and check a graph; return its encodings."""
    plan = plan_of(graph, target, "w8a8")
    ranges = observe_ranges(graph, plan, [IMAGES], calibrator=MinMax)
    encodings = choose_encodings(graph, plan, ranges, target)
    twin = build_twin(graph, encodings, target)
    counts = check_file(write_tflite(graph, encodings, target), twin, [IMAGES])
    assert counts.mismatches == 0
    assert counts.values_compared > 0
    real = run_float(graph, IMAGES)[0]
    steps = (twin(IMAGES) - real).abs().max() / encodings.activations[graph.outputs[0]].scale
    assert steps < 1.6
    return encodings


def ratio(encodings: Encodings, operand: str) -> float:
    return float(encodings.activations[operand].step / encodings.activations["sum"].step)


def test_a_constant_far_below_the_sums_step_is_held() -> None:
    sketch = Sketch(*SHAPE)
    sketch.constant("epsilon", torch.full((1, 1, 1, 1), 1e-6))
    sketch.add("sum", "add", "x", "epsilon")

    assert 2.0**-10 <= ratio(checked(sketch.done()), "epsilon") < 2.0**-9


def test_a_branch_far_below_the_sums_step_is_held() -> None:
    sketch = Sketch(*SHAPE)
    sketch.add("branch", "rescale", "x", factor=1e-5)
    sketch.add("sum", "sub", "x", "branch")

    assert 2.0**-10 <= ratio(checked(sketch.done()), "branch") < 2.0**-9


@pytest.mark.parametrize(("factor", "moved"), [(1e-3, True), (1.0, False)])
def test_a_branch_that_is_zero_gets_another_scale_only_where_its_own_is_not_taken(
    factor: float, moved: bool
) -> None:
    sketch = Sketch(*SHAPE)
    sketch.add("small", "rescale", "x", factor=factor)
    sketch.constant("zero", torch.zeros(1, 1, 1, 1))
    sketch.add("silent", "mul", "x", "zero")
    sketch.add("sum", "add", "small", "silent")

    encodings = checked(sketch.done())

    assert ratio(encodings, "silent") < 256
    assert (float(encodings.activations["silent"].step) != 1.0) == moved


def test_scales_within_the_limits_are_left_alone() -> None:
    sketch = Sketch(*SHAPE)
    sketch.constant("small", torch.full((1, 1, 1, 1), 0.01))
    sketch.add("sum", "add", "x", "small")

    assert float(checked(sketch.done()).activations["small"].step) == pytest.approx(0.01 / 255)


def test_the_reference_kernel_takes_small_scales_as_they_are() -> None:
    sketch = Sketch(*SHAPE)
    sketch.constant("epsilon", torch.full((1, 1, 1, 1), 1e-6))
    sketch.add("sum", "add", "x", "epsilon")

    encodings = checked(sketch.done(), LITERT_REFERENCE)

    assert float(encodings.activations["epsilon"].step) == pytest.approx(1e-6 / 255)


def test_an_operand_that_others_read_keeps_its_scale_and_the_sum_is_refused() -> None:
    sketch = Sketch(*SHAPE)
    sketch.add("branch", "rescale", "x", factor=1e-5)
    sketch.add("sum", "add", "x", "branch")

    with pytest.raises(UnsupportedByTarget, match=r"layer\.sum.*outside"):
        checked(sketch.done("sum", "branch"))


def test_a_clamped_value_that_was_always_zero_ends_where_its_clamp_does() -> None:
    sketch = Sketch(*SHAPE)
    sketch.constant("nothing", torch.zeros(1, 4, 1, 1))
    sketch.add("sum", "mul", "x", "nothing", activation=(0.0, 1.0))

    grid = checked(sketch.done()).activations["sum"]

    assert float(grid.step) == pytest.approx(1 / 255)
    assert grid.zero == -128
