"""What lies behind a changed value, run alone, gives what the whole network gives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from intaglio.ir.graph import Graph
from intaglio.methods.bits.suffix import images_alive_within, places, shares_behind
from intaglio.methods.steps.paired_walk import largest_live_values
from intaglio.ops import OPS
from intaglio.passes.canonicalize import canonicalize
from intaglio.read.module.export import capture
from intaglio.run.float import run_float
from intaglio.run.partial import run_whole
from intaglio.runtimes.litert.lower.lower import lower
from methods.quantized import calibrated


def with_value(graph: Graph, images: Tensor, name: str, value: Tensor) -> list[Tensor]:
    """Run the whole network with one value replaced."""

    def step(node, inputs):
        if node.name == name:
            return value
        params = {role: graph.params[key] for role, key in node.params.items()}
        return OPS[node.op].function(node, inputs, params)

    with torch.no_grad():
        return run_whole(graph, {graph.inputs[0]: images}, step)


def outputs_at(graph: Graph, images: Tensor, change) -> dict[str, Tensor]:
    found = {}
    for place in places(graph, images):
        parts = [place.outputs(index, change(value)) for index, value in enumerate(place.values)]
        found[place.node.name] = torch.cat([part[0] for part in parts])
    return found


def test_with_no_value_changed_the_part_behind_every_node_gives_the_network_s_outputs():
    state, context = calibrated()
    (whole,) = run_float(state.graph, context.images[:6])

    found = outputs_at(state.graph, context.images[:6], lambda value: value)

    assert len(found) == len(state.graph.nodes) - 1
    for name, outputs in found.items():
        torch.testing.assert_close(outputs, whole, msg=name)


class Forked(nn.Module):
    """Two branches, one computed after the other, a constant, and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
        self.register_buffer("shift", torch.tensor([0.5, -1.0, 2.0, 0.0]).reshape(1, 4, 1, 1))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        left, right = self.first(images).relu(), self.second(images)
        return left + right, right + self.shift


def test_branches_constants_and_outputs_that_come_later_are_computed_where_they_are_needed():
    torch.manual_seed(0)
    images = torch.randn(6, 3, 8, 8)
    graph = capture(Forked().eval(), images[:1])
    canonicalize(graph)
    lower(graph)
    wholes = run_float(graph, images)

    for place in places(graph, images):
        parts = [place.outputs(index, value) for index, value in enumerate(place.values)]
        for whole, pieces in zip(wholes, zip(*parts, strict=True), strict=True):
            torch.testing.assert_close(torch.cat(pieces), whole, msg=place.node.name)


def test_with_a_value_changed_it_gives_what_the_whole_network_gives():
    state, context = calibrated()
    images = context.images[:6]
    values = {}
    run_float(state.graph, images, tap=lambda node, value: values.update({node.name: value}))

    found = outputs_at(state.graph, images, lambda value: value * 1.5 + 0.1)

    for name, outputs in found.items():
        (whole,) = with_value(state.graph, images, name, values[name] * 1.5 + 0.1)
        torch.testing.assert_close(outputs, whole, msg=name)


def test_a_value_that_an_output_does_not_depend_on_leaves_it_as_it_is():
    state, context = calibrated()
    graph = state.graph.copy()
    first = next(node.name for node in graph if node.op == "conv2d")
    graph.outputs.append(first)
    last = graph.outputs[0]

    for place in places(graph, context.images[:2]):
        if place.node.name == last:
            changed = place.outputs(0, place.values[0] + 1.0)

            torch.testing.assert_close(changed[1], run_float(graph, context.images[:2])[1])


def test_only_values_that_are_still_read_are_held():
    state, context = calibrated()
    graph = state.graph
    order = [node.name for node in graph]
    most = 0

    for place in places(graph, context.images[:1]):
        behind = order[order.index(place.node.name) :]
        for name in place.live:
            read = any(name in graph[reader].inputs for reader in behind)
            assert read or name in (place.node.name, *graph.outputs)
        most = max(most, sum(value[0].numel() for value in place.live.values()))

    assert most <= largest_live_values(graph)


def test_the_cost_behind_a_node_falls_from_the_whole_network_to_its_last_layer():
    state, _ = calibrated()
    layers = [node.name for node in state.graph if node.op in ("conv2d", "linear")]

    shares = [shares_behind(state.graph)[name] for name in layers]

    assert shares[0] == pytest.approx(1.0)
    assert shares == sorted(shares, reverse=True)
    assert 0.0 < shares[-1] < 0.01


def test_images_are_cut_to_the_memory():
    state, _ = calibrated()
    per_image_mb = largest_live_values(state.graph) * 4 / 1e6

    assert images_alive_within(state.graph, 100) == int(100 / per_image_mb)
    assert images_alive_within(state.graph, 0) == 4
