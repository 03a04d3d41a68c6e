"""Whether what a recipe needs was given; asked by Python and the command line before any work."""

from __future__ import annotations

from collections.abc import Set

from intaglio.errors import RequestError
from intaglio.methods.steps.steps import GIVING, refuse_unmet
from intaglio.recipe.recipe import DATA_FREE, Recipe


def refuse_unmet_needs(recipe: Recipe, has: Set[str]) -> None:
    """Raise where a recipe, or one of its steps, needs what is not there.

    Args:
        has: Which of "images", "labels", "stream" and "task" there are, or may turn out to be.

    Raises:
        RequestError: If a need is not met.
    """
    if recipe.synthetic is not None:
        if "images" in has:
            raise RequestError(
                f"recipe '{recipe.name}' makes images of its own ([synthetic]), and some were"
                " given: leave them out (--data none), or take another recipe"
            )
        has = has | {"images"}
    if recipe.search and "images" not in has:
        raise RequestError(
            f"recipe '{recipe.name}' judges what it tries on images and there are none:"
            f" {GIVING['images']}, or take recipe '{DATA_FREE}'"
        )
    refuse_unmet(recipe.steps, has)


def refuse_training(recipe: Recipe) -> None:
    """Raise RequestError where a recipe says how to train, which compressing does not do."""
    if recipe.train is not None:
        raise RequestError(
            f"recipe '{recipe.name}' has a [train] table, and compress does not train: use"
            " 'intaglio train' (intaglio.train in Python), or take the table out"
        )
