"""Numbers of very different size in one output: the small ones get few steps of its grid."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from intaglio.doctor import diagnose
from intaglio.doctor.finding import SHARED, Finding
from intaglio.ir.graph import Graph
from intaglio.job.of_graph import compress_graph
from intaglio.read.module.export import capture
from intaglio.run.float import run_float
from intaglio.tasks.deviation import Deviation

IMAGES = torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(3))
BOXES, SCORES = 4, 8


class Head(nn.Module):
    """Boxes in one layer with scores, the boxes so many times larger."""

    def __init__(self, factor: float, ending: str = "map") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU())
        self.head, self.ending = nn.Conv2d(16, BOXES + SCORES, 1), ending
        with torch.no_grad():
            self.head.weight[:BOXES] *= factor
            self.head.bias[:BOXES] *= factor

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        y = self.head(self.stem(x))
        if self.ending == "rows":
            return y.flatten(2).transpose(1, 2)
        if self.ending == "both":
            return y[:, :BOXES], y[:, BOXES:]
        if self.ending == "pooled":
            return y.mean((2, 3)).softmax(1)
        return y.sigmoid() if self.ending == "sigmoid" else y


def network(factor: float, ending: str = "map") -> Graph:
    return capture(Head(factor, ending).eval(), IMAGES[:1])


def findings(graph: Graph, scheme: str = "w8a8") -> list[Finding]:
    return [one for one in diagnose(graph, [IMAGES], scheme=scheme).findings]


def scores_db(graph: Graph) -> float:
    """Return the SQNR of the scores in the network's integers."""
    made = compress_graph(graph, data=IMAGES, recipe="plain").twin(IMAGES)
    sums = Deviation()
    assert isinstance(made, Tensor)
    sums.add(run_float(graph, IMAGES)[0][:, BOXES:], made[:, BOXES:])
    assert sums.sqnr_db is not None
    return sums.sqnr_db


@pytest.mark.parametrize("ending", ["map", "rows", "both"])
@pytest.mark.parametrize("scheme", ["w8a8", "w8a8-per-tensor"])
def test_scores_beside_large_boxes_are_named_by_the_layer_that_makes_both(
    ending: str, scheme: str
) -> None:
    found = findings(network(300.0, ending), scheme)

    (shared,) = [one for one in found if one.cause == SHARED]
    assert shared.layer == "head"
    assert shared.evidence["channels_of_group"] == SCORES
    assert shared.evidence["first_channel_of_group"] == BOXES
    assert shared.treatment is None
    assert "as an output of their own" in shared.remedy


def test_it_is_the_only_cause_and_its_steps_are_ranges_over_the_grid() -> None:
    graph = network(300.0)

    (found,) = findings(graph)

    real = run_float(graph, IMAGES)[0]
    scores, whole = real[:, BOXES:], torch.cat([real.reshape(-1), torch.zeros(1)])
    width = float(scores.max() - scores.min())
    step = float(whole.max() - whole.min()) / 255
    # a grid's step is rounded to float32, and its zero to a whole step of 255
    assert found.evidence["steps_of_group"] == pytest.approx(width / step, rel=0.01)
    assert found.evidence["range_of_group"] == pytest.approx(width, rel=1e-4)  # kernels' last bits


def test_the_harm_that_it_names_is_what_integers_lose() -> None:
    graph = network(60.0)

    (found,) = findings(graph)

    # weights and the other values are rounded as well, which costs these scores next to nothing
    assert scores_db(graph) == pytest.approx(found.evidence["sqnr_of_group_db"], abs=1.0)
    assert scores_db(network(1.0)) > float(found.evidence["sqnr_of_group_db"]) + 6.0


@pytest.mark.parametrize("factor", [1.0, 4.0])
@pytest.mark.parametrize("ending", ["map", "rows"])
def test_channels_of_like_size_may_share_a_grid(factor: float, ending: str) -> None:
    assert findings(network(factor, ending)) == []


@pytest.mark.parametrize("ending", ["sigmoid", "pooled"])
def test_what_is_computed_with_further_is_no_output(ending: str) -> None:
    assert SHARED not in [one.cause for one in findings(network(300.0, ending))]


def test_nothing_is_said_of_outputs_without_images() -> None:
    assert diagnose(network(300.0), None).healthy
