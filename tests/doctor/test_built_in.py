"""Which built-in recipe holds a remedy."""

from __future__ import annotations

import pytest

from doctor import patients
from doctor.clinic import verdict_on
from intaglio.doctor.built_in import built_in_recipe
from intaglio.doctor.finding import InputChange, Treatment
from intaglio.recipe.recipe import RECIPES

FOLD, EQUALIZE = "fold-dead-channels", "equalize"


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize(
    ("steps", "recipe"),
    [
        ((FOLD,), "corrected"),
        ((EQUALIZE,), "accurate-per-tensor"),
        ((FOLD, EQUALIZE), "accurate-per-tensor"),
        ((EQUALIZE, FOLD), None),  # the order is another one
        (("replace-relu6",), None),
    ],
)
def test_the_recipe_with_the_fewest_steps_that_has_all_in_order(
    steps: tuple[str, ...], recipe: str | None, per_channel: bool
) -> None:
    assert built_in_recipe(Treatment(steps), per_channel=per_channel) == recipe


def test_of_two_alike_the_scheme_decides() -> None:
    clipped = Treatment(calibrator="mse")

    assert built_in_recipe(clipped, per_channel=True) == "accurate"
    assert built_in_recipe(clipped, per_channel=False) == "accurate-per-tensor"
    assert built_in_recipe(Treatment((FOLD,), "mse"), per_channel=True) == "accurate"


@pytest.mark.parametrize(
    "treatment",
    [
        Treatment(),
        Treatment((FOLD,), keep_float=("stem",)),
        Treatment((FOLD,), images=InputChange(2.0)),
        Treatment((FOLD,), "percentile-99.99"),
    ],
)
def test_what_no_recipe_holds_has_none(treatment: Treatment) -> None:
    assert built_in_recipe(treatment, per_channel=True) is None


@pytest.mark.parametrize(("patient", "scheme", "cause", "layer"), patients.PLANTS)
def test_a_remedy_names_the_recipe_that_holds_it(patient, scheme, cause, layer) -> None:
    for finding in verdict_on(patient, scheme, 0).findings:
        name = built_in_recipe(finding.treatment, per_channel=scheme == "w8a8")
        assert (f"; or the whole recipe: --recipe {name}" in finding.remedy) is (name in RECIPES)
