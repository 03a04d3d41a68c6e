"""A whole Faster R-CNN is trained by the loop of all others."""

from __future__ import annotations

import pytest
import torch

from intaglio.data.given import samples_of
from intaglio.errors import RequestError
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.train.two_stage import Course, train_two_stage
from intaglio.tasks.detect.detect import Detect
from intaglio.tasks.detect.losses.two_stage import faster_rcnn_loss
from intaglio.zoo.faster_rcnn import fasterrcnn_mobilenet_v2_fpn

SIDE = 64
OPTIONS = TrainOptions(
    epochs=6, batch=2, lr=1e-3, optimizer="adamw", evaluations=0, held_out=0, clip=5.0
)


def module_of(seed=0):
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return fasterrcnn_mobilenet_v2_fpn(3, width=0.25)


def samples():
    images, labels = torch.zeros(4, 3, SIDE, SIDE), []
    for number in range(4):
        left, top, name = 4 + 6 * number, 20 - 5 * number, 1 + number % 2
        images[number, name, top : top + 32, left : left + 36] = 1.0
        box = [[left, top, left + 36, top + 32]]
        labels.append({"boxes": torch.tensor(box), "labels": torch.tensor([name])})
    return samples_of((images, labels), (3, SIDE, SIDE))


def loss_of(module):
    taken = samples().take(range(4))
    torch.manual_seed(0)
    with torch.no_grad():
        return faster_rcnn_loss(module, taken.images, taken.labels).item()


@pytest.mark.slow
def test_it_learns_pictures_and_ends_in_measuring_mode():
    module = module_of()
    before = loss_of(module)

    learned = train_two_stage(module, Course(samples()), OPTIONS)

    assert learned.steps == 12
    assert loss_of(module) < 0.9 * before  # 0.6 to 0.8, by which regions are drawn
    assert not module.training
    assert set(module(samples().take([0]).images)[0]) == {"boxes", "labels", "scores"}


@pytest.mark.slow
def test_held_out_pictures_measure_the_whole_module():
    course = Course(_Many(), Detect(kind="voc"))

    learned = train_two_stage(
        module_of(),
        course,
        OPTIONS.model_copy(update={"epochs": 0.4, "evaluations": 1, "held_out": 2}),
    )

    assert learned.start is not None
    assert learned.last is not None
    assert 0.0 <= learned.last <= 100.0


@pytest.mark.slow
def test_smoothing_is_refused():
    with pytest.raises(RequestError, match=r"smoothing = 0\.1"):
        train_two_stage(
            module_of(), Course(samples()), OPTIONS.model_copy(update={"smoothing": 0.1})
        )


class _Many:
    """The four pictures, five times."""

    name, skipped = "many", ()

    def __init__(self):
        self.samples = samples()

    def __len__(self):
        return 20

    def take(self, indices):
        taken = self.samples.take([index % 4 for index in indices])
        return type(taken)(taken.images, taken.labels, tuple(indices))
