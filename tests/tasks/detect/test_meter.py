"""The meter and the comparison of detectors, as evaluation and search use them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.tasks.detect.scenes import detections, scenes, truth
from torch import Tensor

from intaglio.boxes.detections import Detections
from intaglio.data.truth import Placement
from intaglio.errors import DataError
from intaglio.tasks.detect.bootstrap import bootstrap_error
from intaglio.tasks.detect.meter import METRICS, AveragePrecision
from intaglio.tasks.detect.same_boxes import SameBoxes
from intaglio.tasks.evaluate import _loss
from intaglio.tasks.judgement import Judgement, Wish
from intaglio.tasks.task import Resampled

A, B = (0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 30.0, 10.0)


def read(outputs: Sequence[Tensor]) -> list[Detections]:
    """Outputs [N, boxes, 6] are left, top, right, bottom, score, class."""
    return [
        detections(*((row[:4], row[4], int(row[5])) for row in rows.tolist() if row[4] > 0))
        for rows in outputs[0]
    ]


def outputs(*pictures: Sequence[tuple[Sequence[float], float, int]]) -> list[Tensor]:
    made = torch.zeros(len(pictures), 3, 6)
    for picture, rows in enumerate(pictures):
        for index, (box, score, number) in enumerate(rows):
            made[picture, index] = torch.tensor([*box, score, number])
    return [made]


def filled(kind, found, truths):
    meter = AveragePrecision(lambda given: given, kind=kind)
    for one, there in zip(found, truths, strict=True):
        meter.add([one], [there])
    return meter


def test_the_figure_of_the_wish_is_first():
    given, labels = outputs([(A, 0.9, 0)]), [truth((A, 0))]
    first = {}
    for kind in METRICS:
        meter = AveragePrecision(read, kind=kind)
        meter.add(given, labels)
        first[kind] = next(iter(meter.figures().items()))

    assert first == {
        "coco": ("ap", pytest.approx(100.0)),
        "coco_counted": ("ap", pytest.approx(100.0)),
        "voc": ("voc_ap50", 100.0),
        "voc2007": ("voc_ap50", 100.0),
    }


def test_coco_by_pycocotools_and_counted_are_the_same():
    found, truths = scenes(10, 3, 0)

    theirs, ours = (filled(kind, found, truths).figures() for kind in ("coco", "coco_counted"))

    assert ours == pytest.approx(theirs, abs=1e-9)  # the same sums in another order


def test_boxes_go_back_into_the_picture_and_classes_into_those_of_the_data_set():
    meter = AveragePrecision(read, np.array([-1, 7]), "voc")
    there = replace(truth(((0, 0, 20, 20), 7)), placement=Placement(0.5, 0.5, 100.0, 0.0))

    meter.add(outputs([((100.0, 0.0, 110.0, 10.0), 0.9, 1), (A, 0.99, 0)]), [there])

    assert meter.figures() == {"voc_ap50": 100.0}


def test_batches_add_up_and_a_figure_is_made_anew_after_another_batch():
    meter = AveragePrecision(read, kind="voc")
    meter.add(outputs([(A, 0.9, 0)]), [truth((A, 0))])
    alone = meter.figures()
    meter.add(outputs([], [(B, 0.9, 0)]), [truth((A, 0)), truth((B, 0))])

    assert alone == {"voc_ap50": 100.0}
    assert meter.figures() == {"voc_ap50": pytest.approx(200 / 3)}


def test_only_the_surest_of_a_picture_are_kept():
    meter = AveragePrecision(read, kind="voc", most=1)

    meter.add(outputs([(A, 0.9, 0), (B, 0.8, 1)]), [truth((A, 0), (B, 1))])

    assert len(meter.found[0]) == 1
    assert meter.figures() == {"voc_ap50": 50.0}


def test_points_lost_are_the_difference_of_the_first_figures():
    labels = [truth((A, 0)), truth((A, 0))]
    real, found = AveragePrecision(read, kind="voc"), AveragePrecision(read, kind="voc")
    real.add(outputs([(A, 0.9, 0)], [(A, 0.9, 0)]), labels)
    found.add(outputs([(A, 0.9, 0)], []), labels)

    assert (found.lost(real), real.lost(found)) == (50.0, -50.0)
    assert (found.by_image(), found.chance()) == (None, 0.0)


def test_the_error_of_a_loss_is_the_bootstraps_and_one_picture_more():
    (real, truths), (found, _) = scenes(25, 2, 0), scenes(25, 2, 1)
    meters = filled("coco_counted", real, truths), filled("coco_counted", found, truths)

    error = meters[1].error_against(meters[0])

    worth = meters[0].figures()["ap"] / 25
    assert error == pytest.approx(math.hypot(bootstrap_error(real, found, truths), worth))
    assert meters[0].error_against(meters[0]) == worth > 0.0  # other pictures might differ


def test_evaluation_takes_the_meters_own_error():
    found, truths = scenes(25, 2, 0)
    meter = filled("coco_counted", found, truths)

    loss = _loss(meter, meter, 25)

    assert isinstance(meter, Resampled)
    assert (loss.points, loss.error) == (0.0, meter.figures()["ap"] / 25)


def test_labels_without_an_object_say_nothing_of_a_loss():
    meter = filled("coco", [detections((A, 0.9, 0))], [truth()])

    assert meter.figures() == {}
    assert meter.lost(meter) == 0.0
    assert _loss(meter, meter, 1) is None


def test_labels_of_another_number_of_pictures_are_refused():
    with pytest.raises(DataError, match="outputs are of 1 pictures, the labels of 2"):
        AveragePrecision(read).add(outputs([]), [truth(), truth()])


def beside(*pairs):
    both = SameBoxes(["boxes"], read)
    for real, found in pairs:
        both.add(outputs(real), outputs(found))
    return both.agreement()


def test_a_picture_agrees_by_the_share_of_its_boxes_that_both_find():
    two = [(A, 0.9, 0), (B, 0.8, 1)]

    agreement = beside((two, two), (two, two[:1]), ([], []), ([], two))

    assert agreement.by_image.tolist() == [1.0, 0.5, 1.0, 0.0]
    assert (agreement.n, agreement.same, agreement.percent) == (4, 2.5, 62.5)
    assert agreement.parts == pytest.approx(100 * 3 / 6)
    assert agreement.is_sure
    assert agreement.is_varied


def test_a_float_network_that_finds_nothing_says_nothing():
    agreement = beside(([], []), ([(A, 0.1, 0)], [(A, 0.1, 0)]))

    assert (agreement.percent, agreement.parts) == (100.0, None)
    assert not agreement.is_varied
    assert Judgement(2, agreement, 3.0).loss is None


def test_outputs_have_their_noise():
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(20, 3, 6, generator=generator)
    both = SameBoxes(["boxes"], lambda given: [detections()] * len(given[0]))

    both.add([real], [real + 0.1 * torch.randn(20, 3, 6, generator=generator)])

    # 20 dB; the signal is of 60 values in each of few channels
    assert both.agreement().sqnr_db["boxes"] == pytest.approx(20.0, abs=1.5)


def test_without_a_batch_there_is_nothing_to_say():
    agreement = SameBoxes(["boxes"], read).agreement()

    assert (agreement.n, agreement.percent, agreement.parts) == (0, None, None)


def test_a_search_prefers_the_network_that_keeps_more_boxes():
    many = [(A, 0.9, 0), (B, 0.8, 1)]
    good = Judgement(60, beside(*[(many, many)] * 60), 3.0)
    poor = Judgement(60, beside(*[(many, many[:1])] * 60), 3.0)

    assert good.is_better_than(poor)
    assert not poor.is_better_than(good)
    assert good.meets(Wish(1.0))
    assert poor.misses(Wish(1.0))
