"""Which opened files are networks of one image; what is said of all others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from intaglio.errors import RequestError
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.file.about import input_shape
from intaglio.runtimes.litert.format.builder import Array
from intaglio.runtimes.litert.interpreter.network import as_network
from intaglio.runtimes.litert.interpreter.runner import End, InProcess, Opened
from runtimes.litert.small_files import linear_file

IMAGE = End("x", (1, 4, 6, 3), "uint8", 0.5, 3)
SCORES = End("y", (1, 1, 5), "float32", 0.0, 0)


@dataclass(frozen=True)
class Echo:
    """A runner that gives the first pixels of its image as scores."""

    opened: Opened
    classes: int = 5

    def run(self, image: Array) -> list[Array]:
        return [image.reshape(-1)[: self.classes].reshape(1, 1, self.classes)]


def opened(taken: End = IMAGE, given: End = SCORES) -> Opened:
    return Opened((taken,), (given,), partitions=1, builtin=())


def test_images_are_brought_to_the_grid_and_the_layout_of_the_file() -> None:
    images = torch.full((2, 3, 4, 6), 1.0)
    images[1, 0] = 1000.0

    network = as_network(Echo(opened()), "net.tflite")

    assert network.input_shape == (1, 3, 4, 6)
    assert network.output_shapes == ((1, 1, 5),)
    assert network(images)[0].tolist() == [[[5.0] * 5], [[255.0, 5.0, 5.0, 255.0, 5.0]]]


@pytest.mark.parametrize(
    ("taken", "problem"),
    [
        ({"shape": (1, 4, 6)}, "takes [[1, 4, 6]], not one image"),
        ({"shape": (2, 4, 6, 3)}, "not one image"),
        ({"shape": (1, 0, 6, 3)}, "not one image"),
        ({"shape": (1, 4, 6, 4)}, "not one image"),
        ({"dtype": "int16"}, "takes int16, not float32, int8, uint8"),
        ({"scale": 0.0}, "takes uint8 with the scale 0.0"),
        ({"scale": float("nan")}, "takes uint8 with the scale nan"),
    ],
)
def test_what_takes_no_image_is_refused(taken: dict[str, Any], problem: str) -> None:
    with pytest.raises(RequestError) as caught:
        as_network(Echo(opened(taken=replace(IMAGE, **taken))), "net.tflite")

    assert str(caught.value).startswith("net.tflite: ")
    assert problem in str(caught.value)


def test_integer_outputs_come_as_the_reals_that_they_stand_for() -> None:
    grid = replace(SCORES, dtype="uint8", scale=0.5, zero_point=3)

    network = as_network(Echo(opened(given=grid)), "net.tflite")

    assert network(torch.full((1, 3, 4, 6), 1.0))[0].tolist() == [[[1.0] * 5]]


def test_outputs_of_four_axes_come_in_torchs_order() -> None:
    given = replace(SCORES, shape=(1, 2, 3, 5))

    assert as_network(Echo(opened(given=given)), "net.tflite").output_shapes == ((1, 5, 2, 3),)


def test_scores_of_another_number_than_was_said_are_refused() -> None:
    network = as_network(Echo(opened(), classes=4), "net.tflite")

    with pytest.raises(RequestError, match=r"gives \[1, 1, 4\] and says \[1, 1, 5\]"):
        network(torch.zeros(1, 3, 4, 6))


def test_the_shape_that_a_file_takes_is_read_without_running_it() -> None:
    content = linear_file()

    assert input_shape(content) == InProcess(LITERT).open(content).opened.inputs[0].shape == (1, 8)


def test_a_runtime_that_refuses_an_image_in_this_process_is_told() -> None:
    runner = InProcess(LITERT).open(linear_file())

    with pytest.raises(RequestError, match=r"the file: ai-edge-litert .* cannot run it"):
        runner.run(np.zeros((1, 9), np.int8))
