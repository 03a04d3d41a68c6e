"""Networks that end in an activation: the layer before it takes that in, and gives the output."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import intaglio
from intaglio.job.outcome import POOR_DB
from intaglio.run.float import run_float


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1), nn.ReLU6()]
    return nn.Sequential(*layers).eval()


def images(seed: int = 0) -> Tensor:
    return torch.randn(64, 3, 12, 12, generator=torch.Generator().manual_seed(seed))


def compressed(recipe: str, scheme: str) -> intaglio.Result:
    given = images()
    return intaglio.compress(
        network(), given[:1], data=given, recipe=recipe, options=intaglio.Options(scheme=scheme)
    )


def sqnr_db(result: intaglio.Result) -> float:
    seen = images(1)
    (real,) = run_float(intaglio.capture(network(), seen[:1]), seen)
    (found,) = result.twin.outputs(seen)
    noise = (found - real).square().mean()
    signal = (real - real.mean((0, 2, 3), keepdim=True)).square().mean()
    return float(10 * (signal / noise).log10())


def warned_of_outputs(result: intaglio.Result) -> list[str]:
    return [text for text in result.report.warnings if text.startswith("output ")]


@pytest.mark.parametrize("recipe", ["plain", "accurate"])
def test_a_good_output_is_not_said_to_be_lost(recipe: str):
    result = compressed(recipe, "w8a8")

    assert warned_of_outputs(result) == []


def test_the_sqnr_in_the_report_is_that_of_the_output():
    result = compressed("accurate", "w8a8")

    (told,) = result.report.integer.sqnr_db
    # on other images of the same kind: within a decibel
    assert told == pytest.approx(sqnr_db(result), abs=1.0)


@pytest.mark.parametrize("recipe", ["plain", "accurate"])
def test_an_output_of_which_little_is_left_is_warned_of(recipe: str):
    result = compressed(recipe, "w2a2")

    assert sqnr_db(result) < POOR_DB
    assert len(warned_of_outputs(result)) == 1
