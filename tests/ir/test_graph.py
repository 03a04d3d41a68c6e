"""The graph, its edits and its invariants."""

from __future__ import annotations

import pytest
import torch

from architectures.sketch import Sketch
from intaglio.errors import GraphError
from intaglio.ir.edit import bypass, chains, insert_after, insert_before, redirect, replace
from intaglio.ir.graph import Node
from intaglio.ir.text import text
from intaglio.ops.verify import verify


def chain():
    """x -> a -> b -> c, each a ReLU."""
    sketch = Sketch(2, 4, 4)
    sketch.clamp("a", "x")
    sketch.clamp("b", "a")
    sketch.clamp("c", "b")
    return sketch.done()


def relu(name: str, source: str) -> Node:
    return Node(name, "clamp", [source], {}, {"activation": (0.0, 1.0)}, (-1, 2, 4, 4))


def test_set_param_gives_a_node_a_key_of_its_own():
    sketch = Sketch(2, 4, 4)
    sketch.conv("conv", "x", 2, kernel=1)
    sketch.conv("again", "conv", 2, kernel=1)
    graph = sketch.graph
    graph["again"].params = dict(graph["conv"].params)
    weight, new = graph.params["conv.weight"], torch.zeros(2, 2, 1, 1)

    graph.set_param(graph["conv"], "weight", new)  # its own name is the shared key

    assert graph.param(graph["conv"], "weight") is not weight
    assert graph.param(graph["again"], "weight") is weight
    assert torch.equal(graph.param(graph["conv"], "weight"), new)


def test_set_param_drops_the_weight_that_nothing_uses_any_more():
    sketch = Sketch(2, 4, 4)
    sketch.conv("conv", "x", 2, kernel=1)
    graph = sketch.graph

    graph.set_param(graph["conv"], "weight", torch.zeros(2, 2, 1, 1))
    graph.set_param(graph["conv"], "weight", torch.ones(2, 2, 1, 1))

    assert sorted(graph.params) == ["conv.bias", "conv.weight"]


def test_param_names_the_node_that_lacks_it():
    graph = chain()

    with pytest.raises(GraphError, match=r"node 'a' \(clamp\) has no weight"):
        graph.param(graph["a"], "weight")
    assert graph.param(graph["a"], "weight", torch.ones(1)) == torch.ones(1)


def test_a_copy_is_independent():
    graph = chain()
    before = text(graph)

    copy = graph.copy()
    bypass(copy, copy["b"])
    copy["a"].attrs["activation"] = None
    copy.outputs.append("a")

    assert text(graph) == before


def test_only_reader_is_none_for_outputs_and_for_two_reads():
    sketch = Sketch(2, 4, 4)
    sketch.clamp("a", "x")
    sketch.add("twice", "add", "a", "a")
    sketch.clamp("b", "twice")
    graph = sketch.done("b", "twice")

    assert graph.only_reader("x") is graph["a"]
    assert graph.only_reader("a") is None
    assert graph.only_reader("twice") is None


def test_bypass_hands_readers_and_outputs_on():
    graph = chain()

    bypass(graph, graph["b"])
    bypass(graph, graph["c"])

    assert list(graph.nodes) == ["x", "a"]
    assert graph.outputs == ["a"]


def test_redirect_can_spare_nodes_and_refuses_strangers():
    graph = chain()

    redirect(graph, "a", "x", keep=frozenset({"b"}))

    assert graph["b"].inputs == ["a"]
    with pytest.raises(GraphError, match="no such node"):
        redirect(graph, "a", "nowhere")


def test_inserted_nodes_stand_where_they_were_put():
    graph = chain()

    insert_before(graph, "b", relu("before", "a"))
    insert_after(graph, "b", relu("after", "b"))

    assert list(graph.nodes) == ["x", "a", "before", "b", "after", "c"]
    verify(graph)
    with pytest.raises(GraphError, match="two nodes are called 'a'"):
        insert_before(graph, "b", relu("a", "x"))


def test_replace_keeps_the_name():
    graph = chain()

    replace(graph, graph["b"], relu("other", "a"))

    assert graph["b"].attrs["activation"] == (0.0, 1.0)
    assert list(graph.nodes) == ["x", "a", "b", "c"]


def test_chains_finds_pairs_that_nothing_else_reads():
    graph = chain()
    graph.outputs.append("b")

    assert [(a.name, b.name) for a, b in chains(graph, "clamp", "clamp")] == [("a", "b")]


def test_drop_unused_goes_backwards_and_keeps_inputs():
    graph = chain()
    graph.outputs = ["a"]
    graph.params["stray"] = torch.zeros(1)

    assert graph.drop_unused() == 2

    assert list(graph.nodes) == ["x", "a"]
    assert not graph.params


def test_unique_names_count_up():
    graph = chain()
    graph.add(relu("a:1", "c"))

    assert [graph.unique_name(wish) for wish in ("a", "b", "new")] == ["a:2", "b:1", "new"]


BROKEN = {
    "is filed under 'other'": lambda g: g.nodes.update(other=g.nodes.pop("b")),
    "before it is made": lambda g: g.reorder(["x", "b", "a", "c"]),
    "no weight 'gone'": lambda g: g.nodes.update(
        k=Node("k", "constant", params={"value": "gone"}, shape=(1,))
    ),
    "is not an input node": lambda g: g.inputs.append("a"),
    "does not exist": lambda g: g.outputs.append("nowhere"),
    "no outputs": lambda g: g.outputs.clear(),
    "has 2 inputs": lambda g: g["b"].inputs.append("a"),
    "has the settings": lambda g: g["b"].attrs.update(stride=(1, 1)),
    "has the weights": lambda g: g["b"].params.update(weight="w"),
}


@pytest.mark.parametrize("words", BROKEN)
def test_a_broken_graph_is_found_and_named(words):
    graph = chain()
    verify(graph)

    BROKEN[words](graph)

    with pytest.raises(GraphError, match=words):
        verify(graph)
