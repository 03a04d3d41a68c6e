"""The file's ends: QUANTIZE, DEQUANTIZE, integers in and out, softmax behind the integers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibrate.planned import plan_of
from intaglio.calibrate.encodings import choose_encodings
from intaglio.calibrate.loop import observe_ranges
from intaglio.calibrate.minmax import MinMax
from intaglio.numerics.spec import per_tensor
from intaglio.passes.canonicalize import canonicalize
from intaglio.read.module.export import capture
from intaglio.run.twin import Twin, build_twin, quantize_input
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.file.write import write_tflite
from intaglio.runtimes.litert.format.layout import to_file
from intaglio.runtimes.litert.interpreter.runtime import open_interpreter, run_file
from intaglio.runtimes.litert.lower.lower import lower
from intaglio.targets.target import Target
from runtimes.litert.checked import check_file
from runtimes.litert.ops.harness import TARGETS, UNBOUNDED, Network
from runtimes.litert.ops.operands import CASES, settle, size

both_targets = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
both_ends = pytest.mark.parametrize("io", ["float", "int8", "uint8"])


def requantize_network(seed: int) -> Network:
    """Return a network whose input and output have grids of their own, any real as image."""
    network = Network(seed)
    shape = [size(network) for _ in range(network.choose(3, 3, 2, 1))]
    x = network.input(shape)
    step = float(network.grids[x].step)
    grid = per_tensor(network.scale(step * 0.5, step * 4), network.zero_point())
    network.add("clamp", [x], {"activation": UNBOUNDED}, grid=grid)
    # ties, values beyond the grid, and anything between
    steps = network.random.uniform(-300, 300, (2, *shape))
    steps = np.where(network.random.random(steps.shape) < 0.3, np.floor(steps) + 0.5, steps)
    network.values[x] = torch.from_numpy((steps * step).astype(np.float32))
    return network


@both_targets
@both_ends
def test_quantize_and_dequantize_give_the_bits_of_the_runtime(io: str, target: Target) -> None:
    for seed in range(CASES // 2):
        network = requantize_network(seed)
        settle(network, target)
        twin = build_twin(network.graph, network.encodings(), target)
        data = write_tflite(network.graph, network.encodings(), target, io=io)

        counts = check_file(data, twin, [network.images])

        assert counts.mismatches == 0, f"seed {seed}"
        assert counts.values_compared > 0
        outside = ["QUANTIZE"] * 2 if io == "uint8" else []
        assert target is LITERT_REFERENCE or (counts.partitions, counts.builtin) == (1, outside)


@both_targets
def test_a_file_takes_and_gives_what_io_says(target: Target) -> None:
    network = requantize_network(1)
    settle(network, target)
    for io, kind in (("float", np.float32), ("int8", np.int8), ("uint8", np.uint8)):
        data = write_tflite(network.graph, network.encodings(), target, io=io)

        interpreter = open_interpreter(data, target)

        details = interpreter.get_input_details() + interpreter.get_output_details()
        assert [detail["dtype"] for detail in details] == [kind, kind]


@pytest.mark.parametrize(
    ("target", "wanted"), [(LITERT, [-2, 0, 0, 2]), (LITERT_REFERENCE, [-2, -1, 1, 2])]
)
def test_ties_at_the_input_by_hand(target: Target, wanted: list[int]) -> None:
    grid = per_tensor(0.25, 7)
    images = torch.tensor([-1.5, -0.5, 0.5, 1.5]) * 0.25

    assert quantize_input(images, grid, target).tolist() == wanted


@both_targets
def test_values_far_beyond_the_grid_saturate(target: Target) -> None:
    network = requantize_network(1)
    settle(network, target)
    network.values["x"] = torch.full_like(network.images, 1e6).mul_(
        torch.randn(network.images.shape, generator=torch.Generator().manual_seed(0)).sign()
    )

    network.assert_same_bits(target)


class Classifier(nn.Module):
    """A layer, and a softmax over its classes."""

    def __init__(self, axis: int, *, pooled: bool) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 5, 3)
        self.axis, self.pooled = axis, pooled

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return (y.mean((2, 3)) if self.pooled else y).softmax(self.axis)


def twin_and_file(module: nn.Module, images: Tensor, target: Target, io: str) -> tuple[Twin, bytes]:
    """Return a module's twin and file."""
    graph = capture(module.eval(), images[:1])
    canonicalize(graph)
    lower(graph)
    plan = plan_of(graph, target, "w8a8")
    ranges = observe_ranges(graph, plan, [images], calibrator=MinMax)
    encodings = choose_encodings(graph, plan, ranges, target)
    return build_twin(graph, encodings, target), write_tflite(graph, encodings, target, io=io)


@both_targets
@both_ends
@pytest.mark.parametrize("pooled", [True, False])
def test_a_softmax_at_the_end_stays_float_behind_exact_integers(
    pooled: bool, io: str, target: Target
) -> None:
    torch.manual_seed(0)
    images = torch.randn(4, 3, 8, 7)
    twin, data = twin_and_file(Classifier(1, pooled=pooled), images, target, io)

    counts = check_file(data, twin, [images])
    interpreter = open_interpreter(data, target)

    assert counts.mismatches == 0
    assert counts.values_compared > 0
    assert target is LITERT_REFERENCE or counts.partitions == 1
    if io == "float":
        found = run_file(interpreter, to_file(images[:1]))[0]
        np.testing.assert_allclose(found, to_file(twin(images[:1])), rtol=1e-5)
        assert math.isclose(float(found.sum()), found.size / 5, rel_tol=1e-5)


@both_targets
@pytest.mark.parametrize("axis", [2, 3])
def test_a_softmax_over_an_image_axis_is_turned_to_the_last(axis: int, target: Target) -> None:
    torch.manual_seed(0)
    images = torch.randn(4, 3, 8, 7)
    twin, data = twin_and_file(Classifier(axis, pooled=False), images, target, "float")

    found = run_file(open_interpreter(data, target), to_file(images[:1]))[0]

    np.testing.assert_allclose(found, to_file(twin(images[:1])), rtol=1e-5)


@both_targets
@both_ends
def test_several_outputs_keep_their_order(io: str, target: Target) -> None:
    network = Network(2)
    x = network.input((4, 5, 6))
    first = network.add("clamp", [x], {"activation": UNBOUNDED})
    network.add("mean", [first], {"axes": (2, 3), "keepdim": True})
    network.add("add", [first, first], {"activation": None})
    network.graph.outputs.reverse()
    settle(network, target)
    twin = build_twin(network.graph, network.encodings(), target)
    data = write_tflite(network.graph, network.encodings(), target, io=io)

    assert check_file(data, twin, [network.images]).mismatches == 0
    outputs = twin(network.images)
    assert [output.shape[1:] for output in outputs] == [(4, 5, 6), (4, 1, 1), (4, 5, 6)]
