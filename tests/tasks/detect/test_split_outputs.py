"""A detector's last layer is split by what its channels are read as; some layers stay whole."""

from __future__ import annotations

import pytest
import torch

from architectures import images
from architectures.sketch import Sketch
from intaglio.ir.graph import Graph
from intaglio.passes.canonicalize import canonicalize
from intaglio.run.float import run_float
from intaglio.tasks.detect.split_outputs import split_outputs, whole_weights
from passes.same_function import assert_same_function
from tasks.detect.test_kinds import BOXES, SCORES, post

X = images((2, 3, 2, 4), 4)


def captured(*, norm: bool = False) -> Graph:
    sketch = Sketch(3, 2, 4)
    sketch.conv("stem", "x", 5, 1)
    sketch.conv("head", "stem", len(BOXES) + len(SCORES), 1)
    return sketch.done(sketch.norm("norm", "head") if norm else "head")


def folded(graph: Graph) -> Graph:
    canonical = graph.copy()
    canonicalize(canonical)
    return canonical


def test_boxes_and_scores_have_layers_of_their_own_and_the_output_is_called_as_before() -> None:
    graph = captured()
    canonical = folded(graph)

    split = split_outputs(graph, canonical, post("map"))

    assert split.kinds == {"head": {"boxes": BOXES, "scores": SCORES}}
    assert split.made == {"head": {"boxes": "head.boxes", "scores": "head.scores"}}
    assert canonical.outputs == graph.outputs
    assert canonical["head"].shape == graph["head"].shape
    assert_same_function(canonical, graph, X)


@pytest.mark.parametrize("name", ["head", "layer.head", "layer"])
def test_a_layer_that_somebody_names_stays_whole(name: str) -> None:
    graph = captured()
    canonical = folded(graph)

    assert not split_outputs(graph, canonical, post("map"), whole=[name]).made

    assert canonical["head"].op == "conv2d"


@pytest.mark.parametrize("name", ["", "head.boxes", "lay", "stem"])
def test_names_of_others_keep_it_from_nothing(name: str) -> None:
    graph = captured()

    assert split_outputs(graph, folded(graph), post("map"), whole=[name]).made


def test_a_layer_that_took_in_a_batch_norm_stays_whole() -> None:
    graph = captured(norm=True)
    canonical = folded(graph)

    assert not split_outputs(graph, canonical, post("map")).made

    assert [node.op for node in canonical] == ["input", "conv2d", "conv2d"]


def test_weights_by_the_split_networks_names_are_those_of_the_users() -> None:
    graph = captured()
    parted = folded(graph)
    split_outputs(graph, parted, post("map"))
    assert "head.weight" not in parted.params

    found = whole_weights(graph, post("map"), parted.params)

    assert found.keys() == graph.params.keys()
    assert all(torch.equal(found[key], value) for key, value in graph.params.items())


def test_weights_of_a_network_that_is_not_split_stay_as_they_are() -> None:
    graph = captured()

    found = whole_weights(graph, post("map"), graph.params, whole=["head"])

    assert all(found[key] is value for key, value in graph.params.items())


def test_splitting_twice_changes_nothing_more() -> None:
    graph = captured()
    canonical = folded(graph)
    split_outputs(graph, canonical, post("map"))
    once = canonical.copy()

    split_outputs(graph, canonical, post("map"))

    assert list(canonical.nodes) == list(once.nodes)
    assert torch.equal(run_float(canonical, X)[0], run_float(once, X)[0])
