"""Whole detectors: cores in integers, the user's Python around them, saved and loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import intaglio
from detectors.compressed import ONE, TWO, again, compressed, detector, given
from detectors.torchvision_style import CLASSES
from intaglio.boxes.postprocess import PostProcess, TwoStage
from intaglio.cost.macs import count_macs, total_params
from intaglio.data.truth import Category
from intaglio.errors import DataError, RequestError
from intaglio.host.sums import write_sums
from intaglio.ir.text import text
from intaglio.job.cut import graphs_of
from intaglio.job.whole import REGIONS, pictures
from intaglio.recipe.options import Provenance
from intaglio.tasks.detect.whole import Asked, compare_wholes

BOTH = [ONE, TWO]
Boxes = list[dict[str, Tensor]]


def called(module: nn.Module, seen: list[Tensor]) -> Boxes:
    with torch.no_grad():
        return module([one.clone() for one in seen])


def labels_of(name: str, seen: list[Tensor]) -> Boxes:
    """Return what the float detector finds as if it were the truth."""
    return [
        {"boxes": one["boxes"], "labels": one["labels"]} for one in called(detector(name), seen)
    ]


@pytest.fixture(scope="module", params=BOTH)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """The name of a detector, and the folder of its result."""
    place = tmp_path_factory.mktemp("whole") / request.param
    compressed(request.param).save(place)
    return request.param, place


def test_a_detector_of_two_stages_has_a_part_beside_its_first_core():
    one, two = compressed(ONE), compressed(TWO)

    assert (one.core, list(one.parts)) == ("backbone", [])
    assert (two.core, list(two.parts)) == ("backbone", ["roi_heads.box_head"])
    assert isinstance(one.postprocess, PostProcess)
    assert isinstance(two.postprocess, TwoStage)
    assert two.parts["roi_heads.box_head"].postprocess is None


@pytest.mark.parametrize("name", BOTH)
def test_every_core_is_checked_and_the_report_is_of_all(name):
    result = compressed(name)
    made = [result, *result.parts.values()]
    report = result.report

    assert all(one.report.check.mismatches == 0 for one in made)
    assert [row.name for row in report.cores] == [result.core, *result.parts]
    assert report.integer.size_bytes == sum(row.size_bytes for row in report.cores)
    assert [row.size_bytes for row in report.cores] == [len(one.content) for one in made]
    graphs = graphs_of(result.whole)
    assert report.float.params == sum(map(total_params, graphs))
    # the second core looks at every region of a picture, as many as there may be
    counts = [1] if name == ONE else [1, result.postprocess.regions.most]
    macs = [sum(count_macs(graph).values()) for graph in graphs]
    assert report.float.macs == sum(n * one for n, one in zip(counts, macs, strict=True))
    assert "cannot be captured as a whole" in report.warnings[0]
    assert sum(row.weights_percent for row in report.cores) <= 100.0


@pytest.mark.parametrize("name", BOTH)
def test_a_whole_beside_itself_has_all_boxes_the_same_and_an_ap_of_100(name):
    seen = given(4)
    truths = labels_of(name, seen)
    module = detector(name)

    found = compare_wholes(module, module, [(seen, truths)], Asked())

    assert found.judgement.agreement.same == 4.0
    assert found.judgement.agreement.parts == 100.0
    assert found.figures == found.float_figures
    assert found.figures["ap"] == pytest.approx(100.0)


def test_figures_are_those_of_the_two_modules_and_the_verdict_is_of_boxes():
    seen = given(4)
    truths = labels_of(ONE, seen)

    result = again(ONE, evaluate=[(seen[:2], truths[:2]), (seen[2:], truths[2:])])

    known = compare_wholes(detector(ONE), result.module(), [(seen, truths)], Asked())
    assert result.report.float.figures["ap"] == pytest.approx(known.float_figures["ap"], abs=0.01)
    assert result.report.integer.figures["ap"] == pytest.approx(known.figures["ap"], abs=0.01)
    assert result.report.task == "detect"
    assert result.report.verdict is not None
    assert result.report.integer.n == 4
    assert any(section.key == "pictures" for section in result.shown)


@pytest.mark.parametrize("name", BOTH)
def test_the_module_takes_and_gives_what_the_users_does(name):
    seen = given()
    before = [one.clone() for one in seen]

    found = called(compressed(name).module(), seen)

    assert all(torch.equal(one, old) for one, old in zip(seen, before, strict=True))
    assert [set(one) for one in found] == [set(one) for one in called(detector(name), seen)]
    assert sum(len(one["scores"]) for one in found) > 10


@pytest.mark.parametrize("name", BOTH)
def test_the_module_looks_through_the_twins_and_not_the_float_weights(name):
    result = compressed(name)
    module = result.module()
    with torch.no_grad():
        for weight in module.parameters():
            weight.fill_(float("nan"))
    seen = given()

    known, found = called(result.module(), seen), called(module, seen)

    for one, other in zip(known, found, strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_saved_result_is_loaded_with_equal_parts(saved):
    name, place = saved
    result = compressed(name)

    other = intaglio.load(place)

    assert (other.core, list(other.parts)) == (result.core, list(result.parts))
    assert other.postprocess == result.postprocess
    pairs = [(result, other)]
    pairs += [(result.parts[key], other.parts[key]) for key in result.parts]
    for one, two in pairs:
        assert one.files == two.files
        assert text(one.graph) == text(two.graph)
        assert one.report.to_dict() == two.report.to_dict()
        assert one.recipe == two.recipe
    assert other.whole is None
    images = torch.stack(given())
    size = result.postprocess.input_size if name == ONE else result.postprocess.head.input_size
    images = nn.functional.interpolate(images, size)
    for known, found in zip(result.detect(images), other.detect(images), strict=True):
        assert np.array_equal(known.boxes, found.boxes)
        assert np.array_equal(known.scores, found.scores)
        assert np.array_equal(known.classes, found.classes)


def test_loaded_with_the_users_module_it_is_that_module_again(saved):
    name, place = saved
    seen = given()

    other = intaglio.load(place, module=detector(name))

    known, found = called(compressed(name).module(), seen), called(other.module(), seen)
    for one, two in zip(known, found, strict=True):
        assert all(torch.equal(one[key], two[key]) for key in one)


def test_the_same_detector_gives_the_same_bytes(saved, tmp_path):
    name, place = saved

    compressed(name).save(tmp_path / "again")
    again(name).save(tmp_path / "anew")

    files = {file.name for file in place.iterdir()}
    assert files == {file.name for file in (tmp_path / "anew").iterdir()}
    timed = {"report.json", "core2-report.json", "report.html", "SHA256SUMS"}  # durations
    for file in files:
        old = (place / file).read_bytes()
        assert (tmp_path / "again" / file).read_bytes() == old
        assert file in timed or (tmp_path / "anew" / file).read_bytes() == old, file


def test_without_the_module_there_is_no_python_and_it_is_said_how_to_give_it(saved):
    with pytest.raises(RequestError, match=r"give it: load\(place, module=...\)"):
        intaglio.load(saved[1]).module()


def test_another_detectors_module_is_refused_by_the_folder(saved):
    name, place = saved
    other = detector(TWO if name == ONE else ONE)

    with pytest.raises(RequestError, match="give the module that it was made of") as caught:
        intaglio.load(place, module=other)

    assert str(place) in str(caught.value)


def test_a_module_is_refused_where_a_network_has_no_cores(tmp_path):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    data = torch.rand(4, 3, 8, 8)
    result = intaglio.compress(network, data[:1], data=data, recipe="plain")
    result.save(tmp_path / "out")

    with pytest.raises(RequestError, match="is of a network without cores: leave module out"):
        intaglio.load(tmp_path / "out", module=network)
    with pytest.raises(RequestError, match="the twin is all of it"):
        result.module()
    with pytest.raises(RequestError, match=r"it has no postprocess\.json"):
        result.detect(data)


def test_a_missing_part_is_refused_by_its_file(tmp_path):
    place = tmp_path / "two"
    compressed(TWO).save(place)
    (place / "core2-model.tflite").unlink()
    write_sums(place)

    with pytest.raises(RequestError, match=r"core2-model\.tflite"):
        intaglio.load(place)


def test_two_stages_without_a_second_core_are_refused_when_boxes_are_asked_for(tmp_path):
    place = tmp_path / "two"
    compressed(TWO).save(place)
    content = json.loads((place / "cores.json").read_text())
    content["cores"] = content["cores"][:1]
    (place / "cores.json").write_text(json.dumps(content))
    write_sums(place)

    result = intaglio.load(place)

    with pytest.raises(RequestError, match="there is no second core for the regions"):
        result.detect(torch.zeros(1, 3, *result.postprocess.head.input_size))


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(1, 3, 64, 64),
        torch.zeros(1, 1, 96, 96),
        torch.zeros(3, 96, 96),
        torch.zeros(1, 3, 96, 96, dtype=torch.uint8),
    ],
)
def test_images_of_another_form_are_refused_with_both(images):
    said = r"takes float32 \[N, 3, 96, 96\], and the images are"

    with pytest.raises(RequestError, match=said) as caught:
        compressed(ONE).detect(images)

    assert str(list(images.shape)) in str(caught.value)


def test_of_no_images_nothing_is_found():
    assert compressed(ONE).detect(torch.zeros(0, 3, 96, 96)) == []


def test_the_post_processing_of_another_network_is_refused(tmp_path):
    place = tmp_path / "one"
    compressed(ONE).save(place)
    content = json.loads((place / "postprocess.json").read_text())
    content["levels"][0]["scores"]["output"] = 9
    (place / "postprocess.json").write_text(json.dumps(content))
    write_sums(place)

    with pytest.raises(RequestError, match=r"postprocess\.json does not fit .* output 9 is read"):
        intaglio.load(place).detect(torch.zeros(1, 3, 96, 96))


def test_data_that_can_be_gone_through_once_is_refused_where_there_are_two_cores():
    once: Iterator[list[Tensor]] = iter([given()])

    with pytest.raises(DataError, match="the detector has 2 cores"):
        intaglio.compress(detector(TWO), given(), data=once, recipe="plain")


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (torch.zeros(3, 3, 4, 4), [(1, 3, 4, 4)] * 3),
        ([torch.zeros(2, 3, 4, 4)], [(2, 3, 4, 4)]),
        ([(torch.zeros(2, 3, 4, 4), [1, 2])], [(2, 3, 4, 4)]),
        ([[torch.zeros(3, 4, 4)]], [[(3, 4, 4)]]),
        ([((torch.zeros(3, 4, 4), torch.zeros(3, 5, 5)), ({}, {}))], [[(3, 4, 4), (3, 5, 5)]]),
    ],
)
def test_pictures_are_taken_out_of_data_and_labels_left(data, wanted):
    found = list(pictures(data))

    shapes = [
        tuple(one.shape) if isinstance(one, Tensor) else [tuple(part.shape) for part in one]
        for one in found
    ]
    assert shapes == wanted


def test_labels_of_a_data_set_need_a_detector_of_a_known_kind():
    source = intaglio.read(detector(ONE), given())
    unknown = replace(source, recognise=None, postprocess=None)
    where = Provenance(categories=tuple(Category(n, f"c{n}") for n in range(CLASSES - 1)))

    with pytest.raises(RequestError, match=r"which class of the labels .* cannot be told"):
        intaglio.compress(
            unknown,
            data=[given()],
            evaluate=[(given(), labels_of(ONE, given()))],
            recipe="plain",
            options=intaglio.Options(provenance=where),
        )


def test_regions_of_a_picture_are_spread_over_all_of_them():
    assert REGIONS < 150  # what a small detector proposes: else this would say nothing
    report = compressed(TWO).parts["roi_heads.box_head"].report

    # of each of the two batches no more than REGIONS, and more than half of these
    assert REGIONS < report.data.images <= 2 * REGIONS


def test_without_images_a_second_core_is_shown_what_the_float_detector_makes_of_noise():
    result = intaglio.compress(detector(TWO), given(1), data=None, recipe="dfq")

    checks = [one.report.check for one in (result, *result.parts.values())]
    assert [check.mismatches for check in checks] == [0, 0]
    assert result.report.data == "none"
    assert all(len(one["boxes"]) for one in called(result.module(), given(1)))
