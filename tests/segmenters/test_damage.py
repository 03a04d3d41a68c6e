"""Maps that broke are never called good: neither by a judge nor at the end of a search."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor

import intaglio
from intaglio.ir.graph import Graph
from intaglio.maps.postprocess import MapPostProcess
from intaglio.read.module.export import capture
from intaglio.run.float import run_float
from intaglio.tasks import SEGMENT, Judge, Wish
from segmenters.painters import Named
from segmenters.scenes import scenes

WISH = Wish()


class Swamped(Named):
    """Scores that all classes share a large part of: whole for floats, lost on one grid."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 4e3 * (x[:, :1] - 0.5)


@functools.cache
def graph() -> Graph:
    return capture(Named().eval(), scenes(1)[0])


@functools.cache
def judge() -> Judge:
    return Judge(graph(), scenes(40)[0], None, SEGMENT, is_told=True)


def scores(images: Tensor) -> Tensor:
    return run_float(graph(), images)[0]


def shifted(images: Tensor) -> Tensor:
    return scores(images).roll(2, dims=3)


def without_a_class(images: Tensor) -> Tensor:
    found = scores(images).clone()
    found[:, 3] -= 100
    return found


def one_class_alone(images: Tensor) -> Tensor:
    found = scores(images).clone()
    found[:, 0] += 100
    return found


def two_classes_changed_places(images: Tensor) -> Tensor:
    return scores(images)[:, [0, 2, 1, 3]]


def thinned(images: Tensor) -> Tensor:
    """Return maps whose third class is smaller by one pixel all around."""
    found = scores(images).clone()
    found[:, 2] = -torch.nn.functional.max_pool2d(-found[:, 2:3], 3, 1, 1)[:, 0]
    return found


@pytest.mark.parametrize(
    "damage", [shifted, without_a_class, one_class_alone, two_classes_changed_places, thinned]
)
def test_a_judge_without_masks_sees_that_maps_broke(damage):
    found = judge().of(damage)

    assert not found.meets(WISH)
    assert not found.proves(WISH)
    assert found.colour(WISH)[0] != "green"


def test_the_same_judge_finds_whole_maps_good():
    assert judge().of(scores).proves(WISH)


def test_scores_that_are_near_in_value_do_not_hide_that_their_maps_broke():
    images, _ = scenes(120)

    made = intaglio.compress(Swamped().eval(), images[:1], data=images)

    assert isinstance(made.postprocess, MapPostProcess)
    kept = [attempt for attempt in made.report.attempts if attempt.kept]
    assert kept[-1].agreement is not None
    assert kept[-1].agreement < 70
    assert kept[-1].sqnr_db is not None
    assert kept[-1].sqnr_db > 40  # by that alone it would be an excellent network
    assert made.report.verdict is not None
    assert made.report.verdict.accuracy in ("amber", "red")
    assert any("wish" in told for told in made.report.warnings), made.report.warnings


def test_nor_are_they_called_good_where_masks_judge():
    images, masks = scenes(60)

    made = intaglio.compress(
        Swamped().eval(), images[:1], data=images[:8], evaluate=(images, masks), recipe="plain"
    )

    assert made.report.verdict is not None
    assert made.report.verdict.accuracy == "red"
    assert made.report.integer.figures["miou"] < made.report.float.figures["miou"] - 10
