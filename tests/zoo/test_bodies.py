"""A classifier's weights in the body of a detector."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from intaglio import zoo
from intaglio.errors import RequestError, WeightsError
from intaglio.zoo.bodies import load_backbone
from intaglio.zoo.faster_rcnn import (
    fasterrcnn_mobilenet_v2_fpn,
    fasterrcnn_mobilenet_v3_large_320_fpn,
)
from intaglio.zoo.mobilenet_v3 import mobilenet_v3_large
from intaglio.zoo.resnet import resnet50_layers
from intaglio.zoo.retinanet import retinanet_mobilenet_v2_fpn, retinanet_resnet50_fpn
from intaglio.zoo.ssd import ssd300_vgg16
from intaglio.zoo.ssdlite import ssdlite320_mobilenet_v3_large, ssdlite_mobilenet_v2
from intaglio.zoo.vgg import vgg16_features


def of_vgg(width: float) -> nn.Module:
    return nn.ModuleDict({"features": vgg16_features(width)})


PAIRS = {
    "ssdlite_mobilenet_v2": (ssdlite_mobilenet_v2, zoo.mobilenet_v2),
    "ssdlite320_mobilenet_v3_large": (
        lambda width: ssdlite320_mobilenet_v3_large(width=width, reduced_tail=False),
        mobilenet_v3_large,
    ),
    "retinanet_mobilenet_v2_fpn": (retinanet_mobilenet_v2_fpn, zoo.mobilenet_v2),
    "fasterrcnn_mobilenet_v2_fpn": (fasterrcnn_mobilenet_v2_fpn, zoo.mobilenet_v2),
    "fasterrcnn_mobilenet_v3_large_320_fpn": (
        fasterrcnn_mobilenet_v3_large_320_fpn,
        mobilenet_v3_large,
    ),
    "ssd300_vgg16": (ssd300_vgg16, of_vgg),
}
"""Detectors, and the classifiers that they are built on."""


def features_of(classifier: nn.Module) -> set[str]:
    """Return the keys of all weights but those of the last layers and counters."""
    return {
        key
        for key in classifier.state_dict()
        if key.startswith("features.") and not key.endswith("num_batches_tracked")
    }


@pytest.mark.parametrize("name", PAIRS)
def test_a_body_takes_all_weights_of_its_classifier_but_the_last_layers(name):
    build, of_classifier = PAIRS[name]
    detector, classifier = build(width=0.25), of_classifier(width=0.25)

    taken = load_backbone(detector, classifier.state_dict())

    assert set(taken) == features_of(classifier)


def test_a_pyramids_maps_are_then_those_of_the_classifier(data_pack):
    weights = load_file(data_pack / "weights" / "mobilenet_v2_1.0_224_tf.safetensors")
    classifier = zoo.mobilenet_v2_tf().eval()
    classifier.load_state_dict(weights)
    detector = retinanet_mobilenet_v2_fpn(backbone="mobilenet_v2_tf").eval()
    images = torch.rand(1, 3, 96, 64)

    load_backbone(detector, weights)

    with torch.no_grad():
        last = detector.backbone.body(images)[-1]
        assert torch.equal(last, classifier.features(images))


def test_an_ssdlite_sees_then_what_the_classifier_sees(data_pack):
    weights = load_file(data_pack / "weights" / "mobilenet_v2_1.0_224_tf.safetensors")
    classifier = zoo.mobilenet_v2_tf().eval()
    classifier.load_state_dict(weights)
    detector = ssdlite_mobilenet_v2(backbone="mobilenet_v2_tf").eval()
    images = torch.rand(1, 3, 96, 64)

    load_backbone(detector, weights)

    with torch.no_grad():
        first, second = detector.backbone(images)[:2]
        before = classifier.features[:14](images)
        assert torch.equal(first, classifier.features[14].conv[0](before))
        assert torch.equal(second, classifier.features(images))


def test_a_resnets_keys_have_no_word_in_front():
    with torch.device("meta"):
        keys = nn.Sequential(resnet50_layers()).state_dict()
        detector = retinanet_resnet50_fpn(num_classes=2)

    taken = load_backbone(detector, keys | {"fc.weight": torch.empty(0)})

    assert {"conv1.weight", "layer4.2.bn3.running_var"} < set(taken)
    assert set(taken) == {key for key in keys if not key.endswith("num_batches_tracked")}


def test_weights_of_another_width_are_refused_by_name_and_nothing_is_copied():
    detector = fasterrcnn_mobilenet_v2_fpn(num_classes=2, width=0.25)
    before = {key: tensor.clone() for key, tensor in detector.state_dict().items()}

    with pytest.raises(WeightsError, match=r"'features.* has the shape .*, not .* and \d+ more"):
        load_backbone(detector, zoo.mobilenet_v2(width=0.5).state_dict())

    assert all(torch.equal(before[key], tensor) for key, tensor in detector.state_dict().items())


def test_weights_of_another_classifier_are_refused():
    detector = fasterrcnn_mobilenet_v2_fpn(num_classes=2, width=0.25)

    with pytest.raises(WeightsError, match=r"'features\.1\.conv.*' is missing"):
        load_backbone(detector, mobilenet_v3_large(width=0.25).state_dict())


def test_a_module_that_says_nothing_of_a_classifier_is_refused():
    with pytest.raises(RequestError, match="Linear has no backbone_keys"):
        load_backbone(nn.Linear(2, 2), {})


@pytest.mark.parametrize(
    "build", [ssdlite_mobilenet_v2, retinanet_mobilenet_v2_fpn, fasterrcnn_mobilenet_v2_fpn]
)
def test_an_unknown_backbone_is_refused(build):
    with pytest.raises(RequestError, match=r"backbone must be one of .*'mobilenet_v2_tf'"):
        build(backbone="resnet18")
