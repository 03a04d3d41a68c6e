"""How maps are read where the graph proves it, and where it does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from intaglio.errors import DataError
from intaglio.ir.graph import Graph
from intaglio.maps.postprocess import MapPostProcess
from intaglio.read.source import read
from intaglio.run.float import run_float
from intaglio.tasks.segment.ends import end_of_maps, without_choice

SIDE = 8


class Ended(nn.Module):
    """A convolution and an end."""

    def __init__(self, channels: int, end: Callable[[Tensor], object]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.scores = nn.Conv2d(3, channels, 3, padding=1)
        self.end = end

    def forward(self, x: Tensor) -> object:
        return self.end(self.scores(x))


def graph_of(channels: int, end: Callable[[Tensor], object]) -> Graph:
    return read(Ended(channels, end).eval(), torch.zeros(1, 3, SIDE, SIDE)).capture()


def larger(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear")


SURE = MapPostProcess(2, rule="threshold", scores="probabilities")


@pytest.mark.parametrize(
    ("channels", "end", "expected"),
    [
        (1, torch.sigmoid, SURE),
        (1, lambda x: larger(x.sigmoid()), SURE),
        (1, lambda x: x.sigmoid_(), SURE),
        (4, lambda x: x.softmax(1), MapPostProcess(4, scores="probabilities")),
        (4, lambda x: larger(x.softmax(-3)), MapPostProcess(4, scores="probabilities")),
        (4, lambda x: x, MapPostProcess(4)),
        (4, lambda x: x.softmax(2), MapPostProcess(4)),
        (4, lambda x: x.softmax(1).log(), MapPostProcess(4)),
        (4, lambda x: {"out": x, "aux": x[:, :2]}, MapPostProcess(4)),
    ],
)
def test_the_last_op_says_what_scores_are(channels, end, expected):
    assert end_of_maps(graph_of(channels, end)) == expected


@pytest.mark.parametrize(
    "end", [lambda x: x, torch.tanh, lambda x: 2 * x.sigmoid(), lambda x: 1 - x.sigmoid()]
)
def test_one_channel_that_is_no_sigmoid_is_refused_with_what_to_give(end):
    with pytest.raises(DataError, match=r"one channel.*end in a sigmoid, or give .*MapPostProcess"):
        end_of_maps(graph_of(1, end))


def test_what_is_no_map_is_refused():
    with pytest.raises(DataError, match=r"\[N, classes, h, w\]"):
        end_of_maps(graph_of(4, lambda x: x.mean((2, 3))))
    with pytest.raises(DataError, match="a map of one pixel"):
        end_of_maps(graph_of(4, lambda x: x.mean((2, 3), keepdim=True)))


@pytest.mark.parametrize(
    "end",
    [
        lambda x: x.argmax(1),
        lambda x: torch.argmax(x, dim=-3),
        lambda x: x.max(1)[1],
        lambda x: torch.max(x, dim=1).indices,
    ],
)
def test_a_network_of_classes_gives_the_scores_that_they_are_chosen_by(end):
    graph, plain = graph_of(4, end), graph_of(4, lambda x: x)
    images = torch.rand(2, 3, SIDE, SIDE)

    scored = without_choice(graph)

    assert scored is not None
    assert scored.post == MapPostProcess(4)
    (scores,), (expected,) = run_float(scored.graph, images), run_float(plain, images)
    assert torch.equal(scores, expected)
    assert torch.equal(scores.argmax(1), run_float(graph, images)[0].long())


def test_names_of_classes_stay_and_the_output_that_is_meant_is_cut():
    graph = graph_of(3, lambda x: (x.mean((2, 3)), x.softmax(1).argmax(1)))
    post = MapPostProcess(3, 1, "index", names=("a", "b", "c"))

    scored = without_choice(graph, post)

    assert scored is not None
    assert scored.post == MapPostProcess(3, 1, scores="probabilities", names=("a", "b", "c"))
    assert [scored.graph[name].shape for name in scored.graph.outputs] == [
        (-1, 3),
        (-1, 3, SIDE, SIDE),
    ]


@pytest.mark.parametrize(
    "end",
    [
        lambda x: x,
        lambda x: x.argmax(2),
        lambda x: x.argmax(1, keepdim=True),
        lambda x: x.max(1)[0],
        lambda x: x.mean((2, 3)).argmax(1),
        lambda x: x.argmax(1).float() / 3,
        lambda x: (x, x.argmax(1)),  # scores are there already
    ],
)
def test_any_other_end_is_left_alone(end):
    graph = graph_of(4, end)
    text = [node.name for node in graph]

    assert without_choice(graph) is None
    assert [node.name for node in graph] == text


def test_what_the_network_says_of_itself_is_not_turned_around():
    graph = graph_of(4, lambda x: x.argmax(1))

    assert without_choice(graph, MapPostProcess(5, rule="index")) is None
    assert without_choice(graph, MapPostProcess(4)) is None
    assert without_choice(graph, MapPostProcess(4, output=1, rule="index")) is None
