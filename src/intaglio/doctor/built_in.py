"""Which built-in recipe holds a remedy, so that nobody has to write a file to follow it."""

from __future__ import annotations

from collections.abc import Sequence

from intaglio.doctor.finding import Treatment
from intaglio.recipe.built_in import WITHOUT_IMAGES
from intaglio.recipe.recipe import RECIPES, Recipe

EQUALIZES = "equalize"


def built_in_recipe(treatment: Treatment, *, per_channel: bool) -> str | None:
    """Return the name of the built-in recipe with the fewest steps that does all of a treatment.

    Its steps must stand there in their order, and its calibrator be the treatment's where that
    names one. None where there is none: layers kept in float and other images are no recipe's.

    Args:
        treatment: A remedy, as a run takes it.
        per_channel: Whether weights have a scale for each channel. Of two recipes with as many
            steps that which equalizes weights comes last then, else first.
    """
    if treatment.keep_float or treatment.images is not None:
        return None
    if not treatment.steps and treatment.calibrator is None:
        return None
    fitting = [RECIPES[name] for name in RECIPES if _does(RECIPES[name], treatment)]
    order = sorted(
        fitting,
        key=lambda recipe: (
            len(recipe.steps),
            (EQUALIZES in recipe.step_names) is per_channel,
            recipe.name,
        ),
    )
    return order[0].name if order else None


def _does(recipe: Recipe, treatment: Treatment) -> bool:
    if recipe.search or recipe.name in WITHOUT_IMAGES:
        return False
    if (treatment.calibrator or recipe.calibrator) != recipe.calibrator:
        return False
    return _in_order(treatment.steps, recipe.step_names)


def _in_order(wanted: Sequence[str], steps: Sequence[str]) -> bool:
    left = iter(steps)
    return all(name in left for name in wanted)  # each `in` goes on behind the last one found
