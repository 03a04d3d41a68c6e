"""What the report says of a file's uint8 input: whether an image's raw bytes are what it takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import intaglio
from intaglio.data.preprocess import Preprocess
from intaglio.recipe.options import Provenance
from intaglio.report.record import Report
from intaglio.runtimes import TARGETS
from intaglio.runtimes.litert.interpreter.runtime import open_interpreter, run_file

PIXELS = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16).repeat(3, 1)
HALF = Preprocess(mean=(0.5,), std=(0.5,))
IMAGENET = Preprocess(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def prepared(preprocess: Preprocess) -> torch.Tensor:
    """Return an image of every byte as a network is given it."""
    mean, std = (
        np.asarray(numbers or (usual,), np.float32).reshape(1, -1, 1, 1)
        for numbers, usual in ((preprocess.mean, 0.0), (preprocess.std, 1.0))
    )
    return torch.from_numpy((PIXELS.astype(np.float32) / np.float32(255) - mean) / std)


def compressed(
    preprocess: Preprocess | None, target: str = "litert", **wishes: object
) -> intaglio.Result:
    torch.manual_seed(0)
    images = prepared(preprocess or Preprocess())
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3)).eval()
    chosen = {"io": "uint8", "provenance": Provenance(preprocess=preprocess), **wishes}
    options = intaglio.Options(**chosen)  # type: ignore[arg-type]
    return intaglio.compress(
        module, images[:1], target=target, data=images, recipe="plain", options=options
    )


@pytest.mark.parametrize("target", list(TARGETS))
def test_raw_bytes_are_taken_where_the_grid_is_theirs(target: str) -> None:
    result = compressed(Preprocess(), target)

    taken = result.report.input
    assert taken is not None
    assert (taken.zero_point, taken.off) == (0, 0)
    assert taken.scale == np.float32(1 / 255)
    assert "uint8, scale 0.00392156886, zero point 0: takes raw RGB bytes" in str(result.report)
    (found,) = run_file(
        open_interpreter(result.content, result.target), PIXELS.transpose(0, 2, 3, 1)
    )
    (integers,) = result.twin.integers(prepared(Preprocess()))
    assert (found == integers.permute(0, 2, 3, 1).numpy() + 128).all()


@pytest.mark.parametrize("target", list(TARGETS))
def test_a_zero_between_two_bytes_leaves_them_off_by_up_to_one(target: str) -> None:
    report = compressed(HALF, target).report

    assert report.input is not None
    assert report.input.off == 1  # zero lies at 127.5
    said = " ".join(str(report).split())
    assert "round(x / scale) + zero point of a prepared image x; raw bytes would be up to 1" in said


def test_channels_of_their_own_grids_take_no_raw_bytes() -> None:
    taken = compressed(IMAGENET).report.input

    assert taken is not None
    grid = np.float32(taken.scale), taken.zero_point
    made = np.rint(prepared(IMAGENET).numpy() / grid[0]) + grid[1]
    assert taken.off == int(np.abs(made - PIXELS).max()) > 1


def test_without_preprocessing_the_grid_alone_is_said() -> None:
    report = compressed(None).report

    assert report.input is not None
    assert report.input.off is None
    assert "raw" not in str(report)
    assert set(report.to_dict()["input"]) == {"scale", "zero_point"}


@pytest.mark.parametrize(
    "wishes", [{"io": "int8"}, {"io": "float"}, {"scheme": "w4a4"}, {"keep_float": ("0",)}]
)
def test_nothing_is_said_of_inputs_that_are_not_uint8(wishes: dict[str, object]) -> None:
    report = compressed(Preprocess(), **wishes).report

    assert report.input is None
    assert "input" not in report.to_dict()


def test_the_report_is_read_back() -> None:
    report = compressed(HALF).report

    assert Report.from_dict(report.to_dict()).input == report.input
