"""Files that end in classes of pixels: asked for, made, checked, saved; refused where not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import intaglio
from intaglio.errors import CaptureError, RequestError
from intaglio.maps.class_map import own_classes
from intaglio.maps.postprocess import MapPostProcess
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.interpreter.runtime import open_interpreter, run_file

SIDE, CLASSES = 32, 5
IN_FILE = "in-file"


class Tiny(nn.Module):
    """Scores of each pixel at a quarter of the size, brought to the size bilinearly."""

    def __init__(self, rule: str = "highest", output: int = 0) -> None:
        super().__init__()
        self.rule, self.output = rule, output
        self.first = nn.Conv2d(3, 8, 3, stride=4, padding=1)
        self.second = nn.Conv2d(8, CLASSES if rule == "highest" else 1, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        deep = self.first(images).relu()
        scores = nn.functional.interpolate(
            self.second(deep), size=(SIDE, SIDE), mode="bilinear", align_corners=False
        )
        return (scores,) if self.output == 0 else (deep, scores)

    def postprocess(self, input_size: tuple[int, int]) -> MapPostProcess:
        if self.rule == "threshold":
            return MapPostProcess(2, self.output, "threshold", threshold=0.4)
        return MapPostProcess(CLASSES, self.output, names=tuple("abcde"))


def tiny(rule: str, output: int) -> Tiny:
    torch.manual_seed(0)
    network = Tiny(rule, output).eval()
    with torch.no_grad():
        network.second.weight *= 20
        scores = network.second(network.first(images()).relu())
        network.second.bias -= scores.mean(
            (0, 2, 3)
        )  # so that every class is somewhere the highest
    return network


def images(count: int = 4) -> Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def compressed(target: str = "litert", *, rule: str = "highest", output: int = 0, **options):
    network = tiny(rule, output)
    options.setdefault("postprocess", IN_FILE)
    data = images()
    wishes = intaglio.Options(**options)
    return intaglio.compress(
        network, data[:1], data=data, target=target, recipe="plain", options=wishes
    )


@pytest.fixture(scope="module")
def result() -> intaglio.Result:
    return compressed()


def given_for(made: intaglio.Result, image: Tensor) -> np.ndarray:
    interpreter = open_interpreter(made.content, made.target)
    (given,) = run_file(interpreter, image.permute(0, 2, 3, 1).contiguous().numpy())
    return given


@pytest.mark.parametrize("rule", ["highest", "threshold"])
@pytest.mark.parametrize(
    ("target", "settings"),
    [
        ("litert", {}),
        ("litert-reference", {}),
        ("litert", {"output": 1}),
        ("litert", {"keep_float": ("second",)}),
    ],
)
def test_the_file_gives_the_classes_of_the_twins_outputs_bit_for_bit(
    target: str, rule: str, settings: dict
) -> None:
    made = compressed(target, rule=rule, **settings)
    assert made.report.check is not None
    assert made.report.check.mismatches == 0
    assert isinstance(made.postprocess, MapPostProcess)

    for image in images().split(1):
        found = given_for(made, image)
        scores = made.twin.outputs(image)[made.postprocess.output][0].numpy()

        assert (found.dtype, found.shape) == (np.uint8, (1, SIDE, SIDE))
        assert len(np.unique(found)) > 1
        if "keep_float" not in settings:  # the last bits of floats are the runtime's
            assert np.array_equal(found[0], own_classes(made.postprocess, scores))


def test_a_network_in_float16_can_end_so_too() -> None:
    made = compressed(scheme="fp16")

    scores = made.twin.outputs(images(1))[0][0].numpy()
    same = given_for(made, images(1))[0] == own_classes(made.postprocess, scores)
    assert same.mean() > 0.999  # float32 in another order of sums: a near tie may turn


@pytest.mark.parametrize("io", ["int8", "uint8"])
def test_whatever_it_takes_it_gives_bytes(io: str) -> None:
    made = compressed(io=io)
    assert made.report.check is not None
    assert made.report.check.mismatches == 0

    interpreter = open_interpreter(made.content, made.target)

    assert interpreter.get_input_details()[0]["dtype"] == np.dtype(io)
    assert interpreter.get_output_details()[0]["dtype"] == np.uint8


def test_the_end_costs_no_partition_and_is_not_called_slow(result: intaglio.Result) -> None:
    counts = LITERT.check(result.files, result.twin, [images(1)])

    assert (counts.partitions, counts.builtin, counts.remarks) == (1, [], [])
    assert counts.values_compared > 0


def test_the_opened_file_gives_the_scores_in_front_of_the_end(result: intaglio.Result) -> None:
    (expected,) = result.twin.outputs(images(2))

    for where in (None, "model.tflite"):
        with LITERT.open(result.files, where=where) as network:
            (found,) = network(images(2))

        assert torch.equal(found, expected)


def test_the_file_is_smaller_to_read_than_one_of_scores(result: intaglio.Result) -> None:
    def bytes_given(made: intaglio.Result) -> int:
        details = open_interpreter(made.content, made.target).get_output_details()
        return sum(int(np.prod(one["shape"])) * np.dtype(one["dtype"]).itemsize for one in details)

    beside = compressed(postprocess="beside")

    assert bytes_given(beside) == 4 * CLASSES * bytes_given(result)


def test_the_report_says_what_is_checked_and_where_classes_are_chosen(
    result: intaglio.Result,
) -> None:
    told = " ".join(result.report.warnings)

    assert "the file ends in maps" in told
    assert "in the file a class is chosen for each place of the network's output" in told
    assert "ends in maps" not in " ".join(compressed(postprocess="beside").report.warnings)


def test_a_saved_one_is_loaded_with_its_post_processing_and_without_a_detectors_runner(
    result: intaglio.Result, tmp_path: Path
) -> None:
    result.save(tmp_path / "out")

    loaded = intaglio.load(tmp_path / "out")

    assert loaded.postprocess == result.postprocess
    assert loaded.content == result.content
    assert not (tmp_path / "out" / "detect.py").exists()
    with pytest.raises(RequestError, match="gives a map of each image, and no boxes"):
        loaded.detect(images(1))


def test_a_network_that_says_what_it_does_not_give_is_refused_by_its_output() -> None:
    class Wrong(Tiny):
        def postprocess(self, input_size: tuple[int, int]) -> MapPostProcess:
            return MapPostProcess(CLASSES + 1)

    options = intaglio.Options(postprocess=IN_FILE)
    with pytest.raises(RequestError, match="output 0"):
        intaglio.compress(Wrong(), images(1), data=images(), options=options)


def test_a_method_that_gives_anything_else_is_refused_by_name() -> None:
    class Odd(Tiny):
        def postprocess(self, input_size: tuple[int, int]):
            return "classes"

    with pytest.raises(CaptureError, match="PostProcess or TwoStage, or an intaglio"):
        intaglio.compress(Odd(), images(1), data=images())
