"""A whole Faster R-CNN is trained by the call that trains any network, in float."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest
import torch

import intaglio
from detectors.torchvision_style import DETECTORS, example
from intaglio.data.given import samples_of
from intaglio.errors import DataError, RequestError, Untraceable
from intaglio.job.trained import WEIGHTS
from intaglio.job.training import TrainRun
from intaglio.methods.learn.processes import Processes
from intaglio.tasks.detect.losses.two_stage import faster_rcnn_loss
from intaglio.zoo.faster_rcnn import REGIONS, fasterrcnn_mobilenet_v2_fpn
from intaglio.zoo.regions import overlaps

pytestmark = pytest.mark.slow
SIDE = 64
OPTIONS = intaglio.TrainOptions(
    epochs=4, batch=2, lr=3e-4, optimizer="adamw", evaluations=0, held_out=0, clip=5.0
)


def module_of():
    """A network of few proposals: a thousand regions of a picture would take a second."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        module = fasterrcnn_mobilenet_v2_fpn(3, width=0.25)
    module.region_limits = replace(REGIONS, before=30, most=20)
    return module


def pictures():
    """Four black pictures with a red or a green square each, of classes 1 and 2."""
    images, labels = torch.zeros(4, 3, SIDE, SIDE), []
    for number in range(4):
        left, top, name = 4 + 6 * number, 20 - 5 * number, 1 + number % 2
        images[number, name, top : top + 32, left : left + 36] = 1.0
        box = torch.tensor([[left, top, left + 36, top + 32]], dtype=torch.float32)
        labels.append({"boxes": box, "labels": torch.tensor([name])})
    return images, labels


def loss_of(module):
    images, labels = pictures()
    truths = samples_of((images, labels), (3, SIDE, SIDE)).take(range(4)).labels
    with torch.no_grad(), torch.random.fork_rng([]):
        torch.manual_seed(0)
        return faster_rcnn_loss(module, images, truths).item()


@functools.cache
def trained():
    """The network before training, and the result of training it."""
    module = module_of()
    found = intaglio.train(
        module, data=pictures(), evaluate=pictures(), scheme="float", options=OPTIONS
    )
    return module, found


def test_the_weights_are_those_of_the_users_module_and_say_more_of_the_pictures():
    module, found = trained()

    after = module_of()
    after.load_state_dict(dict(found.weights))
    assert list(found.weights) == list(module.state_dict())
    assert loss_of(after) < 0.6 * loss_of(module)  # a third, by which regions are drawn


def test_the_users_module_stays_as_it_is():
    module, _ = trained()

    for name, tensor in module_of().state_dict().items():
        assert torch.equal(module.state_dict()[name], tensor), name


def test_there_is_no_integer_network_and_the_record_has_the_figures_of_boxes():
    _, found = trained()

    assert found.result is None
    assert (found.record["scheme"], found.record["steps"]) == ("float", 8)
    assert found.record["start"].keys() == found.record["final"].keys() >= {"ap", "ap50", "n"}
    assert found.record["final"]["n"] == 4
    assert (found.recipe.scheme, found.recipe.task) == ("float", "detect")


def test_the_result_is_saved_as_that_of_any_network_trained_in_float(tmp_path):
    _, found = trained()

    found.save(tmp_path / "out")

    assert {file.name for file in (tmp_path / "out").iterdir()} >= {WEIGHTS, "train.json"}


def test_the_same_seed_gives_the_same_weights_from_a_state_that_is_kept(tmp_path):
    _, known = trained()

    found = intaglio.train(
        module_of(),
        data=pictures(),
        scheme="float",
        options=OPTIONS,
        run=TrainRun(out=tmp_path / "out"),
    )
    found.save(tmp_path / "out")

    assert all(torch.equal(found.weights[name], known.weights[name]) for name in known.weights)
    assert (tmp_path / "out" / "state.safetensors").is_file()
    assert [place.name for place in tmp_path.iterdir()] == ["out"]


REFUSED = {
    "integers": ({"scheme": "w8a8"}, r"float alone.*--scheme float"),
    "nobody said how": ({"scheme": None}, r"scheme 'w8a8'"),
    "a float teacher": ({"options": {"distill": 1.0}}, r"distill = 1 needs the float network"),
    "smoothing": ({"options": {"smoothing": 0.1}}, r"smoothing = 0\.1"),
    "two processes": ({"run": TrainRun(processes=Processes(count=2))}, "by one process"),
}


@pytest.fixture(scope="module")
def source():
    """A network that was read and cut once, for all that is refused."""
    return cut_once(intaglio.read(module_of(), pictures()[0][:1]))


def cut_once(source):
    """Return a source of a detector that nothing captures whole, as it was found to be once."""
    whole = source.cut()

    def captured():
        raise Untraceable("it computes with values")

    return replace(source, capture=captured, cut=lambda: whole)


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_done_is_refused_with_what_to_do(source, what):
    words, said = REFUSED[what]
    options = OPTIONS.model_copy(update=words.get("options", {}))

    with pytest.raises(RequestError, match=said):
        intaglio.train(source, data=pictures(), **{"scheme": "float", **words, "options": options})


def test_labels_that_cannot_be_learned_are_refused_before_any_work(source):
    images, labels = pictures()
    labels[2]["labels"][0] = 3

    with pytest.raises(DataError, match="class 3 of a box is out of range"):
        intaglio.train(source, data=(images, labels), scheme="float", options=OPTIONS)
    with pytest.raises(DataError, match="no boxes to learn from"):
        intaglio.train(source, data=images, scheme="float", options=OPTIONS)


@functools.cache
def others():
    """Detectors that are none of ours, laid out as torchvision's, each cut once."""
    found = {}
    for name in ("fasterrcnn_mobilenet", "ssd"):
        module = DETECTORS[name]().requires_grad_()
        found[name] = cut_once(intaglio.read(module, example(1, (96, 128), seed=3)[0][None]))
    return found


def test_a_detector_that_is_known_by_its_own_code_learns_too():
    images, labels = torch.zeros(2, 3, 96, 128), []
    for number in range(2):
        images[number, number, 20:70, 30:90] = 1.0
        box = torch.tensor([[30.0, 20.0, 90.0, 70.0]])
        labels.append({"boxes": box, "labels": torch.tensor([1 + number])})
    options = OPTIONS.model_copy(update={"epochs": 60, "lr": 2e-3})

    found = intaglio.train(
        others()["fasterrcnn_mobilenet"], data=(images, labels), scheme="float", options=options
    )

    module = DETECTORS["fasterrcnn_mobilenet"]()
    assert not all_found(module, images, labels)
    module.load_state_dict(dict(found.weights))
    assert all_found(module, images, labels)


def all_found(module, images, labels):
    """Whether in each picture the surest box is its object, as PASCAL VOC counts: half overlaps."""
    with torch.no_grad():
        made = module(list(images))
    return all(
        one["labels"][:1].tolist() == label["labels"].tolist()
        and overlaps(one["boxes"][:1], label["boxes"]).item() > 0.5
        for one, label in zip(made, labels, strict=True)
    )


def test_a_detector_of_which_nothing_learns_is_refused():
    module = module_of().requires_grad_(False)
    still = cut_once(intaglio.read(module, pictures()[0][:1]))

    with pytest.raises(RequestError, match="none would learn"):
        intaglio.train(still, data=pictures(), scheme="float", options=OPTIONS)


def test_whole_detectors_of_one_stage_are_refused():
    images, labels = torch.rand(2, 3, 96, 128), pictures()[1][:2]

    with pytest.raises(RequestError, match="Faster R-CNN alone is trained"):
        intaglio.train(others()["ssd"], data=(images, labels), scheme="float", options=OPTIONS)
