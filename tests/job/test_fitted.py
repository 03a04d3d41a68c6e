"""Steps that the network decides: those of the recipe for no images, and of no other."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from intaglio import compress
from intaglio.job.fitted import fitted_settings
from intaglio.read.module.export import capture
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import Recipe, find_recipe
from intaglio.recipe.settings import settle

X = torch.zeros(1, 3, 12, 12)


def small(*, norms: bool = True, variance: float = 1.0) -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8) if norms else nn.Identity(), nn.ReLU()]
    module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    if norms:
        module[1].running_var.fill_(variance)
    return module.eval()


def made_of(module: nn.Module, scheme: str, recipe: str | Recipe = "datafree") -> Recipe:
    chosen = find_recipe(recipe) if isinstance(recipe, str) else recipe
    return fitted_settings(capture(module, X), settle(chosen, None, Options(scheme=scheme))).recipe


@pytest.mark.parametrize("scheme", ["w8a8", "w4a4"])
def test_images_are_made_where_batch_norms_tell_of_them_alone(scheme):
    assert made_of(small(), scheme).synthetic is not None
    assert made_of(small(norms=False), scheme).synthetic is None
    assert made_of(small(variance=0.0), scheme).synthetic is None


def test_a_network_that_is_not_small_gets_none_at_eight_bits():
    wide = nn.Sequential(nn.Conv2d(3, 4096, 11, padding=5), nn.BatchNorm2d(4096)).eval()

    assert made_of(wide, "w8a8").synthetic is None  # 214 million multiply-accumulates
    assert made_of(wide, "w4a4").synthetic is not None


@pytest.mark.parametrize("recipe", ["squant", "dfq", "zeroq"])
def test_other_recipes_are_what_they_say(recipe):
    assert made_of(small(), "w8a8", recipe) == find_recipe(recipe)


def test_steps_that_are_stated_stay_under_the_name_of_the_recipe_for_no_images():
    stated = Recipe(name="datafree", steps=[{"name": "round-squant"}])

    assert made_of(small(), "w8a8", stated) is stated


@pytest.mark.parametrize("scheme", ["w4a4", "w4a4-academic"])
def test_a_network_without_batch_norms_is_quantized_to_few_bits_and_told_how(scheme):
    result = compress(small(norms=False), X, data=None, options=Options(scheme=scheme))

    assert result.recipe.synthetic is None
    assert any("no batch norm says how large" in line for line in result.report.warnings)


def test_the_recipe_that_is_written_of_a_small_network_states_the_images_that_were_made():
    result = compress(small(), X, data=None, options=Options(scheme="w8a8"))

    assert result.recipe.synthetic is not None
    assert result.recipe.step_names == ["fold-dead-channels", "round-second-order"]
    assert result.synthetic is not None
    assert len(result.synthetic.images) == 32
