"""The caller's word counts before the recipe's, and that before the default."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest

from intaglio.errors import RequestError, UnknownName
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import RECIPES, Recipe
from intaglio.recipe.settings import WISHES, Settings, settle

SEARCH = {"name": "sought", "search": True}
RECIPE = Recipe(
    **SEARCH,
    calibrator="mse",
    scheme="w4a8",
    io="int8",
    postprocess="in-file",
    seed=5,
    keep_float=["a", "b"],
    task="values",
    max_drop=2.0,
    min_sqnr=30.0,
    minutes=3.0,
    allow_float=True,
)
OPTIONS = Options(
    calibrator="entropy",
    scheme="w8a8-per-tensor",
    io="float",
    postprocess="beside",
    seed=0,
    keep_float=("c",),
    task="classify",
    max_drop=0.0,
    min_sqnr=0.0,
    minutes=1.0,
    allow_float=False,
)
DEFAULTS = {
    "calibrator": "minmax",
    "scheme": "w8a8",
    "io": "float",
    "postprocess": "beside",
    "seed": 0,
    "keep_float": (),
    "task": None,
    "max_drop": 1.0,
    "min_sqnr": 25.0,
    "minutes": 10.0,
    "allow_float": False,
}


def wishes(settings: Settings) -> dict[str, object]:
    return {name: getattr(settings, name) for name in WISHES} | {"scheme": settings.scheme.name}


def test_every_wish_has_a_setting():
    assert set(WISHES) == set(DEFAULTS) <= {field.name for field in fields(Settings)}


def test_where_nothing_is_said_the_defaults_hold():
    assert wishes(settle(Recipe(**SEARCH), None, Options())) == DEFAULTS


def test_the_word_of_the_recipe_counts_before_the_defaults():
    settled = wishes(settle(RECIPE, None, Options()))

    assert settled == {name: getattr(RECIPE, name) for name in WISHES} | {"keep_float": ("a", "b")}


def test_the_word_of_the_caller_counts_before_the_recipe_even_where_it_is_zero_or_no():
    settled = wishes(settle(RECIPE, None, OPTIONS))

    assert settled == {name: getattr(OPTIONS, name) for name in WISHES}


@pytest.mark.parametrize("name", WISHES)
def test_one_word_of_the_caller_leaves_the_others_to_the_recipe(name: str):
    settled = wishes(settle(RECIPE, None, Options(**{name: getattr(OPTIONS, name)})))

    others = wishes(settle(RECIPE, None, Options()))
    assert settled == others | {name: getattr(OPTIONS, name)}


def test_a_recipe_without_a_search_has_wishes_for_the_verdict():
    settled = settle(Recipe(max_drop=0.5), None, Options(min_sqnr=40.0))

    assert (settled.max_drop, settled.min_sqnr) == (0.5, 40.0)


def test_an_empty_word_says_nothing():
    empty = Options(scheme="", calibrator="", io="", keep_float=(), task="")

    assert wishes(settle(RECIPE, None, empty)) == wishes(settle(RECIPE, None, Options()))


@pytest.mark.parametrize(
    ("recipe", "options", "kind", "said"),
    [
        (RECIPE, Options(calibrator="minmx"), UnknownName, "unknown calibrator 'minmx'"),
        (Recipe(calibrator=""), Options(), UnknownName, "unknown calibrator ''"),
        (RECIPE, Options(io="int4"), UnknownName, "unknown io 'int4': known: float, int8, uint8"),
        (RECIPE, Options(scheme="w9"), UnknownName, "unknown scheme 'w9'"),
        (RECIPES["plain"], Options(scheme="mixed"), RequestError, "'mixed' leaves each weight's"),
        (RECIPES["plain"], Options(minutes=1.0), RequestError, "--minutes is for a search, and"),
        (RECIPE, Options(task="clasify"), UnknownName, "task 'clasify': did you mean classify"),
        (Recipe(task="value"), Options(), UnknownName, "unknown task 'value': did you mean values"),
        (RECIPE, Options(max_drop=-1.0), RequestError, "--max-drop -1.0 is out of range: from 0"),
        (RECIPES["plain"], Options(max_drop=101.0), RequestError, "from 0 to 100"),
        (RECIPE, Options(min_sqnr=math.inf), RequestError, "--min-sqnr inf is out of range"),
        (RECIPES["plain"], Options(min_sqnr=math.nan), RequestError, "--min-sqnr nan is out of"),
        (RECIPE, Options(minutes=0.0), RequestError, "--minutes 0.0 is out of range: from 0.001"),
    ],
)
def test_what_cannot_be_granted_is_refused_by_name(
    recipe: Recipe, options: Options, kind: type[RequestError], said: str
):
    with pytest.raises(kind, match=said):
        settle(recipe, None, options)
