"""Which values stay float32: what is asked for, and what means nothing without it."""

from __future__ import annotations

import pytest
import torch

from architectures.sketch import Sketch
from calibrate.planned import planned
from intaglio.calibrate.float_islands import (
    ASKED,
    BETWEEN,
    ENTRY,
    READ,
    SUM,
    TAIL,
    float_islands,
)
from intaglio.calibrate.plan import observed_values
from intaglio.errors import RequestError, UnknownName
from intaglio.ir.graph import Graph
from intaglio.ir.text import text
from intaglio.runtimes import LITERT


def chain() -> Sketch:
    """Return three convolutions in a row: layer.a, layer.b, layer.c."""
    sketch = Sketch(3, 8, 8)
    sketch.conv("a", "x", 4)
    sketch.conv("b", "a", 4)
    sketch.conv("c", "b", 4)
    return sketch


def named(**sources: str) -> Graph:
    """Return the chain with other names in the user's module."""
    graph = chain().done()
    for name, source in sources.items():
        graph[name].source = source
    return graph


@pytest.mark.parametrize("name", ["layer.b", "b"])
def test_a_layer_is_called_as_the_module_or_as_the_graph_calls_it(name):
    graph = chain().done()

    graph, plan = planned(graph, LITERT, "w8a8", keep_float=[name])

    assert plan.kept_float == {"b": ASKED}
    assert set(plan.weights) == {"a", "c"}
    assert set(plan.activations) == {"x", "a", "b.quantize", "c"}
    assert "b.quantize" in observed_values(graph, plan)


def test_a_block_means_all_layers_in_it_and_nothing_beside():
    graph = named(a="block.1", b="block.1.add", c="block.10")

    assert float_islands(graph, ["block.1"]) == {"x": ENTRY, "a": ASKED, "b": ASKED}


def test_nothing_is_kept_where_nothing_is_asked_for():
    graph = chain().done()
    before = text(graph)

    assert float_islands(graph) == {}

    assert text(graph) == before


@pytest.mark.parametrize(
    ("name", "offered"), [("layer.bb", "layer.b"), ("layers.c", "layer.c"), ("", "layer.a|a or b")]
)
def test_an_unknown_layer_is_refused_with_the_nearest_names(name, offered):
    with pytest.raises(UnknownName, match=f"keep_float: unknown layer '{name}'.*({offered})"):
        float_islands(chain().done(), [name])


def test_inputs_and_constants_are_no_layers():
    graph = chain().done()

    with pytest.raises(UnknownName, match="unknown layer 'x'"):
        float_islands(graph, ["x"])


def test_the_first_layer_reads_the_image_itself():
    graph = chain().done()

    assert float_islands(graph, ["a"]) == {"x": ENTRY, "a": ASKED}
    assert [node.name for node in graph] == ["x", "a", "a.quantize", "b", "c"]


def test_an_image_that_integer_layers_read_too_is_quantized_for_them():
    sketch = Sketch(3, 8, 8)
    sketch.conv("a", "x", 4)
    sketch.conv("b", "x", 4)
    graph = sketch.done("a", "b")

    assert set(float_islands(graph, ["a"])) == {"x", "a"}

    assert graph["a"].inputs == ["x"]
    assert graph["b"].inputs == ["x.quantize"]


def test_a_constant_of_a_layer_in_float_is_float():
    sketch = Sketch(3, 8, 8)
    sketch.conv("a", "x", 3)
    sketch.constant("three", torch.full((1, 1, 1, 1), 3.0))
    sketch.add("sum", "add", "a", "three")
    sketch.conv("b", "sum", 3)
    graph = sketch.done()

    assert float_islands(graph, ["sum"]) == {"three": READ, "sum": ASKED}


def moved(*kept: str) -> dict[str, str]:
    """Return what is kept of: a -> pool -> flat -> fc, and a -> joined with x -> b."""
    sketch = Sketch(3, 8, 8)
    sketch.conv("a", "x", 3, 1)
    sketch.add("pool", "max_pool2d", "a", kernel=(2, 2))
    sketch.add("flat", "reshape", "pool", shape=(-1, 147))
    sketch.weighted("fc", "linear", "flat", {"weight": sketch.random(4, 147)})
    sketch.add("joined", "concat", "a", "x", axis=1)
    sketch.conv("b", "joined", 3)
    return float_islands(sketch.done("fc", "b"), kept)


def test_what_only_moves_values_between_layers_in_float_stays_float():
    assert moved("a", "fc") == {
        "x": ENTRY,
        "a": ASKED,
        "pool": BETWEEN,
        "flat": BETWEEN,
        "fc": ASKED,
    }


def test_what_moves_values_to_or_from_integers_is_integer():
    assert set(moved("a")) == {"x", "a"}
    assert set(moved("fc")) == {"fc"}
    assert set(moved("a", "b")) == {"x", "a", "b"}  # joined with the input, which is no layer


def test_what_moves_an_output_in_float_stays_float():
    sketch = chain()
    sketch.add("flat", "reshape", "c", shape=(-1, 16))

    assert float_islands(sketch.done(), ["c"]) == {"c": ASKED, "flat": BETWEEN}


def test_a_concatenation_of_a_float_and_an_integer_value_shares_one_grid():
    sketch = Sketch(3, 8, 8)
    sketch.conv("a", "x", 3)
    sketch.conv("b", "x", 3)
    sketch.add("joined", "concat", "a", "b", axis=1)
    graph = sketch.done()

    graph, plan = planned(graph, LITERT, "w8a8", keep_float=["a"])

    assert [set(group) for group in plan.groups if len(group) > 1] == [
        {"a.quantize", "b", "joined"}
    ]


def test_a_second_plan_of_the_same_graph_is_the_same():
    graph = named(a="same", c="same")

    graph, first = planned(graph, LITERT, "w8a8", keep_float=["same"])
    before = text(graph)
    graph, second = planned(graph, LITERT, "w8a8", keep_float=["same"])

    assert second == first
    assert text(graph) == before


def test_a_softmax_at_the_end_reads_a_layer_in_float_directly():
    sketch = Sketch(3, 8, 8)
    sketch.conv("a", "x", 4)
    sketch.add("flat", "reshape", "a", shape=(-1, 144))
    sketch.weighted("fc", "linear", "flat", {"weight": sketch.random(4, 144)})
    sketch.add("scores", "softmax", "fc", axis=1)
    graph = sketch.done()

    assert float_islands(graph, ["fc"]) == {"fc": ASKED, "scores": TAIL}
    assert graph["scores"].inputs == ["fc"]


def test_keeping_every_layer_with_weights_is_refused():
    with pytest.raises(RequestError, match=r"keep_float names all 3 layers with weights.*scheme"):
        float_islands(chain().done(), ["layer"])


def test_a_layer_that_is_to_have_some_bits_and_to_be_float_is_refused():
    graph = chain().done()

    with pytest.raises(RequestError, match="keep_float and weight_bits both name layer 'b'"):
        planned(graph, LITERT, "w8a8", keep_float=["b"], weight_bits={"b": 4})


def distributions(*, channels: int = 1, behind: str = "") -> Graph:
    """Return a softmax over channels, moved to a 1x1 convolution; and what is computed from it."""
    sketch = Sketch(3, 8, 8)
    sketch.conv("bins", "x", 4)
    sketch.add("shares", "softmax", "bins", axis=1)
    sketch.add("turned", "reshape", "shares", shape=(-1, 4, 36, 1))
    sketch.conv("mean", "turned", channels, 1)
    if behind == "conv2d":
        sketch.conv("end", "mean", 2, 1)
    elif behind:
        sketch.add("end", behind, "mean", "mean")
    return sketch.done()


def test_a_softmax_and_its_weighted_sum_stay_float_where_only_outputs_are_computed():
    kept = {"shares": TAIL, "turned": BETWEEN, "mean": SUM}

    assert float_islands(distributions()) == kept
    assert float_islands(distributions(behind="add")) == kept


@pytest.mark.parametrize("graph", [distributions(channels=2), distributions(behind="conv2d")])
def test_a_softmax_in_the_middle_or_with_a_layer_behind_it_does_not(graph):
    assert float_islands(graph) == {}


def test_a_softmax_that_something_else_reads_does_not_stay_float_with_its_sum():
    graph = distributions()
    graph.outputs.append("turned")

    assert float_islands(graph) == {}


def test_keeping_all_layers_but_a_weighted_sum_that_stays_float_is_refused():
    with pytest.raises(RequestError, match="would have none to quantize"):
        float_islands(distributions(), ["bins"])
