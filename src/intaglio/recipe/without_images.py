"""What the recipe for no images does, by scheme: the rungs that were measured to help it.

Which they are stands in docs/data-free.md. One scale for each channel takes no equalization: it
makes channels of weights alike, which these scales do by themselves, at the cost of activations.
"""

from __future__ import annotations

from typing import Any

from intaglio.numerics.scheme import Scheme
from intaglio.recipe.recipe import DATA_FREE, Recipe


def spelled(recipe: Recipe, scheme: Scheme) -> Recipe:
    """Return the recipe; the one for no images with its steps for a scheme, if it states none."""
    if recipe.name != DATA_FREE or recipe.steps or recipe.search:
        return recipe
    names = ["fold-dead-channels"]
    if not scheme.per_channel:
        names.append("equalize")
    names += ["round-second-order-implied", "correct-bias-analytic"]
    steps: list[dict[str, Any]] = [{"name": name} for name in names]
    return recipe.model_copy(update={"steps": steps})
