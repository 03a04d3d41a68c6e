"""Borders of float islands: one node a value, on the way to integer readers alone."""

from __future__ import annotations

import torch

from architectures.sketch import Sketch
from intaglio.ir.graph import Graph
from intaglio.ir.text import text
from intaglio.passes.insert_quantize import insert_quantize, separate_constants
from intaglio.run.float import run_float

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def three_convolutions() -> Graph:
    """Return a, and b and c that both read it."""
    sketch = Sketch(3, 8, 8)
    sketch.conv("a", "x", 4)
    sketch.conv("b", "a", 4)
    sketch.conv("c", "a", 4)
    return sketch.done("a", "b", "c")


def test_one_node_serves_all_integer_readers_and_the_function_stays_the_same():
    graph = three_convolutions()
    before = run_float(graph, IMAGES)

    assert insert_quantize(graph, {"a"}) == 1

    assert list(graph.nodes) == ["x", "a", "a.quantize", "b", "c"]
    assert graph["b"].inputs == graph["c"].inputs == ["a.quantize"]
    assert graph.outputs == ["a", "b", "c"]  # an output stays float
    after = run_float(graph, IMAGES)
    assert all(torch.equal(one, other) for one, other in zip(after, before, strict=True))


def test_layers_in_float_read_one_another_directly():
    graph = three_convolutions()

    assert insert_quantize(graph, {"a", "b"}) == 1

    assert graph["b"].inputs == ["a"]
    assert graph["c"].inputs == ["a.quantize"]


def test_nothing_is_inserted_where_no_integer_layer_reads_a_float_one():
    graph = three_convolutions()
    before = text(graph)

    assert insert_quantize(graph, {"b"}) == 0
    assert insert_quantize(graph, set()) == 0

    assert text(graph) == before


def test_a_second_run_finds_nothing():
    graph = three_convolutions()
    insert_quantize(graph, {"a"})
    before = text(graph)

    assert insert_quantize(graph, {"a"}) == 0

    assert text(graph) == before


def test_a_value_that_is_read_twice_is_replaced_twice():
    sketch = Sketch(3, 8, 8)
    sketch.conv("a", "x", 3)
    sketch.add("square", "mul", "a", "a")
    graph = sketch.done()

    insert_quantize(graph, {"a"})

    assert graph["square"].inputs == ["a.quantize", "a.quantize"]


def shared_constant() -> Graph:
    sketch = Sketch(3, 8, 8)
    sketch.constant("three", torch.full((1, 1, 1, 1), 3.0))
    sketch.add("more", "add", "x", "three")
    sketch.add("less", "sub", "x", "three")
    return sketch.done("more", "less")


def test_a_constant_that_both_sides_read_is_copied_for_the_float_side():
    graph = shared_constant()

    assert separate_constants(graph, {"more"}) == 1

    assert graph["more"].inputs == ["x", "three.float"]
    assert graph["less"].inputs == ["x", "three"]
    assert torch.equal(graph.param(graph["three.float"], "value"), torch.full((1, 1, 1, 1), 3.0))
    assert separate_constants(graph, {"more"}) == 0


def test_a_constant_that_one_side_alone_reads_is_not_copied():
    graph = shared_constant()

    assert separate_constants(graph, {"more", "less"}) == 0
    assert separate_constants(graph, set()) == 0
