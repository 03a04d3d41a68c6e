"""Files that end in classes of pixels: the runtime chooses what `maps` chooses, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import RequestError
from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.maps.class_map import own_classes
from intaglio.maps.limit import score_limit
from intaglio.maps.postprocess import MapPostProcess
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.spec import QuantParams, per_tensor
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.file.map_end import (
    GIVEN,
    integer_limit,
    map_end,
    map_misfit,
)
from intaglio.runtimes.litert.file.write import write_tflite
from intaglio.runtimes.litert.format.layout import Array
from intaglio.runtimes.litert.format.verify import verify
from intaglio.runtimes.litert.interpreter.runtime import not_delegated, open_interpreter, run_file
from intaglio.targets.target import Target
from runtimes.litert.ops.harness import TARGETS, cases

both_targets = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
Shape = tuple[int, ...]
GRID = per_tensor(0.1, 3)
SCALES = st.floats(2.0**-100, 2.0**100, width=32)
ZEROS = st.integers(-128, 127)


def end_file(
    post: MapPostProcess,
    shapes: Sequence[Shape],
    *,
    grid: QuantParams | None = GRID,
    io: str = "int8",
    target: Target = LITERT,
) -> bytes:
    """Return a file whose inputs [1, ...] are a network's outputs; float32 without a grid."""
    names = [f"given{number}" for number in range(len(shapes))]
    graph = Graph(inputs=names, outputs=list(names))
    for name, shape in zip(names, shapes, strict=True):
        graph.add(Node(name, "input", shape=(BATCH, *shape[1:])))
    encodings = Encodings({} if grid is None else dict.fromkeys(names, grid), {})
    return write_tflite(graph, encodings, target, io=io, end=map_end(post, graph))


def ended(content: bytes, scores: Array, target: Target = LITERT) -> Array:
    """Return what the file gives for the scores [1, h, w, C] of its only input."""
    (given,) = run_file(open_interpreter(content, target), scores)
    return np.asarray(given)


def slowly(scores: Array) -> Array:
    """Return the first highest of each pixel's scores [1, h, w, C], one comparison at a time."""
    _, height, width, channels = scores.shape
    found = np.zeros((1, height, width), np.uint8)
    for row in range(height):
        for column in range(width):
            best = 0
            for channel in range(1, channels):
                if scores[0, row, column, channel] > scores[0, row, column, best]:
                    best = channel
            found[0, row, column] = best
    return found


def reals(integers: Array, grid: QuantParams) -> Array:
    """Return what DEQUANTIZE makes of integers."""
    scale = np.float32(grid.scale.item())
    return np.asarray((integers.astype(int) - grid.zero).astype(np.float32) * scale)


@both_targets
@settings(max_examples=cases(60), deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 40)),
    values=st.sampled_from([1, 2, 3, 256]),
    seed=st.integers(0, 10**9),
)
def test_the_file_gives_the_first_highest_integer_however_many_are_equal(
    target: Target, sizes: tuple[int, int, int], values: int, seed: int
) -> None:
    height, width, classes = sizes
    draw = np.random.default_rng(seed)
    lowest = int(draw.integers(-128, 128 - values + 1))
    scores = draw.integers(lowest, lowest + values, (1, height, width, classes)).astype(np.int8)
    post = MapPostProcess(classes)

    found = ended(end_file(post, [(1, classes, height, width)], target=target), scores, target)

    assert (found.dtype, found.shape) == (np.uint8, (1, height, width))
    assert np.array_equal(found, slowly(scores))
    assert np.array_equal(found[0], own_classes(post, reals(scores[0], GRID).transpose(2, 0, 1)))


@both_targets
@pytest.mark.parametrize("value", [-128, -1, 0, 127])
def test_where_all_scores_are_equal_it_is_class_0(value: int, target: Target) -> None:
    for classes in (1, 2, 15, 16, 17, 33, 255):  # kernels may go through 16 at a time
        scores = np.full((1, 3, 5, classes), value, np.int8)
        content = end_file(MapPostProcess(classes), [(1, classes, 3, 5)], target=target)

        assert not ended(content, scores, target).any()


@both_targets
def test_every_one_of_255_classes_can_be_given(target: Target) -> None:
    scores = np.full((1, 1, 255, 255), -7, np.int8)
    scores[0, 0, np.arange(255), np.arange(255)] = -6
    content = end_file(MapPostProcess(255), [(1, 255, 1, 255)], target=target)

    assert ended(content, scores, target)[0, 0].tolist() == list(range(255))


@both_targets
@settings(max_examples=cases(40), deadline=None)
@given(values=st.sampled_from([1, 2, 5, 1000]), classes=st.integers(1, 40), seed=st.integers(0, 99))
def test_scores_in_float_give_the_first_highest_too(
    target: Target, values: int, classes: int, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    scores = (draw.integers(-values, values, (1, 4, 3, classes)) / 7).astype(np.float32)
    content = end_file(MapPostProcess(classes), [(1, classes, 4, 3)], grid=None, target=target)

    assert np.array_equal(ended(content, scores, target), slowly(scores))


@both_targets
@pytest.mark.parametrize("io", ["float", "int8", "uint8"])
def test_whatever_the_file_takes_it_compares_integers_and_gives_bytes(
    io: str, target: Target
) -> None:
    scores = np.random.default_rng(0).integers(-128, 128, (1, 6, 5, 21)).astype(np.int8)
    given = {
        "int8": scores,
        "uint8": (scores.astype(int) + 128).astype(np.uint8),
        "float": reals(scores, GRID),
    }[io]
    content = end_file(MapPostProcess(21), [(1, 21, 6, 5)], io=io, target=target)

    interpreter = open_interpreter(content, target)

    assert np.array_equal(run_file(interpreter, given)[0], slowly(scores))
    (detail,) = interpreter.get_output_details()
    assert (detail["name"], detail["dtype"]) == (GIVEN, np.uint8)
    assert "DEQUANTIZE" not in not_delegated(interpreter)


@both_targets
@settings(max_examples=cases(60), deadline=None)
@given(
    scale=SCALES,
    zero=ZEROS,
    threshold=st.floats(0, 1),
    scores=st.sampled_from(["logits", "probabilities"]),
)
def test_a_threshold_parts_all_256_integers_of_any_grid_where_it_parts_their_reals(
    target: Target, scale: float, zero: int, threshold: float, scores: str
) -> None:
    grid = per_tensor(scale, zero)
    post = MapPostProcess(2, rule="threshold", scores=scores, threshold=threshold)
    every = np.arange(-128, 128).astype(np.int8).reshape(1, 16, 16, 1)

    found = ended(end_file(post, [(1, 1, 16, 16)], grid=grid, target=target), every, target)

    assert (found.dtype, found.shape) == (np.uint8, (1, 16, 16))
    assert np.array_equal(found[0], own_classes(post, reals(every[0, ..., 0], grid)[None]))


@both_targets
@pytest.mark.parametrize("threshold", [0.0, 0.25, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("scores", ["logits", "probabilities"])
def test_a_score_in_float_at_the_limit_is_class_0_and_the_next_number_class_1(
    scores: str, threshold: float, target: Target
) -> None:
    post = MapPostProcess(2, rule="threshold", scores=scores, threshold=threshold)
    limit = score_limit(post)
    beside = [np.nextafter(limit, np.float32(way)) for way in (-np.inf, np.inf)]
    values = np.asarray([beside[0], limit, beside[1], -5, 5], np.float32).reshape(1, 1, 5, 1)
    content = end_file(post, [(1, 1, 1, 5)], grid=None, target=target)

    found = ended(content, values, target)

    assert found[0, 0].tolist() == (values[0, 0, :, 0] > limit).astype(int).tolist()
    assert found[0, 0, :2].tolist() == [0, 0]
    assert found[0, 0, 2] == (1 if np.isfinite(beside[1]) else 0)


def test_the_integer_limit_lies_within_the_grid_or_one_below_it() -> None:
    grid = per_tensor(0.5, 10)  # reals from -69 to 58.5

    assert integer_limit(grid, np.float32(0.0)) == 10
    assert integer_limit(grid, np.float32(0.49)) == 10
    assert integer_limit(grid, np.float32(0.5)) == 11
    assert integer_limit(grid, np.float32(np.inf)) == 127
    assert integer_limit(grid, np.float32(-np.inf)) == -129


def test_of_several_outputs_the_one_that_is_meant_is_read() -> None:
    shapes = [(1, 3, 2, 2), (1, 4, 3, 5)]
    scores = [np.random.default_rng(1).integers(-9, 9, (1, h, w, c)).astype(np.int8)
              for _, c, h, w in shapes]  # fmt: skip
    for output, (_, classes, _, _) in enumerate(shapes):
        content = end_file(MapPostProcess(classes, output=output), shapes)
        interpreter = open_interpreter(content, LITERT)
        places = {one["name"]: one["index"] for one in interpreter.get_input_details()}
        for number, values in enumerate(scores):
            interpreter.set_tensor(places[f"given{number}"], values)
        interpreter.invoke()

        (detail,) = interpreter.get_output_details()
        assert np.array_equal(interpreter.get_tensor(detail["index"]), slowly(scores[output]))


REFUSED = [
    (MapPostProcess(3, rule="index"), [(1, 4, 4)], "is the class of each pixel already"),
    (MapPostProcess(3, output=1), [(1, 3, 4, 4)], "output 1 is read, and the network has 1"),
    (MapPostProcess(3), [(1, 4, 4, 4)], r"is \[4, 4, 4\] .* does not hold 3 scores"),
    (MapPostProcess(3), [(1, 3)], r"is \[3\] .* does not hold 3 scores of each pixel"),
    (
        MapPostProcess(2, rule="threshold"),
        [(1, 2, 4, 4)],
        r"is \[2, 4, 4\] .* does not hold 1 score of",
    ),
]


@pytest.mark.parametrize(("post", "shapes", "why"), REFUSED)
def test_outputs_that_are_not_what_is_read_are_refused_by_name(
    post: MapPostProcess, shapes: list[Shape], why: str
) -> None:
    with pytest.raises(RequestError, match=f"cannot end in classes of pixels: .*{why}"):
        end_file(post, shapes)
    assert map_misfit(post, shapes) is not None


def test_what_is_read_is_not_refused() -> None:
    assert map_misfit(MapPostProcess(3), [(1, 3, 4, 4)]) is None
    assert map_misfit(MapPostProcess(2, rule="threshold"), [(7, 1, 4, 4)]) is None


@pytest.mark.parametrize("rule", ["highest", "threshold"])
@pytest.mark.parametrize("grid", [GRID, None])
def test_the_file_is_sound_and_the_same_each_time(rule: str, grid: QuantParams | None) -> None:
    post = MapPostProcess(2, rule=rule)
    shapes = [(1, post.channels, 8, 8)]
    content = end_file(post, shapes, grid=grid)

    verify(content, "model.tflite")
    assert content == end_file(post, shapes, grid=grid)


def test_names_are_the_networks_else_the_labels_where_they_are_as_many() -> None:
    graph = Graph(inputs=["x"], outputs=["x"])
    graph.add(Node("x", "input", shape=(BATCH, 2, 4, 4)))
    plain = MapPostProcess(2)
    named = replace(plain, names=("sky", "road"))

    assert map_end(named, graph, ("a", "b")).names == ("sky", "road")
    assert map_end(plain, graph, ("a", "b")).names == ("a", "b")
    assert map_end(plain, graph, ("a", "b", "c")).names == ()


def operators_of(content: bytes) -> list[tuple[int, list[int]]]:
    """Return of each operator its number in the schema, and the shape of what it makes."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    graph = model.subgraphs[0]
    codes = [max(one.builtinCode, one.deprecatedBuiltinCode) for one in model.operatorCodes]
    return [
        (codes[one.opcodeIndex], [int(size) for size in graph.tensors[one.outputs[0]].shape])
        for one in graph.operators
    ]


def test_corals_own_segmenter_ends_in_the_same_operator_in_the_same_shape(data_pack: Path) -> None:
    published = data_pack / "tflite" / "deeplabv3_mnv2_dm05_513_qat_uint8.tflite"
    own = operators_of(end_file(MapPostProcess(21), [(1, 21, 513, 513)]))

    last = operators_of(published.read_bytes())[-1]

    assert last == (schema.BuiltinOperator.ARG_MAX, [1, 513, 513])
    assert last in own
