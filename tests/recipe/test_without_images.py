"""The recipe for no images: its steps follow the scheme, unless it states its own."""

from __future__ import annotations

import pytest

from intaglio.job.outcome import used_recipe
from intaglio.methods.steps.steps import is_altered, refuse_unmet
from intaglio.numerics.scheme import parse_scheme
from intaglio.recipe.options import Options, Provenance
from intaglio.recipe.recipe import (
    DATA_FREE,
    RECIPES,
    Recipe,
    find_recipe,
    refuse_contradictions,
    to_toml,
)
from intaglio.recipe.settings import default_recipe, settle
from intaglio.recipe.without_images import CHEAP_MACS, FEW, MOST_MACS, SOME, fitted, spelled
from intaglio.runtimes import TARGETS

AT_THE_END = ["round-second-order-implied", "correct-bias-analytic"]
PLAIN = ["w8a8", "mixed", "w2a8"]
EQUALIZED = ["w4a8", "w8a8-per-tensor", "w4a8-per-tensor", "mixed-per-tensor"]


def steps_for(scheme: str) -> list[str]:
    return spelled(RECIPES[DATA_FREE], parse_scheme(scheme)).step_names


@pytest.mark.parametrize("scheme", PLAIN)
def test_eight_bits_or_two_with_one_scale_for_each_channel_take_no_equalization(scheme):
    assert steps_for(scheme) == ["fold-dead-channels", *AT_THE_END]


@pytest.mark.parametrize("scheme", EQUALIZED)
def test_fewer_bits_or_one_scale_for_a_weight_take_equalization_for_the_scheme(scheme):
    steps = spelled(RECIPES[DATA_FREE], parse_scheme(scheme)).steps

    assert steps[1] == {"name": "equalize-implied", "scheme": scheme}
    assert steps_for(scheme) == ["fold-dead-channels", "equalize-implied", *AT_THE_END]


@pytest.mark.parametrize(("scheme", "images"), [("w8a8", None), ("w4a8", 64), ("w2a8", 64)])
def test_fewer_bits_take_more_noise(scheme, images):
    rounding = spelled(RECIPES[DATA_FREE], parse_scheme(scheme)).steps[-2]

    assert rounding.get("images") == images


@pytest.mark.parametrize("scheme", ["w8a8", "w8a8-per-tensor"])
def test_its_steps_need_no_images_and_it_is_known_whether_they_move_clamps(scheme):
    recipe = spelled(RECIPES[DATA_FREE], parse_scheme(scheme))

    refuse_contradictions(recipe)
    refuse_unmet(recipe.steps, set())
    assert is_altered(recipe.steps) is ("equalize-implied" in recipe.step_names)


def test_nothing_but_the_steps_is_spelled_and_the_named_recipe_stays_as_it_is():
    given = Recipe(name=DATA_FREE, calibrator="mse", seed=3, weight_bits={"a": 4}, keep_float=["b"])
    named = RECIPES[DATA_FREE].model_dump()

    first, second = (spelled(given, parse_scheme("w8a8")) for _ in range(2))
    first.steps[0]["name"] = "equalize"
    steps_for("w8a8-per-tensor")

    assert second.step_names == ["fold-dead-channels", *AT_THE_END]
    assert first.model_dump(exclude={"steps"}) == given.model_dump(exclude={"steps"})
    assert given.steps == []
    assert RECIPES[DATA_FREE].model_dump() == named


@pytest.mark.parametrize("scheme", ["w8a8", "w8a8-per-tensor"])
@pytest.mark.parametrize("names", [["equalize"], ["round-squant"], ["fold-dead-channels"]])
def test_a_recipe_of_its_name_with_steps_of_its_own_keeps_them(names, scheme):
    recipe = Recipe(name=DATA_FREE, steps=[{"name": name} for name in names])

    assert spelled(recipe, parse_scheme(scheme)) is recipe


@pytest.mark.parametrize("scheme", ["w8a8", "w8a8-per-tensor"])
@pytest.mark.parametrize("name", [name for name in RECIPES if name != DATA_FREE])
def test_every_other_recipe_is_left_alone(name, scheme):
    recipe = RECIPES[name]

    assert spelled(recipe, parse_scheme(scheme)) is recipe


def test_a_recipe_of_another_name_without_steps_gets_none():
    recipe = Recipe(name="mine")

    assert settle(recipe, None, Options(scheme="w8a8-per-tensor")).recipe is recipe


@pytest.mark.parametrize(
    ("by_recipe", "by_caller", "equalizes"),
    [
        (None, None, False),
        (None, "w8a8-per-tensor", True),
        ("w8a8-per-tensor", None, True),
        ("w8a8-per-tensor", "w8a8", False),
        ("w8a8", "w4a8-per-tensor", True),
    ],
)
def test_the_scheme_that_holds_decides_and_not_the_one_that_is_overruled(
    by_recipe, by_caller, equalizes
):
    recipe = RECIPES[DATA_FREE].model_copy(update={"scheme": by_recipe})

    settled = settle(recipe, None, Options(scheme=by_caller))

    assert ("equalize-implied" in settled.recipe.step_names) is equalizes


@pytest.mark.parametrize("target", list(TARGETS))
def test_the_default_scheme_of_every_target_decides(target):
    settled = settle(RECIPES[DATA_FREE], target, Options())

    assert settled.recipe.step_names
    equalizes = not settled.scheme.per_channel or settled.scheme.weight_bits == 4
    assert ("equalize-implied" in settled.recipe.step_names) is equalizes


@pytest.mark.parametrize("scheme", ["w8a8", "w4a8", "w8a8-per-tensor", "w3a3-per-tensor"])
def test_the_recipe_that_is_written_repeats_the_run(tmp_path, scheme):
    chosen = find_recipe(default_recipe(scheme, has_images=False))
    settled = settle(chosen, None, Options(scheme=scheme, seed=5, keep_float=("head",)))
    path = tmp_path / "used.toml"
    path.write_text(to_toml(used_recipe(settled, Provenance())), encoding="utf-8")

    again = settle(find_recipe(str(path)), None, Options())

    assert again.recipe.steps == settled.recipe.steps == spelled(chosen, settled.scheme).steps
    for wish in ("target", "scheme", "calibrator", "io", "seed", "keep_float"):
        assert getattr(again, wish) == getattr(settled, wish)


def test_steps_that_were_written_stay_where_they_are_run_with_another_scheme(tmp_path):
    settled = settle(RECIPES[DATA_FREE], None, Options(scheme="w8a8"))
    path = tmp_path / "used.toml"
    path.write_text(to_toml(used_recipe(settled, Provenance())), encoding="utf-8")

    again = settle(find_recipe(str(path)), None, Options(scheme="w8a8-per-tensor"))

    assert again.scheme.name == "w8a8-per-tensor"
    assert again.recipe.steps == settled.recipe.steps


def for_network(scheme: str, *, macs: int, has_norms: bool = True) -> Recipe:
    recipe = spelled(RECIPES[DATA_FREE], parse_scheme(scheme))
    return fitted(recipe, parse_scheme(scheme), macs=macs, has_norms=has_norms)


@pytest.mark.parametrize("scheme", ["w8a8", "w4a8", "w4a4", "w8a8-per-tensor", "w3a3-academic"])
def test_what_is_spelled_is_what_a_large_network_gets(scheme):
    assert for_network(scheme, macs=MOST_MACS + 1) == spelled(
        RECIPES[DATA_FREE], parse_scheme(scheme)
    )


def test_a_small_network_rounds_on_a_few_images_that_are_made():
    recipe = for_network("w8a8", macs=CHEAP_MACS)

    assert recipe.synthetic == FEW
    assert recipe.step_names == ["fold-dead-channels", "round-second-order"]
    assert recipe.calibrator == RECIPES[DATA_FREE].calibrator  # ranges are still those of norms


@pytest.mark.parametrize(("scheme", "made"), [("w8a8", None), ("w4a8", SOME), ("w2a8", SOME)])
def test_with_few_bits_for_weights_images_are_worth_more(scheme, made):
    assert for_network(scheme, macs=CHEAP_MACS + 1).synthetic == made
    assert for_network(scheme, macs=MOST_MACS + 1).synthetic is None


def test_one_scale_for_a_weight_takes_no_images_that_are_made():
    assert for_network("w8a8-per-tensor", macs=1).synthetic is None


@pytest.mark.parametrize("scheme", ["w8a8", "w4a8", "w4a4", "w3a3-academic"])
def test_without_batch_norms_no_image_is_made_whatever_it_costs(scheme):
    recipe = for_network(scheme, macs=1, has_norms=False)

    refuse_contradictions(recipe)
    refuse_unmet(recipe.steps, set())
    assert recipe.synthetic is None
    assert recipe.step_names[-2:] == AT_THE_END
