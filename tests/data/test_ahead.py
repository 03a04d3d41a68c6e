"""Batches of samples, taken ahead of their use by one thread."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch

from data.generated_images import MakeImage
from intaglio.data.ahead import taken_ahead
from intaglio.data.guard import forbid_images
from intaglio.data.image_samples import ImageSamples
from intaglio.data.images import open_dataset
from intaglio.data.order import steps_from
from intaglio.data.preprocess import Preprocess
from intaglio.data.samples import Taken
from intaglio.data.tensor_samples import TensorSamples
from intaglio.errors import DataError, IntaglioError

IMAGES = torch.arange(20.0).reshape(20, 1, 1, 1)
SAMPLES = TensorSamples(IMAGES, torch.arange(20), (1, 1, 1))


class Noted:
    """Samples that note what is taken, and cannot take one of them."""

    name = "noted"
    skipped: Sequence[str] = ()

    def __init__(self, bad: int = -1) -> None:
        self.taken: list[tuple[int, ...]] = []
        self.bad = bad

    def __len__(self) -> int:
        return 20

    def take(self, indices: Sequence[int]) -> Taken:
        self.taken.append(tuple(indices))
        if self.bad in indices:
            raise DataError(f"image {self.bad} is unreadable")
        return SAMPLES.take(indices)


def within_seconds(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.005)
    return holds()


def has_no_thread() -> bool:
    return not any(thread.name.startswith("intaglio-images") for thread in threading.enumerate())


def test_batches_come_in_their_order_and_end_with_the_steps() -> None:
    steps = [[3, 1], [2], [5, 4, 19]]

    found = list(taken_ahead(SAMPLES, iter(steps)))

    assert [taken.indices for taken in found] == [(3, 1), (2,), (5, 4, 19)]
    assert [taken.labels.tolist() for taken in found] == steps
    assert has_no_thread()


def test_endless_steps_are_taken_at_most_two_ahead_and_none_before_the_first() -> None:
    samples = Noted()
    stream = taken_ahead(samples, steps_from(20, 4, seed=0))
    assert samples.taken == []

    for number in range(1, 8):
        next(stream)
        assert within_seconds(lambda number=number: len(samples.taken) == number + 2)
    stream.close()

    assert samples.taken == [tuple(s) for s in itertools.islice(steps_from(20, 4, seed=0), 9)]
    assert has_no_thread()
    assert list(stream) == []


def test_the_thread_ends_when_the_consumer_breaks_off() -> None:
    for _ in taken_ahead(Noted(), steps_from(20, 4, seed=0)):
        break

    assert within_seconds(has_no_thread)


def test_an_error_comes_where_its_batch_is_asked_for_and_ends_it() -> None:
    stream = taken_ahead(Noted(bad=7), iter([[0], [1], [7], [2]]))

    assert next(stream).indices == (0,)
    assert next(stream).indices == (1,)
    with pytest.raises(DataError, match="image 7 is unreadable"):
        next(stream)
    assert list(stream) == []
    assert has_no_thread()


def test_an_error_of_the_steps_comes_to_the_consumer_too() -> None:
    def steps() -> Iterator[list[int]]:
        yield [0]
        raise ZeroDivisionError

    stream = taken_ahead(SAMPLES, steps())

    assert next(stream).indices == (0,)
    with pytest.raises(ZeroDivisionError):
        next(stream)


def test_while_images_are_forbidden_files_are_not_taken_but_tensors_are(
    tmp_path: Path, make_image: MakeImage
) -> None:
    make_image("a.png")
    files = ImageSamples(open_dataset(tmp_path), Preprocess(), (1, 3, 12, 12))

    with forbid_images():
        with pytest.raises(IntaglioError, match="without data tried to read"):
            next(taken_ahead(files, iter([[0]])))
        with pytest.raises(IntaglioError, match="without data tried to read"):
            files.take([0])
        assert next(taken_ahead(SAMPLES, iter([[0]]))).indices == (0,)

    assert next(taken_ahead(files, iter([[0]]))).indices == (0,)
