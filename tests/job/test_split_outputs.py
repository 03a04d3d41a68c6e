"""A detector with boxes and scores in one map: each has a grid of its own, the outputs stay."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import intaglio
from intaglio.boxes.anchors import yolo_grids
from intaglio.boxes.postprocess import PostProcess
from intaglio.boxes.yolo import yolov3
from intaglio.tasks.deviation import Deviation
from job.test_train_boxes import OPTIONS, pictures

SIDE, STRIDE, ANCHORS, CLASSES = 32, 8, 2, 3
WIDTH = 5 + CLASSES
X = torch.rand(16, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
BOXES = [anchor * WIDTH + number for anchor in range(ANCHORS) for number in range(4)]
SCORES = [channel for channel in range(ANCHORS * WIDTH) if channel not in BOXES]


class Packed(nn.Module):
    """One map [N, 2 (4 + 1 + 3), 4, 4], whose scores are so many times wider than its boxes."""

    def __init__(self, factor: float = 20.0, *, known: bool = True) -> None:
        super().__init__()
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            self.body = nn.Sequential(
                nn.Conv2d(3, 16, 3, 4, 1), nn.ReLU(), nn.Conv2d(16, 24, 3, 2, 1), nn.ReLU()
            )
            self.head = nn.Conv2d(24, ANCHORS * WIDTH, 1)
        with torch.no_grad():
            self.head.weight[SCORES] *= factor
            self.head.bias[SCORES] *= factor  # type: ignore[index]
        if known:
            self.postprocess = lambda size: packed_post(size)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images))


def packed_post(size: tuple[int, int]) -> PostProcess:
    grids = yolo_grids(size, (STRIDE,), [[(8.0, 8.0), (16.0, 16.0)]])
    return yolov3(size, grids, classes=CLASSES)


def made(factor: float = 20.0, *, known: bool = True, **wishes: object) -> intaglio.Result:
    module = Packed(factor, known=known).eval()
    options = intaglio.Options(**wishes)  # type: ignore[arg-type]
    return intaglio.compress(module, X[:1], data=X, recipe="plain", options=options)


def boxes_db(result: intaglio.Result, factor: float = 20.0) -> float:
    sums, found = Deviation(), result.twin(X)
    assert isinstance(found, Tensor)
    with torch.no_grad():
        sums.add(Packed(factor)(X)[:, BOXES], found[:, BOXES])
    assert sums.sqnr_db is not None
    return sums.sqnr_db


@pytest.mark.parametrize("io", ["float", "int8"])
@pytest.mark.parametrize("scheme", ["w8a8", "w8a8-per-tensor"])
def test_boxes_are_as_good_as_without_wide_scores_beside_them(scheme: str, io: str) -> None:
    result = made(scheme=scheme, io=io)

    alone = made(1.0, scheme=scheme, io=io)
    # the layers before are the same, and round the same: what differs is the last grid alone
    assert boxes_db(result) > boxes_db(alone, 1.0) - 0.5
    assert boxes_db(result) > boxes_db(made(known=False, scheme=scheme, io=io)) + 6.0
    assert result.report.check is not None
    assert result.report.check.mismatches == 0
    assert [kept.name for kept in result.report.kept_float][-1] == result.graph.outputs[-1]


def test_the_output_has_the_name_the_shape_and_the_layer_that_it_had() -> None:
    result, before = made(), made(known=False)

    assert result.graph.outputs == before.graph.outputs == ["head"]
    assert result.graph["head"].shape == before.graph["head"].shape
    assert {node.source for node in result.graph if node.name.startswith("head")} == {"head"}
    layers = [node.name for node in result.graph if node.op == "conv2d"]
    assert layers == ["body.0", "body.2", "head.boxes", "head.scores"]


def test_a_split_result_is_saved_and_loaded(tmp_path) -> None:  # type: ignore[no-untyped-def]
    result = made()
    result.save(tmp_path / "out")

    again = intaglio.load(tmp_path / "out")

    assert torch.equal(again.twin(X), result.twin(X))  # type: ignore[arg-type]
    assert again.report.kept_float == result.report.kept_float


def test_its_recipe_runs_again_to_the_same_bytes() -> None:
    result = made()

    module = Packed().eval()
    again = intaglio.compress(module, X[:1], data=X, recipe=result.recipe)

    assert again.content == result.content


def test_a_layer_that_is_kept_in_float_is_kept_whole() -> None:
    result = made(keep_float=("head",))

    assert "head.boxes" not in result.graph.nodes
    assert "head" in [kept.name for kept in result.report.kept_float]


def test_float16_has_no_grids_and_splits_nothing() -> None:
    result = intaglio.compress(
        Packed().eval(), X[:1], data=None, options=intaglio.Options(scheme="fp16")
    )

    assert "head.boxes" not in result.graph.nodes


def test_bits_are_given_to_a_layer_by_the_name_that_it_has_in_the_module() -> None:
    recipe = intaglio.Recipe(name="own", scheme="mixed", weight_bits={"head": 8, "body.2": 8})

    result = intaglio.compress(Packed().eval(), X[:1], data=X, recipe=recipe)

    assert "head.boxes" not in result.graph.nodes


def test_without_images_it_is_split_too_and_the_file_is_the_twin() -> None:
    result = intaglio.compress(Packed().eval(), X[:1], data=None)

    assert "head.boxes" in result.graph.nodes
    assert result.report.check is not None
    assert result.report.check.mismatches == 0


def test_weights_trained_in_integers_are_the_modules_own() -> None:
    images, labels = pictures()
    module = Packed(1.0).eval()
    options = OPTIONS.model_copy(update={"epochs": 3})

    trained = intaglio.train(module, data=(images, labels), scheme="w8a8", options=options)

    assert trained.weights.keys() == module.state_dict().keys()
    assert not torch.equal(trained.weights["head.weight"], module.head.weight)
    again = Packed(1.0).eval()
    again.load_state_dict(dict(trained.weights))
    assert trained.result is not None
    graph = trained.result.graph
    assert "head.boxes" in graph.nodes
    boxes = graph.param(graph["head.boxes"], "weight")
    assert torch.equal(boxes, again.head.weight[BOXES])
