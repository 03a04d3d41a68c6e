"""Integers without a single image: what is refused, what is told, and that bits are equal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

import intaglio
from intaglio.data.images import open_dataset
from intaglio.data.preprocess import Preprocess
from intaglio.errors import IntaglioError, RequestError
from intaglio.methods import STEPS
from intaglio.methods.steps.steps import NUMBERS, register_step
from intaglio.recipe.options import Provenance
from intaglio.recipe.recipe import Recipe

X = torch.zeros(1, 3, 16, 16)


def network(*, with_norms: bool = True) -> nn.Module:
    """Return a small classifier whose batch norms know images of mean 0 and deviation 1."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for channels, size, groups in ((3, 8, 1), (8, 8, 8), (8, 12, 1)):
        layers += [nn.Conv2d(channels, size, 3, padding=1, groups=groups, bias=not with_norms)]
        layers += [nn.BatchNorm2d(size, momentum=1.0)] if with_norms else []
        layers += [nn.ReLU6() if with_norms else nn.Hardswish()]
    made = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5))
    made.train()
    with torch.no_grad():
        for _ in range(8):  # each batch's statistics take the place of those before
            made(photographs(32))
    return made.eval()


def photographs(count: int, seed: int = 5) -> torch.Tensor:
    """Return smooth images, [count, 3, 16, 16]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, 4, 4, generator=generator)
    return nn.functional.interpolate(coarse, size=16, mode="bilinear")


def compressed(module: nn.Module, **wishes: object) -> intaglio.Result:
    return intaglio.compress(module, X, **wishes)


@pytest.mark.parametrize("scheme", ["w8a8", "w8a8-per-tensor", "w4a8"])
def test_a_network_without_images_agrees_with_its_file_in_every_bit(scheme):
    result = compressed(network(), options=intaglio.Options(scheme=scheme))

    assert result.report.check.mismatches == 0
    assert result.report.check.values_compared > 0
    assert result.report.check.made_up is True
    assert result.report.data == "none"
    assert result.recipe.name == "datafree"
    assert result.report.verdict.accuracy == "not measured"


def test_it_does_on_images_what_the_float_network_does():
    module = network()
    result = compressed(module)
    images = photographs(64, seed=9)

    with torch.no_grad():
        wanted = module(images)
    (found,) = result.twin.outputs(images)

    error = (found - wanted).square().mean() / wanted.var()
    assert float(error) < 1e-2  # 20 dB: what 8 bits leave of so small a network is above 25


def test_the_same_seed_gives_the_same_file():
    files = [compressed(network()).files for _ in range(2)]

    assert files[0] == files[1]


def test_the_recipe_that_is_written_repeats_the_run():
    first = compressed(network(), options=intaglio.Options(scheme="w8a8-per-tensor"))
    again = compressed(network(), recipe=first.recipe)

    assert "equalize-implied" in first.recipe.step_names
    assert again.files == first.files


def test_plain_without_images_takes_ranges_from_batch_norms_and_does_nothing_else():
    result = compressed(network(), recipe="plain")

    assert result.recipe.steps == []
    assert result.report.check.mismatches == 0


def test_an_estimated_input_is_told_and_a_known_one_is_not():
    told = compressed(network()).report.warnings
    known = intaglio.Options(provenance=Provenance(preprocess=Preprocess(mean=(0.5,), std=(0.5,))))
    result = compressed(network(), options=known)

    assert any("estimated from the batch norm of the first layer" in line for line in told)
    assert not any("range of the input" in line for line in result.report.warnings)
    grid = result.encodings.activations[result.graph.inputs[0]]
    assert float(grid.scale) == pytest.approx(2.0 / 255.0, rel=1e-3)


def test_a_network_that_is_named_brings_the_range_of_its_input():
    image = torch.zeros(1, 3, 32, 32)

    result = intaglio.compress("mobilenet_v2_tf(width=0.1)", image, recipe="plain")

    assert not any("range of the input" in line for line in result.report.warnings)
    grid = result.encodings.activations[result.graph.inputs[0]]
    assert float(grid.scale) == pytest.approx(2.0 / 255.0, rel=1e-3)  # RGB / 127.5 - 1


@pytest.mark.parametrize("layer", ["0", "3", "10"])
def test_layers_may_stay_in_float(layer):
    result = compressed(network(), options=intaglio.Options(keep_float=(layer,)))

    assert result.report.check.mismatches == 0
    assert layer in {kept.name.partition(".")[0] for kept in result.report.kept_float}


def test_a_network_without_batch_norms_gets_ranges_from_noise_and_is_told_so():
    result = compressed(network(with_norms=False))

    (line,) = [line for line in result.report.warnings if "those of noise" in line]
    assert "no batch norm says how large" in line
    assert any("taken as normalized" in text for text in result.report.warnings)
    assert result.report.check.mismatches == 0


def test_a_norm_without_variance_is_no_obstacle():
    module = network()
    with torch.no_grad():
        module[1].running_var[:3] = 0.0

    assert compressed(module).report.check.mismatches == 0


def test_a_step_that_opens_images_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    monkeypatch.setattr(STEPS, "_entries", dict(STEPS._entries))

    @register_step("peeks", NUMBERS, needs=())
    @dataclass(frozen=True)
    class Peeks:
        """Look at images that nobody gave."""

        def __call__(self, state, context):
            open_dataset(tmp_path)
            return state

    with pytest.raises(IntaglioError, match="without data tried to read"):
        compressed(network(), recipe=Recipe(name="mine", steps=[{"name": "peeks"}]))


def test_a_recipe_that_searches_or_looks_at_images_is_refused_before_any_work():
    for recipe in ("auto", "accurate"):
        with pytest.raises(RequestError, match="give data"):
            compressed(network(), recipe=recipe)


@pytest.mark.parametrize("calibrator", ["minmax", "mse", "aciq", "percentile-99.99"])
def test_every_calibrator_has_something_to_see(calibrator):
    result = compressed(network(), options=intaglio.Options(calibrator=calibrator))

    assert result.report.check.mismatches == 0
    assert result.recipe.calibrator == calibrator
