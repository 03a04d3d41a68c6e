"""A graph as a module: the same function, exported and read again under the same names."""

from __future__ import annotations

import io

import pytest
import torch

from architectures import captured, images
from intaglio.job.operated import program_of
from intaglio.read.source import read
from intaglio.run.float import run_float
from intaglio.run.graph_module import GraphModule


@pytest.mark.parametrize("name", ["resnet", "mobilenet_manual", "squeezenet", "reused"])
def test_a_module_computes_what_its_graph_does(name):
    graph = captured(name).source
    x = images(graph[graph.inputs[0]].shape, 3)

    made = GraphModule(graph)(x)

    found = list(made.values()) if isinstance(made, dict) else made
    found = [found] if isinstance(found, torch.Tensor) else found
    for ours, theirs in zip(found, run_float(graph, x), strict=True):
        assert torch.equal(ours, theirs)


def test_an_exported_graph_is_read_again_with_its_layers_names_and_any_batch(tmp_path):
    graph = captured("resnet").source
    path = tmp_path / "network.pt2"
    path.write_bytes(program_of(graph, graph[graph.inputs[0]].shape))

    again = read(path).capture()

    weighted = [node.source for node in graph if "weight" in node.params]
    assert [node.source for node in again if "weight" in node.params] == weighted
    x = images(graph[graph.inputs[0]].shape, 3)
    torch.testing.assert_close(run_float(again, x)[0], run_float(graph, x)[0])
    program = torch.export.load(io.BytesIO(path.read_bytes())).module()
    torch.testing.assert_close(program(x), run_float(graph, x)[0])
