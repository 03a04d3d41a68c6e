"""The walk shows each layer what float network and twin really give it."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from intaglio.ir.graph import Node
from intaglio.methods.steps.held_values import storage
from intaglio.methods.steps.paired_walk import (
    Layer,
    Tuned,
    images_within,
    largest_live_values,
    live_values,
    tune_layers,
)
from intaglio.methods.steps.state import Context, Quantized
from intaglio.run.float import run_float
from intaglio.run.twin import build_twin
from intaglio.runtimes.litert.ops import site
from methods.quantized import calibrated, random_images, with_activation_bits


@pytest.mark.parametrize("bits", [4, 8, 12, 16])
def test_each_layer_sees_the_values_of_both_networks(bits, monkeypatch):
    # what no file holds is not promised of kernels; those of convolutions and sums are exact there
    monkeypatch.setattr(site, "WIDEST", 16)
    state, context = calibrated()
    state = with_activation_bits(state, bits)
    floats, integers = {}, {}
    run_float(state.reference, context.images, tap=lambda node, v: floats.update({node.name: v}))
    twin = build_twin(state.graph, state.encodings, context.target)
    twin.run(context.images, tap=lambda node, v: integers.update({node.name: v}))
    seen = []

    def look(layer: Layer) -> None:
        source = layer.node.inputs[0]
        seen.append(layer.node.name)
        torch.testing.assert_close(torch.cat(layer.floats), floats[source])
        grid = state.encodings.activations[source]
        real = torch.cat([layer.quantized(i) for i in range(len(layer.integers))])
        assert torch.equal(real, integers[source] * grid.scale)
        assert {piece.dtype for piece in layer.integers} == {storage(grid)}

    tune_layers(state, context, look)

    assert seen == list(state.encodings.weights)
    used = max(int(value.max() - value.min()) for value in integers.values())
    assert 2 ** (bits - 1) < used < 2**bits  # the whole grid is in use, beyond narrower types


def test_a_layer_sees_the_twin_behind_layers_that_were_tuned_already():
    state, context = calibrated()
    first = next(iter(state.encodings.weights))
    inputs = {}

    def silence_first(layer: Layer) -> Tuned | None:
        inputs[layer.node.name] = torch.cat([layer.quantized(i) for i in range(len(layer.floats))])
        if layer.node.name == first:
            nothing = torch.zeros_like(layer.weight)
            return Tuned(nothing, torch.zeros_like(layer.bias), layer.params)
        return None

    after = tune_layers(state, context, silence_first)

    second = list(state.encodings.weights)[1]
    assert not inputs[second].any()
    assert not after.graph.param(after.graph[first], "weight").any()
    assert state.graph.param(state.graph[first], "weight").any()  # the old state is left alone


def test_without_changes_the_state_computes_what_it_did():
    state, context = calibrated()

    after = tune_layers(state, context, lambda layer: None)

    before = build_twin(state.graph, state.encodings, context.target)
    behind = build_twin(after.graph, after.encodings, context.target)
    assert torch.equal(before(context.images), behind(context.images))


@pytest.mark.parametrize("memory_mb", [0, 1, 10**6])
@pytest.mark.parametrize(("bits", "width"), [(4, 5), (8, 5), (9, 6), (16, 6)])
def test_the_memory_bounds_the_images_at_every_layer(memory_mb, bits, width):
    state, _ = calibrated()
    state = with_activation_bits(state, bits)
    live = live_values(state.graph)

    counts = images_within(state.graph, state.encodings, memory_mb)

    assert list(counts) == list(reversed([node.name for node in state.graph]))
    for name, count in counts.items():
        assert count % 4 == 0
        assert count == 4 or count * live[name] * width <= memory_mb * 1e6


def test_more_images_are_let_in_where_values_get_smaller_and_see_what_all_would_have_seen():
    state, context = calibrated(images=random_images(60))
    room_mb = 48 * 5 * largest_live_values(state.graph) / 1e6

    few, every = (
        inputs_behind_a_halved_layer(state, dataclasses.replace(context, memory_mb=memory_mb))
        for memory_mb in (room_mb, 3000)
    )

    counts = [len(floats) for floats, _ in few.values()]
    assert counts[0] == 48
    assert counts[-1] == 60
    for name, pair in few.items():
        for some, whole in zip(pair, every[name], strict=True):
            assert torch.equal(some, whole[: len(some)])


def inputs_behind_a_halved_layer(
    state: Quantized, context: Context
) -> dict[str, tuple[Tensor, ...]]:
    """Return both sides' inputs of every layer where the first layer's weight is tuned to half."""
    seen = {}

    def halve_first(layer: Layer) -> Tuned | None:
        values = [layer.quantized(i) for i in range(len(layer.integers))]
        seen[layer.node.name] = torch.cat(layer.floats), torch.cat(values)
        is_first = layer.node.name == next(iter(state.encodings.weights))
        return Tuned(layer.weight / 2, layer.bias, layer.params) if is_first else None

    tune_layers(state, context, halve_first)
    return seen


def test_live_values_of_a_chain_are_two_neighbours():
    state, _ = calibrated()
    graph = state.graph.copy()
    node = graph[graph.inputs[0]]
    sizes = {"a": 10, "b": 40, "c": 5}
    nodes = [dataclasses.replace(node, name="a", shape=(-1, 10), inputs=[])]
    for name, before in (("b", "a"), ("c", "b")):
        nodes.append(Node(name, "relu", [before], {}, {}, (-1, sizes[name])))
    graph.nodes = {item.name: item for item in nodes}

    assert largest_live_values(graph) == 50
