"""Files that end in boxes: asked for, made, checked, saved; refused where they cannot be."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from torch import Tensor, nn

import intaglio
from intaglio.boxes import anchors, families
from intaglio.boxes.detect import detections
from intaglio.boxes.given import given_detections
from intaglio.data.preprocess import Preprocess
from intaglio.data.truth import Category
from intaglio.errors import RequestError, UnknownName
from intaglio.job.ended import labels_of
from intaglio.recipe.options import Provenance
from intaglio.recipe.recipe import find_recipe, to_toml
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.file.detection_end import END
from intaglio.runtimes.litert.file.detection_fit import nearest
from intaglio.runtimes.litert.interpreter.runtime import open_interpreter, run_file

SIDE = 32
MAPS = ((8, 8), (4, 4))
SHAPE = (1, 3, SIDE, SIDE)
IN_FILE = "in-file"


class Tiny(nn.Module):
    """SSD heads on maps of 8 x 8 and 4 x 4 cells, two boxes each; classes 1 and 2."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=4, padding=1)
        self.second = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.boxes = nn.ModuleList([nn.Conv2d(8, 2 * 4, 1) for _ in MAPS])
        self.scores = nn.ModuleList([nn.Conv2d(8, 2 * 3, 1) for _ in MAPS])

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        first = self.first(images).relu()
        maps = (first, self.second(first).relu())
        heads = (self.boxes, self.scores)
        return tuple(head(one) for kind in heads for head, one in zip(kind, maps, strict=True))

    def postprocess(self, input_size: tuple[int, int]):
        places = anchors.default_boxes(input_size, MAPS, ratios=((), ()), scales=(0.25, 0.5, 0.9))
        return families.ssd(input_size, places, classes=3)


def tiny() -> Tiny:
    torch.manual_seed(0)
    network = Tiny().eval()
    with torch.no_grad():
        for head in (*network.boxes, *network.scores):
            head.weight.mul_(4)  # boxes that move, scores that differ
    return network


def images(count: int = 6) -> Tensor:
    return torch.rand(count, *SHAPE[1:], generator=torch.Generator().manual_seed(1))


def compressed(target: str = "litert", **options) -> intaglio.Result:
    options.setdefault("postprocess", IN_FILE)
    wishes = intaglio.Options(**options)
    data = images()
    return intaglio.compress(
        tiny(), data[:1], data=data, target=target, recipe="plain", options=wishes
    )


@pytest.fixture(scope="module")
def result() -> intaglio.Result:
    return compressed()


def found_by(content: bytes, result: intaglio.Result, image: Tensor):
    interpreter = open_interpreter(content, result.target)
    outputs = run_file(interpreter, image.permute(0, 2, 3, 1).contiguous().numpy())
    return given_detections(result.postprocess, outputs)


@pytest.mark.parametrize("target", ["litert", "litert-reference"])
def test_the_file_finds_what_the_twin_does_and_the_twin_is_checked(target: str) -> None:
    made = compressed(target)
    assert made.report.check is not None
    assert made.report.check.mismatches == 0

    for image in images().split(1):
        found = found_by(made.content, made, image)
        (own,) = detections(
            nearest(made.postprocess), [one.numpy() for one in made.twin.outputs(image)]
        )

        assert 10 < len(own) < own_most(made)  # none is lost at the end, where ties decide
        order, other = by_box(found), by_box(own)
        assert found.classes[order].tolist() == own.classes[other].tolist()
        assert np.abs(found.scores[order] - own.scores[other]).max() < 1e-6  # a softmax of float32
        assert np.abs(found.boxes[order] - own.boxes[other]).max() < 1e-4  # of some 100 pixels


def own_most(made: intaglio.Result) -> int:
    return made.postprocess.most


def by_box(found) -> np.ndarray:
    """Return an order that does not depend on how equal scores are sorted."""
    rows = zip(np.round(found.scores, 4), found.classes, *np.round(found.boxes, 1).T, strict=True)
    return np.asarray(sorted(range(len(found)), key=list(rows).__getitem__))


def parts_of(content: bytes) -> tuple[list, list]:
    """Return what a file's operators are, with what they read and make, and its inputs."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    graph = model.subgraphs[0]

    def tensor(index: int):
        one = graph.tensors[index]
        data = model.buffers[one.buffer].data
        scale = None if one.quantization is None else one.quantization.scale.tolist()
        return one.name, one.type, scale, None if data is None else bytes(data)

    operators = []
    for one in graph.operators:
        code = model.operatorCodes[one.opcodeIndex]
        options = vars(one.builtinOptions) if one.builtinOptions is not None else {}
        ends = [[tensor(index) for index in end] for end in (one.inputs, one.outputs)]
        operators.append((code.builtinCode, code.version, str(options), *ends))
    return operators, [tensor(index) for index in graph.inputs]


@pytest.mark.parametrize("options", [{}, {"io": "int8"}, {"scheme": "fp16"}])
def test_in_front_of_the_end_the_file_is_the_one_without_it(options: dict[str, str]) -> None:
    with_end, inputs = parts_of(compressed(**options).content)
    without, own_inputs = parts_of(compressed(**options, postprocess="beside").content)
    if options.get("io") == "int8":  # which ends in integers: boxes need the reals
        with_end = [one for one in with_end if not one[4][0][0].endswith(b".float")]
    core = [one for one in with_end if not one[4][0][0].startswith((END.encode(), b"TFLite"))]

    assert inputs == own_inputs
    assert core == without
    assert len(with_end) > len(core)


def test_a_changed_weight_in_a_file_that_ends_in_boxes_is_found(result: intaglio.Result) -> None:
    layer = result.graph["first"]
    params = result.encodings.weights["first"]
    assert layer.params
    model = schema.ModelT.InitFromPackedBuf(bytearray(result.content), 0)
    (weight,) = [one for one in model.subgraphs[0].tensors if one.name == b"first.weight"]
    stored = bytes(model.buffers[weight.buffer].data)
    assert len(stored) == params.scale.numel() * 27
    place = result.content.index(stored)
    damaged = bytearray(result.content)
    damaged[place] ^= 0x40

    counts = LITERT.check({"model.tflite": bytes(damaged)}, result.twin, [images(2)])

    assert counts.mismatches > 0
    assert "first" in counts.worst


def test_the_end_costs_no_partition_and_is_not_called_slow(result: intaglio.Result) -> None:
    counts = LITERT.check(result.files, result.twin, [images(1)])

    assert (counts.partitions, counts.builtin, counts.remarks) == (1, [], [])
    assert counts.values_compared > 0


def test_the_opened_file_gives_what_stands_in_front_of_the_end(result: intaglio.Result) -> None:
    expected = result.twin.outputs(images(2))

    for where in (None, "model.tflite"):
        with LITERT.open(result.files, where=where) as network:
            found = network(images(2))

        assert len(found) == 4
        for one, own in zip(found, expected, strict=True):
            assert torch.equal(one, own)


def test_whatever_it_takes_it_gives_boxes_in_float() -> None:
    for io, kind in (("int8", np.int8), ("uint8", np.uint8)):
        made = compressed(io=io)
        assert made.report.check is not None
        assert made.report.check.mismatches == 0

        interpreter = open_interpreter(made.content, made.target)

        assert interpreter.get_input_details()[0]["dtype"] == kind
        given = interpreter.get_output_details()
        assert {one["dtype"] for one in given} == {np.float32}
        assert [one["shape"].tolist() for one in given] == [[1, 200, 4], [1, 200], [1, 200], [1]]


def test_the_report_says_that_boxes_are_the_runtimes(result: intaglio.Result) -> None:
    told = " ".join(result.report.warnings)

    assert "the file ends in boxes" in told
    assert "not cut off at the picture's border" in told
    assert "ends in boxes" not in " ".join(compressed(postprocess="beside").report.warnings)


def test_the_recipe_says_it_and_makes_the_same_file_again(
    result: intaglio.Result, tmp_path: Path
) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(to_toml(result.recipe))
    assert 'postprocess = "in-file"' in path.read_text()

    again = intaglio.compress(tiny(), images()[:1], data=images(), recipe=find_recipe(str(path)))

    assert again.content == result.content
    assert "postprocess" not in to_toml(compressed(postprocess="beside").recipe)


def test_a_saved_one_is_loaded_and_its_runner_gives_the_files_boxes(
    result: intaglio.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result.save(tmp_path / "out")
    loaded = intaglio.load(tmp_path / "out")
    assert loaded.content == result.content
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec = importlib.util.spec_from_file_location("runner", tmp_path / "out" / "detect.py")
    assert spec is not None
    assert spec.loader is not None
    runner = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(runner)

    found = runner.detect(images(2).numpy())

    for one, image in zip(found, images(2).split(1), strict=True):
        own = found_by(result.content, result, image)
        assert np.array_equal(one.boxes, own.boxes)
        assert np.array_equal(one.classes, own.classes)


def test_a_file_that_names_other_tensors_as_its_core_is_refused(result: intaglio.Result) -> None:
    name = json.dumps([f"{one}.float" for one in result.graph.outputs])[2:10].encode()
    content = result.content.replace(b'"core_outputs": ["' + name, b'"core_outputs": ["' + b"x" * 8)
    assert content != result.content

    with pytest.raises(RequestError, match="said to be an output of its network"):
        LITERT.check({"model.tflite": content}, result.twin, [images(1)])


def test_how_a_picture_is_fitted_is_read_back() -> None:
    where = Provenance(preprocess=Preprocess(mean=(0.5,), std=(0.5,), fit="stretch"))
    made = compressed(provenance=where)

    assert LITERT.about(made.files, where="model.tflite").preprocess == where.preprocess


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(images.flatten(1)[:, :8])


def test_a_network_without_boxes_is_refused_before_any_work() -> None:
    options = intaglio.Options(postprocess=IN_FILE)

    with pytest.raises(RequestError, match="how boxes come of the network's outputs is not known"):
        intaglio.compress(Classifier(), images(1), data=None, options=options)


def test_a_detector_that_does_not_fit_is_refused_with_the_reason() -> None:
    class Sharp(Tiny):
        def postprocess(self, input_size: tuple[int, int]):
            return replace(super().postprocess(input_size), suppress=None)

    with pytest.raises(RequestError, match="nothing is suppressed: leave it out"):
        intaglio.compress(
            Sharp(), images(1), data=images(), options=intaglio.Options(postprocess=IN_FILE)
        )


def test_simulated_schemes_other_targets_and_other_words_are_refused() -> None:
    with pytest.raises(RequestError, match="scheme 'w4a4' is simulated"):
        compressed(scheme="w4a4")
    with pytest.raises(RequestError, match="target simulation end in the network's outputs"):
        compressed(target=None, scheme="w4a4-academic")  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="unknown postprocess 'outside': known: beside, in-file"):
        compressed(postprocess="outside")


def test_classes_are_called_as_the_labels_call_them_where_the_network_does_not() -> None:
    post = tiny().postprocess((SIDE, SIDE))
    both = (Category(1, "cat"), Category(2, "dog"))

    assert labels_of(Provenance(postprocess=post, categories=both)) == ("???", "cat", "dog")
    assert labels_of(Provenance(postprocess=post, categories=both[1:])) == ("???", "???", "dog")
    known = Provenance(postprocess=post, categories=both, labels=("a", "b"))
    assert labels_of(known) == ("a", "b")
    assert labels_of(Provenance()) == ()
