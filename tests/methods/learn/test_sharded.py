from __future__ import annotations

import pytest

from intaglio.errors import DataError
from intaglio.methods.learn.processes import ALONE
from intaglio.methods.learn.sharded import measured_by_parts, whole_batches
from intaglio.tasks import CLASSIFY, evaluate
from intaglio.tasks.evaluate import NOTHING
from methods.learn.numbered import Numbered, scores

TO_CLASSIFY = {"task": CLASSIFY, "names": ["scores"], "batch": 4}


def test_figures_are_those_of_an_ordinary_evaluation():
    samples = Numbered()
    taken = [samples.take(range(start, min(start + 4, 10))) for start in range(0, 10, 4)]

    found = measured_by_parts(scores, samples, indices=range(10), processes=ALONE, **TO_CLASSIFY)

    assert found == evaluate(scores, [(part.images, part.labels) for part in taken])


def test_without_an_image_that_can_be_read_there_are_no_figures():
    samples = Numbered(frozenset({0, 1}))

    with pytest.raises(DataError, match=NOTHING):
        measured_by_parts(scores, samples, indices=range(2), processes=ALONE, **TO_CLASSIFY)


def test_batches_come_whole_and_in_order():
    samples = Numbered(frozenset({5}))

    batches = list(
        whole_batches(scores, samples, indices=[6, 5, 2, 0, 1], processes=ALONE, batch=3)
    )

    assert [outputs[0].argmax(1).tolist() for outputs, _ in batches] == [[6, 2], [0, 1]]
    assert [labels.tolist() for _, labels in batches] == [[1, 2], [0, 1]]


def test_labels_of_another_form_are_refused():
    class Named(Numbered):
        def take(self, indices):
            taken = super().take(indices)
            return type(taken)(taken.images, {"boxes": 1}, taken.indices)

    with pytest.raises(DataError, match="labels of a batch are dict"):
        list(whole_batches(scores, Named(), indices=[1], processes=ALONE, batch=3))
