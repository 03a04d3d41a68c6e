"""What the command line knows of a run beside the pipeline, for reports and recipes."""

from __future__ import annotations

from collections.abc import Sequence

from intaglio.data.preprocess import preprocess_text
from intaglio.read.reader import Source
from intaglio.recipe.recipe import Recipe


def unreadable(names: Sequence[str]) -> list[str]:
    """Return a warning of images of --eval that were passed over; none where there were none."""
    if not names:
        return []
    return [f"{len(names)} images of --eval were unreadable, first {names[0]}"]


def ran_with(
    recipe: Recipe, network: Source, weights: str | None, *, backbone_weights: str | None = None
) -> Recipe:
    """Return a recipe that says which weights, input and preprocessing it ran with."""
    backbone = {} if backbone_weights is None else {"backbone_weights": backbone_weights}
    ran = {
        **recipe.ran,
        "weights": weights,
        **backbone,
        "input_shape": ",".join(map(str, network.input_shape)),
        "preprocess": preprocess_text(network.preprocess),
    }
    return recipe.model_copy(update={"ran": ran})
