"""The list of the zoo: its figures are those of the captured graphs."""

from __future__ import annotations

import pytest
import torch

from cli.scripts import make_names
from cli.tiny import intaglio, printed_json
from intaglio.cost import macs as graph_cost
from intaglio.read.module.export import capture
from intaglio.zoo import (
    ZOO,
    fasterrcnn_mobilenet_v3_large_320_fpn,
    fasterrcnn_mobilenet_v3_large_fpn,
    names,
)
from intaglio.zoo.faster_rcnn import FasterRcnn


@pytest.mark.slow
def test_models_lists_every_network_of_the_zoo(capsys: pytest.CaptureFixture) -> None:
    assert intaglio("models", "--json") == 0

    rows = printed_json(capsys)

    assert [row["name"] for row in rows] == list(names())
    by_name = {row["name"]: row for row in rows}
    assert by_name["mobilenet_v2"] == {
        "name": "mobilenet_v2",
        "task": "classify",
        "params": 3_504_872,
        "macs": 300_774_272,
        "input_shape": [1, 3, 224, 224],
        "preprocess": {
            "resize": 256,
            "crop": 224,
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
        },
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet20_cifar10", "mobilenet_v3_small"])
def test_counting_modules_equals_counting_the_graph(name: str) -> None:
    network, images = ZOO[name].build().eval(), torch.zeros(1, 3, 64, 64)

    graph = capture(network, images)

    assert make_names.count_macs(network, images) == sum(graph_cost.count_macs(graph).values())
    assert sum(p.numel() for p in network.parameters()) == graph_cost.total_params(graph)


def test_of_two_stages_the_second_counts_for_each_region_that_may_be_proposed() -> None:
    def of_a_region(network: FasterRcnn) -> int:
        """Return the products of one region, which the linear layers make: their weights."""
        heads = network.roi_heads
        layers = [heads.box_head.fc6, heads.box_head.fc7]
        layers += [heads.box_predictor.cls_score, heads.box_predictor.bbox_pred]
        return sum(layer.weight.numel() for layer in layers)

    with torch.device("meta"):
        images = torch.empty(1, 3, 320, 320)
        many, few = fasterrcnn_mobilenet_v3_large_fpn(), fasterrcnn_mobilenet_v3_large_320_fpn()
        counted = [make_names.macs_of_two(one, images) for one in (many, few)]
        first = make_names.count_macs(few.stages()[0], images)

    # the same two networks, which propose 1000 regions and 150
    assert counted[1] == first + 150 * of_a_region(few)
    assert counted[0] - counted[1] == (1000 - 150) * of_a_region(few)


def test_numbers_that_are_no_short_decimals_are_shown_short(capsys: pytest.CaptureFixture) -> None:
    assert intaglio("models") == 0

    shown = " ".join(capsys.readouterr().out.split())
    assert "0.003921" in shown
    assert "0.0039215686" not in shown.replace(" ", "")


@pytest.mark.slow
def test_models_prints_a_table_for_people(capsys: pytest.CaptureFixture) -> None:
    assert intaglio("models") == 0

    out = capsys.readouterr().out
    assert "mobilenet_v2_tf" in out
    assert "300,774,272" in out


def test_recipes_have_a_name_and_a_line_each(capsys: pytest.CaptureFixture) -> None:
    assert intaglio("recipes", "--json") == 0

    rows = printed_json(capsys)
    assert "plain" in [row["name"] for row in rows]
    assert all(set(row) == {"name", "description"} and row["description"] for row in rows)

    assert intaglio("recipes") == 0
    assert "plain-moving-average" in capsys.readouterr().out
