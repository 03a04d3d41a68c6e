"""Names of outputs: found at capture, kept by the twin, the file's signature and the report."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import intaglio
from intaglio.errors import GraphError
from intaglio.ir.graph import Graph
from intaglio.ir.text import text
from intaglio.job.of_graph import compress_graph
from intaglio.ops.verify import verify
from intaglio.read.module.output_names import names_of, output_names
from intaglio.read.module.program import graph_of_program

IMAGES = torch.linspace(-1, 1, 20 * 3 * 8 * 8).reshape(20, 3, 8, 8)
Pair = namedtuple("Pair", ["low", "high"])  # torch's trees know these


class Heads(nn.Module):
    """A network that returns a nested dict, with a number and a None in it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> dict[str, object]:
        """Return scores, and features under 'maps'."""
        x = self.body(x)
        scores = self.head(x.relu())
        return OrderedDict(scores=scores, aux=None, maps={"first": x, "both": [scores.tanh(), x]})


NAMES = ("scores", "maps.first", "maps.both.0", "maps.both.1")


def captured(module: nn.Module) -> Graph:
    program = torch.export.export(module.eval(), (IMAGES[:2],))
    graph = graph_of_program(program)
    graph.output_names = output_names(program)
    verify(graph)
    return graph


@dataclass
class Found:
    """A structure that no tree knows."""

    x: int = 0


@pytest.mark.parametrize(
    ("made", "names"),
    [
        ({"a": 1, "b": {"c": 2, "d": 3}}, ("a", "b.c", "b.d")),
        (OrderedDict(z=1, a=2), ("z", "a")),
        (Pair(1, 2), ("low", "high")),
        ((1, {"a": 2}), ("0", "1.a")),
        ({"a.b": 1, "a": {"b": 2}, 3: 4}, ("a.b", "a.b:1", "3")),
        ((1, [2, 3]), ()),
        (1, ()),
        (Found(), ()),
    ],
)
def test_dicts_and_fields_give_names_and_lists_alone_do_not(made, names):
    assert names_of(pytree.tree_flatten(made)[1]) == names


def test_leaves_that_are_no_tensors_have_no_name_and_lists_of_tensors_neither():
    class Listing(nn.Module):
        def forward(self, x: Tensor) -> list[Tensor]:
            return [x + 1, x * 2]

    assert captured(Heads()).output_names == NAMES
    assert captured(Listing()).output_names == ()


def test_twin_signature_report_and_folder_keep_the_names_in_order(tmp_path):
    graph = captured(Heads())
    made = compress_graph(graph, data=IMAGES, recipe="plain", evaluate=IMAGES[:8])
    made.save(tmp_path / "out")
    again = intaglio.load(tmp_path / "out")
    runner = Interpreter(model_content=made.content).get_signature_runner()

    found = again.twin(IMAGES[:1])
    (given,) = runner.get_input_details()
    run = runner(**{given: np.ascontiguousarray(IMAGES[:1].permute(0, 2, 3, 1).numpy())})

    assert made.report.check.mismatches == 0
    assert tuple(found) == NAMES
    assert given == graph.inputs[0]
    assert set(run) == set(NAMES)
    for name, value in found.items():
        assert np.array_equal(run[name], value.permute(0, 2, 3, 1).numpy())
    assert again.report.integer.outputs == list(NAMES)
    assert len(again.report.integer.sqnr_db) == len(NAMES)
    assert "SQNR of 'maps.first'" in str(again.report)
    assert text(again.graph).splitlines()[-1].startswith("return scores=head, maps.first=body")


def test_a_search_judges_a_network_with_names():
    made = compress_graph(captured(Heads()), data=IMAGES.repeat(4, 1, 1, 1), recipe="auto")

    assert list(made.twin(IMAGES[:2])) == list(NAMES)
    assert made.report.check.mismatches == 0


def test_names_that_are_not_one_for_each_output_are_no_legal_graph():
    graph = captured(Heads())

    for names in (("a",), ("a", "a", "b", "c")):
        graph.output_names = names
        with pytest.raises(GraphError, match="have the names"):
            verify(graph)
