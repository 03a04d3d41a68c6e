"""A detector is trained, in float and in integers, by what its post-processing says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import intaglio
from intaglio.boxes import anchors, families
from intaglio.boxes.detect import detections
from intaglio.errors import DataError, RequestError

SIDE = 32
MAPS = ((8, 8), (4, 4))
OPTIONS = intaglio.TrainOptions(
    epochs=120, batch=4, lr=0.02, optimizer="adamw", evaluations=0, held_out=0, weight_decay=0.0
)


class TinyDetector(nn.Module):
    """A body of two strides, and SSD heads on maps of 8 x 8 and 4 x 4 cells; classes 1 and 2."""

    def __init__(self, family="ssd"):
        super().__init__()
        self.family = family
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            self.first = nn.Sequential(
                nn.Conv2d(3, 16, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.Conv2d(16, 24, 3, stride=2, padding=1),
                nn.ReLU(),
            )
            self.second = nn.Sequential(nn.Conv2d(24, 32, 3, stride=2, padding=1), nn.ReLU())
            self.boxes = nn.ModuleList([nn.Conv2d(c, 2 * 4, 3, padding=1) for c in (24, 32)])
            self.scores = nn.ModuleList([nn.Conv2d(c, 2 * 3, 3, padding=1) for c in (24, 32)])

    def forward(self, images):
        first = self.first(images)
        maps = (first, self.second(first))
        heads = (self.boxes, self.scores)
        return tuple(head(one) for kind in heads for head, one in zip(kind, maps, strict=True))

    def postprocess(self, input_size):
        places = anchors.default_boxes(input_size, MAPS, ratios=((), ()), scales=(0.25, 0.5, 0.9))
        post = families.ssd(input_size, places, classes=3)
        return replace(post, activation="none") if self.family == "unknown" else post


def pictures():
    """Four pictures with one or two bright squares each, class 1 red and class 2 green."""
    images = torch.zeros(4, 3, SIDE, SIDE)
    objects = [
        [(4, 4, 12, 12, 1)],
        [(16, 2, 30, 16, 2)],
        [(2, 16, 16, 30, 1), (20, 20, 28, 28, 2)],
        [(12, 8, 20, 16, 2), (20, 18, 30, 30, 1)],
    ]
    labels = []
    for image, own in zip(images, objects, strict=True):
        for left, top, right, bottom, number in own:
            image[number - 1, top:bottom, left:right] = 1.0
        table = torch.tensor(own, dtype=torch.float32)
        labels.append({"boxes": table[:, :4], "labels": table[:, 4].long()})
    return images, labels


def found_all(outputs, post, labels):
    """Whether of each picture the surest detections are its objects, and no other is sure."""
    for found, wanted in zip(detections(post, outputs), labels, strict=True):
        sure = found.scores > 0.5
        order = np.lexsort(found.boxes[sure].T)
        boxes, classes = found.boxes[sure][order], found.classes[sure][order]
        own = wanted["boxes"].numpy()
        names = wanted["labels"].numpy()[np.lexsort(own.T)]
        own = own[np.lexsort(own.T)]
        if classes.tolist() != names.tolist() or np.abs(boxes - own).max() > 2.0:
            return False
    return True


@pytest.mark.slow
def test_a_tiny_detector_learns_four_pictures_by_heart():
    network = TinyDetector()
    images, labels = pictures()

    found = intaglio.train(network, data=(images, labels), scheme="float", options=OPTIONS)

    post = network.postprocess((SIDE, SIDE))
    with torch.no_grad():
        before = [output.numpy() for output in network(images)]
        network.load_state_dict(dict(found.weights))
        after = [output.numpy() for output in network(images)]
    assert not found_all(before, post, labels)
    assert found_all(after, post, labels)


@pytest.mark.slow
def test_it_is_trained_in_integers_as_in_float():
    network = TinyDetector()
    images, labels = pictures()
    learned = intaglio.train(network, data=(images, labels), scheme="float", options=OPTIONS)
    network.load_state_dict(dict(learned.weights))

    found = intaglio.train(
        network,
        data=(images, labels),
        scheme="w4a4",
        options=OPTIONS.model_copy(update={"epochs": 30, "lr": 0.002}),
    )

    twin = found.result.twin
    post = network.postprocess((SIDE, SIDE))
    assert found_all([output.numpy() for output in twin(images)], post, labels)


def test_what_cannot_be_learned_is_refused_before_any_work():
    network, (images, labels) = TinyDetector(), pictures()

    for words, what in (({"smoothing": 0.1}, "smoothing = 0.1"), ({"mixup": 0.2}, "mixup = 0.2")):
        with pytest.raises(RequestError, match=what):
            intaglio.train(
                network,
                data=(images, labels),
                scheme="float",
                options=OPTIONS.model_copy(update=words),
            )
    with pytest.raises(RequestError, match="no loss is known for detectors of the family 'ssd'"):
        intaglio.train(
            TinyDetector("unknown"), data=(images, labels), scheme="float", options=OPTIONS
        )


def test_boxes_of_classes_that_the_network_has_not_are_refused_before_any_work():
    images, labels = pictures()
    labels[2]["labels"][0] = 3

    with pytest.raises(DataError, match="class 3 of a box is out of range"):
        intaglio.train(TinyDetector(), data=(images, labels), scheme="float", options=OPTIONS)
