"""The check of every core of a saved detector."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ai_edge_litert import schema_py_generated as schema

import intaglio
from detectors.compressed import ONE, TWO, compressed
from intaglio.errors import RequestError
from intaglio.host.sums import write_sums
from intaglio.job.check_cores import (
    DRAWN,
    LOOKED_AT,
    REGIONS,
    CoreCheck,
    check_cores,
    drawn_inputs,
    together,
)
from intaglio.targets.runtime import CheckCounts, Deviation

BOX_HEAD = "roi_heads.box_head"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    compressed(TWO).save(tmp_path / "two")
    return tmp_path / "two"


def images(result: intaglio.Result, count: int) -> torch.Tensor:
    shape = result.graph[result.graph.inputs[0]].shape[1:]
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(1))


def checked(place: Path, count: int = 2) -> list[CoreCheck]:
    result = intaglio.load(place)
    return check_cores(result, images(result, count).split(1), file=place / "model.tflite")


def change_largest_weight(file: Path) -> None:
    """Make one integer of the largest weight of a file another one."""
    content = file.read_bytes()
    model = schema.Model.GetRootAs(content, 0)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    stored = max((bytes(b.DataAsNumpy()) for b in buffers if b.DataLength()), key=len)
    assert content.count(stored) == 1
    spot = content.index(stored) + len(stored) // 2
    file.write_bytes(content[:spot] + bytes([content[spot] ^ 0x55]) + content[spot + 1 :])


def test_each_core_is_compared_and_agrees(place: Path):
    first, second = checked(place)

    assert (first.name, second.name) == ("backbone", BOX_HEAD)
    assert (first.file.name, second.file.name) == ("model.tflite", "core2-model.tflite")
    assert first.counts.values_compared > 0
    assert second.counts.values_compared > 0
    assert first.counts.mismatches == second.counts.mismatches == 0


def test_the_second_core_is_shown_regions_that_the_first_finds(place: Path):
    first, second = checked(place, 2)

    assert (first.shown, second.shown) == ("images", "regions of them")
    assert first.counts.images == 2
    assert 0 < second.counts.images <= 2 * REGIONS


def test_regions_are_of_the_first_pictures_alone(place: Path):
    _, few = checked(place, LOOKED_AT)
    _, many = checked(place, LOOKED_AT + 1)

    assert many.counts.images == few.counts.images


def test_a_core_of_an_unknown_kind_of_detector_is_shown_drawn_inputs(place: Path):
    result = replace(intaglio.load(place), postprocess=None)

    _, second = check_cores(result, [images(result, 1)], file=place / "model.tflite")

    assert second.shown == "drawn inputs"
    assert second.counts.images == DRAWN
    assert second.counts.mismatches == 0


@pytest.mark.parametrize("with_regions", [True, False])
def test_a_changed_weight_of_the_second_core_is_found_there(place: Path, with_regions: bool):
    change_largest_weight(place / "core2-model.tflite")
    write_sums(place)  # as if it had been written so
    result = intaglio.load(place)
    result = result if with_regions else replace(result, postprocess=None)

    first, second = check_cores(result, [images(result, 1)], file=place / "model.tflite")

    assert first.counts.mismatches == 0
    assert second.counts.mismatches > 0


def test_a_detector_with_one_core_has_one_check(tmp_path: Path):
    compressed(ONE).save(tmp_path / "one")

    (only,) = checked(tmp_path / "one", 1)

    assert only.name == "backbone"
    assert only.counts.mismatches == 0


def test_regions_that_do_not_fit_the_first_core_are_refused_with_the_file_that_says_them(
    place: Path,
):
    result = intaglio.load(place)
    post = result.postprocess
    other = replace(post, pooling=replace(post.pooling, maps=(0, 2)))

    with pytest.raises(RequestError, match=r"postprocess\.json does not fit"):
        check_cores(
            replace(result, postprocess=other), [images(result, 1)], file=place / "model.tflite"
        )


def test_drawn_inputs_are_on_the_grid_and_reach_both_of_its_ends():
    part = compressed(TWO).parts[BOX_HEAD]
    grid = part.encodings.activations[part.graph.inputs[0]]

    drawn = drawn_inputs(part, 4, 0)

    integers = (drawn / grid.scale).round() + grid.zero_point
    assert drawn.shape[1:] == part.graph[part.graph.inputs[0]].shape[1:]
    assert (integers.min(), integers.max()) == (grid.spec.qmin, grid.spec.qmax)
    # float32 products of an integer and the scale: half a unit in the last place off at most
    torch.testing.assert_close(drawn, (integers - grid.zero_point) * grid.scale)
    assert torch.equal(drawn, drawn_inputs(part, 4, 0))
    assert not torch.equal(drawn, drawn_inputs(part, 4, 1))


def one(name: str, **counts: object) -> CoreCheck:
    return CoreCheck(name, Path(f"{name}.tflite"), "images", CheckCounts(**counts))


@pytest.mark.parametrize("order", [list, reversed])
def test_together_sums_over_cores_and_layers_say_which_core_they_are_of(order: Callable):
    parts = [
        one("a", images=3, values_compared=10, mismatches=1, worst={"conv": 1}, border_values=2),
        one("b", images=7, values_compared=5, mismatches=2, worst={"conv": 2}, border_equal=1),
    ]
    first, _ = ordered = list(order(parts))

    found = together(ordered)

    assert (found.values_compared, found.mismatches) == (15, 3)
    assert (found.border_values, found.border_equal) == (2, 1)
    assert found.worst == {"a: conv": 1, "b: conv": 2}
    assert found.images == first.counts.images
    assert found.deviation is None


def test_together_names_layers_as_they_are_where_there_is_one_core():
    assert together([one("", images=1, worst={"conv": 1})]).worst == {"conv": 1}


@pytest.mark.parametrize("bad_first", [True, False])
def test_a_deviation_that_is_not_a_number_is_the_largest(bad_first: bool):
    good = one("a", deviation=Deviation(2.0, 1e-6, 10))
    bad = one("b", deviation=Deviation(math.nan, math.nan, 5))

    found = together([bad, good] if bad_first else [good, bad]).deviation

    assert found.is_absurd
    assert math.isnan(found.largest)
    assert found.values == 15
