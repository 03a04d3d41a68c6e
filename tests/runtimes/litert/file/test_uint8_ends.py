"""uint8 in and out: what the runtime makes of every integer, the ends written, and their check."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from architectures.sketch import Sketch
from calibrate.planned import plan_of, planned
from intaglio.calibrate import CALIBRATORS, choose_encodings, observe_ranges
from intaglio.calibrate.minmax import MinMax
from intaglio.errors import UnsupportedByTarget
from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.spec import QuantParams, per_tensor
from intaglio.passes.canonicalize import canonicalize
from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.file.write import write_tflite
from intaglio.runtimes.litert.format.layout import Array, to_file
from intaglio.runtimes.litert.format.verify import verify
from intaglio.runtimes.litert.interpreter.exposed import expose_tensors
from intaglio.runtimes.litert.interpreter.runtime import open_interpreter, run_file
from intaglio.targets.target import Target
from runtimes.litert.checked import check_file
from runtimes.litert.file.test_float_borders import IMAGES, chain, operators
from runtimes.litert.file.test_float_borders import encoded as bordered
from runtimes.litert.ops.harness import TARGETS, cases
from runtimes.litert.scales.test_settled import SHAPE, network

both_targets = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
SMALLEST = float(np.finfo(np.float32).tiny)
LARGEST = float(2.0**120)
SCALES = (SMALLEST, 1 / 255, 1 / 127.5, 0.1, float(np.nextafter(np.float32(1), 2)), 3.7, LARGEST)
STEPS = st.floats(SMALLEST, LARGEST, width=32)


def through(grid: QuantParams, count: int, target: Target) -> tuple[Array, Array, Array]:
    """Return all bytes, and what a file without a layer makes of them: int8 inside, uint8 out.

    `count` of them at a time; kernels go through 16 and more together, and the rest one by one.
    """
    graph = Graph(inputs=["x"], outputs=["x"])
    graph.add(Node("x", "input", shape=(BATCH, count)))
    data = write_tflite(graph, Encodings({"x": grid}, {}), target, io="uint8")
    interpreter = open_interpreter(expose_tensors(data), target)
    every = np.arange(256, dtype=np.uint8)
    given = [np.resize(np.roll(every, -start), (1, count)) for start in range(0, 256, count)]
    made = [run_file(interpreter, part) for part in given]
    out, inside = ([parts[number] for parts in made] for number in (0, 1))
    return np.concatenate(given, 1), np.concatenate(inside, 1), np.concatenate(out, 1)


def assert_exact(grid: QuantParams, count: int, target: Target) -> None:
    given, inside, out = through(grid, count, target)

    assert set(given.flat) == set(range(256))
    assert (inside.dtype, out.dtype) == (np.int8, np.uint8)
    assert (inside.astype(int) == given.astype(int) - 128).all()
    assert (out == given).all()


@both_targets
@pytest.mark.parametrize("scale", SCALES)
def test_every_integer_is_moved_by_128_and_back(scale: float, target: Target) -> None:
    for zero in (-128, -1, 0, 127):
        for count in (1, 37, 256, 259):
            assert_exact(per_tensor(scale, zero), count, target)


@both_targets
@settings(max_examples=cases(60), deadline=None)
@given(scale=STEPS, zero=st.integers(-128, 127), count=st.integers(1, 300))
def test_every_integer_is_moved_on_any_grid(
    target: Target, scale: float, zero: int, count: int
) -> None:
    assert_exact(per_tensor(scale, zero), count, target)


@both_targets
@settings(max_examples=cases(60), deadline=None)
@given(seed=st.integers(0, 10**9))
def test_a_file_gives_the_twins_integers_and_128(target: Target, seed: int) -> None:
    graph = network(random.Random(seed))
    images = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(seed))
    canonicalize(graph)
    graph = target.lower(graph).graph
    plan = plan_of(graph, target, "w8a8")
    ranges = observe_ranges(graph, plan, [images], calibrator=MinMax)
    try:
        encodings = choose_encodings(graph, plan, ranges, target)
        twin = build_twin(graph, encodings, target)
    except UnsupportedByTarget:  # ranges too far apart, or next to nothing: one in hundreds
        assume(False)
    data = write_tflite(graph, encodings, target, io="uint8")
    verify(data, "the written file")
    interpreter = open_interpreter(data, target)

    for image in images.split(1):
        pixels = to_file(twin.raw("x", twin.given(image)) + 128).astype(np.uint8)
        found = run_file(interpreter, pixels)
        for value, integers in zip(found, twin.integers(image), strict=True):
            assert value.dtype == np.uint8
            assert (value == to_file(integers) + 128).all()
    counts = check_file(data, twin, [images])
    assert (counts.mismatches, counts.images) == (0, 2)
    assert target is not LITERT or counts.partitions == 1
    assert counts.shifts == 1 + len(set(graph.outputs))


def encoded(graph: Graph, target: Target) -> tuple[Graph, Encodings]:
    graph, plan = planned(graph, target, "w8a8")
    ranges = observe_ranges(graph, plan, [IMAGES], calibrator=CALIBRATORS["minmax"])
    return graph, choose_encodings(graph, plan, ranges, target)


def test_the_ends_have_the_grids_of_the_values_128_higher() -> None:
    graph, encodings = encoded(chain(), LITERT)

    interpreter = open_interpreter(write_tflite(graph, encodings, LITERT, io="uint8"), LITERT)

    names = [*graph.inputs, *graph.outputs]
    ends = interpreter.get_input_details() + interpreter.get_output_details()
    for name, end in zip(names, ends, strict=True):
        grid = encodings.activations[name]
        assert end["dtype"] == np.uint8
        assert end["quantization"] == (float(grid.step), grid.zero + 128)


def test_a_quantize_stands_at_each_end_and_none_inside() -> None:
    graph, encodings = encoded(chain(), LITERT)

    written = operators(write_tflite(graph, encodings, LITERT, io="uint8"))

    assert written == [
        ("QUANTIZE", ["x.uint8"], "x"),
        ("CONV_2D", ["x"], "a"),
        ("CONV_2D", ["a"], "b"),
        ("DEPTHWISE_CONV_2D", ["b"], "c"),
        ("CONV_2D", ["c"], "d"),
        ("CONV_2D", ["b"], "e"),
        ("QUANTIZE", ["d"], "d.uint8"),
        ("QUANTIZE", ["e"], "e.uint8"),
    ]


@both_targets
def test_the_delegate_runs_all_but_the_ends_and_that_is_no_warning(target: Target) -> None:
    graph, encodings = encoded(chain(), target)
    data = write_tflite(graph, encodings, target, io="uint8")

    counts = check_file(data, build_twin(graph, encodings, target), [IMAGES])

    assert (counts.mismatches, counts.shifts, counts.remarks) == (0, 3, [])
    if target is LITERT:
        assert (counts.partitions, counts.builtin) == (1, ["QUANTIZE"] * 3)


def test_other_ops_outside_the_delegate_are_counted_without_the_ends() -> None:
    sketch = Sketch(3, 8, 8)
    sketch.conv("a", "x", 4, 1)
    sketch.add("gaps", "max_pool2d", "a", kernel=(2, 2), stride=(3, 3))
    sketch.conv("b", "gaps", 4, 1)
    graph, encodings = encoded(sketch.done(), LITERT)
    data = write_tflite(graph, encodings, LITERT, io="uint8")

    counts = check_file(data, build_twin(graph, encodings, LITERT), [IMAGES])

    assert counts.builtin == ["QUANTIZE", "MAX_POOL_2D", "QUANTIZE"]
    (told,) = counts.remarks
    assert told.startswith("1 ops (MAX_POOL_2D) run outside the delegate, in 2 partitions")


@both_targets
def test_an_output_that_is_given_twice_is_made_once(target: Target) -> None:
    graph, encodings = encoded(chain(), target)
    graph.outputs = ["d", "e", "d"]
    data = write_tflite(graph, encodings, target, io="uint8")

    counts = check_file(data, build_twin(graph, encodings, target), [IMAGES])

    assert [made for _, _, made in operators(data)].count("d.uint8") == 1
    assert (counts.mismatches, counts.shifts) == (0, 3)


@both_targets
@pytest.mark.parametrize(
    ("kept", "kinds"),
    [
        ("a", ("float32", "uint8", "uint8")),
        ("d", ("uint8", "float32", "uint8")),
        ("c", ("uint8", "uint8", "uint8")),
    ],
)
def test_ends_in_float_stay_float32(kept: str, kinds: tuple[str, ...], target: Target) -> None:
    graph, encodings = bordered(kept)
    data = write_tflite(graph, encodings, target, io="uint8")
    interpreter = open_interpreter(data, target)

    counts = check_file(data, build_twin(graph, encodings, target), [IMAGES])

    ends = interpreter.get_input_details() + interpreter.get_output_details()
    assert tuple(np.dtype(end["dtype"]).name for end in ends) == kinds
    assert counts.mismatches == 0
    assert counts.values_compared > 0
    assert counts.shifts == kinds.count("uint8")


@both_targets
def test_an_output_on_another_grid_is_found(target: Target) -> None:
    graph, encodings = encoded(chain(), target)
    data = write_tflite(graph, encodings, target, io="uint8")
    grid = encodings.activations["e"]
    moved = replace(grid, zero_point=grid.zero_point - 1 if grid.zero > 0 else grid.zero_point + 1)
    other = replace(encodings, activations={**encodings.activations, "e": moved})

    counts = check_file(data, build_twin(graph, other, target), [IMAGES])

    assert list(counts.worst) == ["e"]
