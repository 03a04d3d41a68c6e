"""The runner of a result's folder: the result's boxes to the bit, without torch or intaglio."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import intaglio
from detectors.compressed import ONE, TWO, again, compressed, given
from intaglio.boxes.postprocess import TwoStage

STRANGERS = ("torch", "intaglio", "pydantic", "PIL", "scipy")
SCRIPT = f"""
import runpy, sys
runner, pictures = sys.argv[1:]
sys.argv = [runner, pictures]
runpy.run_path(runner, run_name="__main__")
print("imported:", sorted(name for name in {STRANGERS!r} if name in sys.modules))
"""


def pictures(result: intaglio.Result, count: int = 2) -> Tensor:
    """Return pictures [count, 3, H, W] as the network sees them."""
    post = result.postprocess
    size = post.head.input_size if isinstance(post, TwoStage) else post.input_size
    return F.interpolate(torch.stack(given(count)), size, mode="bilinear")


def run(folder: Path, images: Tensor) -> tuple[list[list[dict]], str]:
    """Return what the runner prints of the pictures in a process of its own, and the last line."""
    np.save(folder.parent / "pictures.npy", images.numpy())
    done = subprocess.run(
        [sys.executable, "-I", "-c", SCRIPT, folder / "detect.py", folder.parent / "pictures.npy"],
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    return [ast.literal_eval(line) for line in lines if line.startswith("[")], last


@pytest.fixture(scope="module", params=[ONE, TWO])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A result, and its folder."""
    place = tmp_path_factory.mktemp("device") / request.param
    result = compressed(request.param)
    result.save(place)
    return result, place


def same(result: intaglio.Result, images: Tensor, lines: list[list[dict]]) -> int:
    """Make sure that lines are what a result detects, to the bit; return how many boxes."""
    found = result.detect(images)
    assert len(lines) == len(found)
    for line, known in zip(lines, found, strict=True):
        boxes = np.array([one["box"] for one in line], np.float32).reshape(-1, 4)
        assert np.array_equal(boxes, known.boxes)
        assert np.array_equal([one["score"] for one in line], known.scores.astype(np.float64))
        assert [one["class"] for one in line] == known.classes.tolist()
    return sum(map(len, found))


def test_the_runner_finds_what_the_result_does_to_the_bit_alone(saved):
    result, place = saved
    images = pictures(result)

    lines, last = run(place, images)

    assert same(result, images, lines) > 10
    assert last == "imported: []"


def test_a_folder_that_was_moved_runs_where_it_is(saved, tmp_path):
    result, place = saved
    moved = tmp_path / "a folder, moved"
    moved.mkdir()
    for name in [one.name for one in place.iterdir()]:
        if not name.endswith((".json", ".safetensors", ".toml", ".html")):
            (moved / name).write_bytes((place / name).read_bytes())
    (moved / "postprocess.json").write_bytes((place / "postprocess.json").read_bytes())
    images = pictures(result, 1)

    lines, _ = run(moved, images)

    assert same(result, images, lines) > 0


def test_pictures_in_which_nothing_is_found_are_empty_lines(saved):
    result, place = saved
    images = torch.zeros_like(pictures(result, 1))

    lines, _ = run(place, images)

    same(result, images, lines)


@pytest.mark.parametrize("io", ["int8", "uint8"])
def test_files_that_take_bytes_give_the_same_boxes(io, tmp_path):
    result = again(ONE, options=intaglio.Options(io=io))
    result.save(tmp_path / "out")
    images = pictures(result)

    lines, _ = run(tmp_path / "out", images)

    assert same(result, images, lines) > 10
