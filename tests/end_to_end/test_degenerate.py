"""Networks and images that are hardly any: held on both targets by every recipe, or refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import intaglio
from intaglio.errors import NonFiniteError

IMAGES = torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(0))
RECIPES = ("plain", "accurate", "auto")


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU6(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    ).eval()


def no_weights_in_the_first_layer(layers: nn.Sequential) -> None:
    nn.init.zeros_(layers[0].weight)


def no_weights_at_all(layers: nn.Sequential) -> None:
    for parameter in layers.parameters():
        nn.init.zeros_(parameter)


def as_it_is(layers: nn.Sequential) -> None:
    pass


CASES: dict[str, tuple[Callable[[nn.Sequential], None], Tensor]] = {
    "a layer of zeros": (no_weights_in_the_first_layer, IMAGES),
    "nothing but zeros": (no_weights_at_all, IMAGES),
    "black images": (as_it_is, torch.zeros_like(IMAGES)),
    "one colour": (as_it_is, torch.full_like(IMAGES, 0.7)),
    "images of almost nothing": (as_it_is, IMAGES * 1e-30),
    "one image": (as_it_is, IMAGES[:1]),
}


@pytest.mark.parametrize("target", ["litert", "litert-reference"])
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("case", CASES)
def test_file_and_twin_agree(case: str, recipe: str, target: str) -> None:
    change, images = CASES[case]
    layers = network()
    change(layers)

    result = intaglio.compress(layers, images[:1], data=images, recipe=recipe, target=target)

    assert result.report.check.mismatches == 0
    assert result.twin(images).isfinite().all()


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_batch_norm_that_divides_by_zero_is_named(recipe: str) -> None:
    layers = network()
    layers[1].running_var.zero_()
    layers[1].eps = 0.0

    with pytest.raises(NonFiniteError, match=r"layer '1' \(batch_norm\) divides by zero.* 8 of 8"):
        intaglio.compress(layers, IMAGES[:1], data=IMAGES, recipe=recipe)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("recipe", RECIPES)
def test_an_image_with_nan_or_infinity_is_refused_wherever_it_is(
    recipe: str, number: float
) -> None:
    images = IMAGES.clone()
    images[-1, 0, 2, 2] = number

    with pytest.raises(NonFiniteError, match="data holds NaN or infinity, in 1 of"):
        intaglio.compress(network(), IMAGES[:1], data=images, recipe=recipe)
    with pytest.raises(NonFiniteError, match="data holds NaN or infinity, in 1 of"):
        intaglio.compress(
            network(),
            IMAGES[:1],
            data=IMAGES,
            recipe="plain",
            evaluate=(images, torch.zeros(len(images), dtype=torch.int64)),
        )
