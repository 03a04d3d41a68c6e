"""The images of each step."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import pytest
import torch

from intaglio.data.order import step_indices
from intaglio.methods.learn.feed import fed_from, own_places, partner_places, plain_images
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.learn.processes import ALONE, Processes
from methods.learn.tiny import TensorSamples, images_and_labels


@dataclass(frozen=True)
class OneOfTwo(Processes):
    """One of two processes that are never asked for sums."""

    count: int = 2

    def part(self, size: int) -> slice:
        """Return the first or the second half."""
        half = (size + 1) // 2
        return slice(0, half) if self.rank == 0 else slice(half, size)


def fed(options, processes=ALONE, *, step=0, total=4, **changes):
    samples = TensorSamples(*images_and_labels(20), **changes)
    return list(fed_from(samples, options, processes, step=step, total=total))


def test_each_step_sees_its_images_in_the_order_of_the_seed():
    options = TrainOptions(batch=8, seed=5)

    found = fed(options)

    wanted = [tuple(step_indices(20, 8, seed=5, step=step)) for step in range(4)]
    assert [part.own.indices for part in found] == wanted
    images, labels = images_and_labels(20)
    assert torch.equal(found[1].own.images, images[list(wanted[1])])
    assert torch.equal(found[1].own.labels, labels[list(wanted[1])])
    assert found[0].partners is None


def test_a_run_that_goes_on_sees_what_it_would_have_seen():
    options = TrainOptions(batch=8, flip=True, mixup=0.2)

    whole, rest = fed(options), fed(options, step=2)

    assert len(rest) == 2
    for first, second in zip(whole[2:], rest, strict=True):
        assert torch.equal(first.own.images, second.own.images)
        assert torch.equal(first.partners.images, second.partners.images)


def test_partners_are_the_images_at_the_mirrored_places():
    found = fed(TrainOptions(batch=8, mixup=0.2))

    for part in found:
        assert part.partners.indices == part.own.indices[::-1]
        assert torch.equal(part.partners.images, part.own.images.flip(0))
        assert torch.equal(part.partners.labels, part.own.labels.flip(0))


@pytest.mark.parametrize("batch", [7, 8])
def test_two_processes_see_what_one_would_have_seen(batch):
    options = TrainOptions(batch=batch, mixup=0.2, flip=True)

    whole = fed(options)
    halves = [fed(options, OneOfTwo(rank)) for rank in (0, 1)]

    for one, first, second in zip(whole, *halves, strict=True):
        for part in ("own", "partners"):
            both = [getattr(half, part) for half in (first, second)]
            images = torch.cat([half.images for half in both])
            assert torch.equal(images, getattr(one, part).images)


def test_a_step_in_which_an_image_cannot_be_read_mixes_none():
    options = TrainOptions(batch=8, mixup=0.2)
    lost = step_indices(20, 8, seed=0, step=1)[3]

    found = fed(options, unreadable=frozenset({lost}))

    assert found[0].partners is not None
    assert found[1].partners is None
    assert len(found[1].own.indices) == 7 == len(found[1].own.images)


def test_an_image_beside_one_that_cannot_be_read_is_changed_as_ever():
    options = TrainOptions(batch=8, flip=True)
    lost = step_indices(20, 8, seed=0, step=0)[0]

    whole, less = fed(options)[0], fed(options, unreadable=frozenset({lost}))[0]

    assert torch.equal(less.own.images, whole.own.images[1:])


def test_a_place_and_its_partners_are_each_others():
    batch = list(range(10, 17))
    parts = [own_places(batch, OneOfTwo(rank)) for rank in (0, 1)]
    partners = [partner_places(batch, OneOfTwo(rank)) for rank in (0, 1)]

    assert parts[0].indices + parts[1].indices == tuple(batch)
    assert partners[0].indices + partners[1].indices == tuple(batch[::-1])
    assert partners[0].positions == (6, 5, 4, 3)


def test_plain_images_are_whole_batches_until_there_are_enough():
    samples = TensorSamples(*images_and_labels(20), unreadable=frozenset({0}))
    options = TrainOptions(batch=8, flip=True)

    batches = list(plain_images(samples, options, step=3, images=9))

    assert len(batches) == 2
    order = [index for index in step_indices(20, 8, seed=0, step=3) if index]
    assert torch.equal(batches[0], samples.images[order])
    assert len(list(islice(plain_images(samples, options, step=0, images=999), 9))) == 3
