"""Values at some nodes from values at others: as the whole network makes them, and no node more."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Collection

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from architectures import captured, images
from architectures.sketch import Sketch
from intaglio.errors import GraphError
from intaglio.ir.graph import Graph
from intaglio.run.float import run_float, run_node
from intaglio.run.partial import (
    Route,
    behind,
    last_readers,
    nodes_between,
    run_partial,
    run_whole,
)

NAMES = [
    "resnet",
    "densenet",
    "shufflenet_v2",
    "mobilenet_manual",
    "unet",
    "yolo_like",
    "mobilevit",
    "in_place",
    "returns_dict",
    "constant_buffer",
    "views",
]
"""Chains, branches that are joined late or early, several outputs, constants, and views."""


@functools.cache
def values_of(name: str) -> dict[str, Tensor]:
    """Return every value of the architecture for two images."""
    found: dict[str, Tensor] = {}
    network = captured(name)
    pictures = images(network.input_shape, 2)
    run_float(network.source, pictures, tap=lambda node, value: found.update({node.name: value}))
    return found


def choose(data: st.DataObject, graph: Graph, what: str) -> list[str]:
    """Return some of the graph's values, a few or most of them, the inputs with them or not."""
    names = list(graph.nodes)
    often = data.draw(st.floats(0.02, 0.9), label=f"how often a value is {what}")
    random = data.draw(st.randoms(use_true_random=False), label=what)
    return [name for name in names if random.random() < often]


def ancestors(graph: Graph, known: Collection[str], wanted: Collection[str]) -> set[str]:
    """Return the wanted values that are not known, what those read that is not, and so on."""
    found: set[str] = set()
    open_names = list(wanted)
    while open_names:
        name = open_names.pop()
        if name not in known and name not in found:
            found.add(name)
            open_names += graph[name].inputs
    return found


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_values_behind_a_random_cut_are_the_whole_network_s_to_the_bit(name, data):
    graph, values = captured(name).source, values_of(name)
    known = {other: values[other] for other in [*graph.inputs, *choose(data, graph, "given")]}
    wanted = choose(data, graph, "wanted")
    tapped: list[str] = []

    with torch.no_grad():
        found = run_partial(
            graph,
            known,
            wanted,
            functools.partial(run_node, graph),
            tap=lambda node, value: tapped.append(node.name),
        )

    assert list(found) == wanted
    for other, value in found.items():
        assert torch.equal(value, values[other]), other
        assert value.stride() == values[other].stride(), other
    between = ancestors(graph, known, wanted)
    assert tapped == [node.name for node in graph if node.name in between]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_what_the_given_values_cannot_make_is_refused_by_name(name, data):
    graph = captured(name).source
    known, wanted = (choose(data, graph, what) for what in ("given", "wanted"))
    unmade = [goal for goal in wanted if set(graph.inputs) & ancestors(graph, known, [goal])]

    if not unmade:
        assert {node.name for node in nodes_between(graph, known, wanted)} == ancestors(
            graph, known, wanted
        )
        return
    with pytest.raises(GraphError, match="cannot be made from the values given") as refused:
        nodes_between(graph, known, wanted)
    assert any(str(refused.value).startswith(f"'{goal}' ") for goal in unmade)
    assert f"needs the input '{graph.inputs[0]}'" in str(refused.value)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_only_values_that_are_still_read_or_wanted_are_alive(name, data):
    graph, values = captured(name).source, values_of(name)
    known = {other: values[other] for other in [*graph.inputs, *choose(data, graph, "given")]}
    wanted = choose(data, graph, "wanted")
    route = Route.between(graph, known, wanted)
    made: dict[str, weakref.ref[Tensor]] = {}

    def step(node, inputs):
        return run_node(graph, node, inputs).clone()  # its own: an op may hand back what it reads

    def tap(node, value):
        made[node.name] = weakref.ref(value)
        position = route.nodes.index(node)
        needed = {source for later in route.nodes[position:] for source in later.inputs}
        needed |= {node.name, *wanted}
        assert {other for other, ref in made.items() if ref() is not None} == needed & set(made)

    with torch.no_grad():
        route.run(known, step, tap)


@pytest.mark.parametrize("name", NAMES)
def test_behind_a_value_are_the_nodes_that_it_is_an_ancestor_of(name):
    graph = captured(name).source

    for node in graph:
        assert [other.name for other in behind(graph, node.name)] == [
            other.name
            for other in graph
            if other is not node and node.name in ancestors(graph, (), [other.name])
        ]


def diamond() -> Graph:
    """Return a graph whose value "a" two branches read, and with a node that nobody reads."""
    sketch = Sketch(4)
    sketch.add("a", "tanh", "x")
    sketch.add("left", "tanh", "a")
    sketch.add("unread", "tanh", "a")
    sketch.add("right", "mul", "a", "a")
    sketch.add("sum", "add", "left", "right")
    return sketch.done("sum", "a")


def test_a_route_is_prepared_once_and_run_many_times():
    graph = diamond()
    route = Route.between(graph, ["a"], ["sum", "a"])
    step = functools.partial(run_node, graph)

    for seed in range(3):
        a = torch.randn(2, 4, generator=torch.Generator().manual_seed(seed))
        found = route.run({"a": a}, step)

        assert found["a"] is a
        assert torch.equal(found["sum"], a.tanh() + a * a)


def test_the_whole_network_runs_every_node_in_order_and_taps_its_inputs():
    graph, tapped = diamond(), []
    x = torch.ones(1, 4)

    outputs = run_whole(
        graph,
        {"x": x},
        functools.partial(run_node, graph),
        lambda node, value: tapped.append(node.name),
    )

    assert tapped == ["x", "a", "left", "unread", "right", "sum"]
    assert torch.equal(outputs[1], x.tanh())


def test_an_output_that_is_read_again_is_handed_back():
    sketch = Sketch(4)
    sketch.add("a", "tanh", "x")
    sketch.add("b", "tanh", "a")
    graph = sketch.done("a", "b", "x")
    x = torch.ones(1, 4)

    a, b, same = run_whole(graph, {"x": x}, lambda node, inputs: inputs[0] * 2)

    assert (a[0, 0], b[0, 0], same[0, 0]) == (2, 4, 1)


def test_a_walk_hands_out_what_is_alive_whatever_a_value_is():
    graph, alive = diamond(), []

    for node, values in Route.through(list(graph), ["sum"]).walk(
        {"x": "x"}, lambda node, inputs: f"{node.op}({', '.join(inputs)})"
    ):
        alive.append(set(values))
        last = values[node.name]

    assert alive == [
        {"x"},
        {"x", "a"},
        {"a", "left"},
        {"a", "left", "unread"},
        {"a", "left", "right"},
        {"left", "right", "sum"},
    ]
    assert last == "add(tanh(tanh(x)), mul(tanh(x), tanh(x)))"


def test_the_last_reader_of_what_nobody_reads_is_its_maker_and_what_is_kept_has_none():
    assert last_readers(list(diamond()), ["sum"]) == {
        "x": "a",
        "a": "right",
        "left": "sum",
        "unread": "unread",
        "right": "sum",
        "sum": None,
    }


def test_values_that_are_missing_on_the_way_are_refused_by_name():
    graph = diamond()
    step = functools.partial(run_node, graph)

    with pytest.raises(GraphError, match="'x' is needed, and neither given nor made"):
        run_whole(graph, {}, step)
    with pytest.raises(GraphError, match="'right' is needed"):
        Route.through([graph["sum"]], ["sum"]).run({"left": torch.ones(1, 4)}, step)
    with pytest.raises(GraphError, match="'sum' is needed"):
        Route.through([], ["sum"]).run({}, step)


def test_a_wanted_value_that_does_not_exist_is_refused_by_name():
    with pytest.raises(GraphError, match="'more' cannot be made: no node before it makes 'more'"):
        nodes_between(diamond(), ["x"], ["sum", "more"])


def test_an_error_of_a_node_itself_is_not_taken_for_a_missing_value():
    def step(node, inputs):
        return {}["key of its own"]

    with pytest.raises(KeyError, match="key of its own"):
        run_whole(diamond(), {"x": torch.ones(1, 4)}, step)
