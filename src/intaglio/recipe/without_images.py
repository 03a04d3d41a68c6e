"""What the recipe for no images does, by scheme: the rungs that were measured to help it.

Which they are stands in docs/data-free.md. Weights of 8 bits with one scale for each channel take
no equalization: it makes channels of weights alike, which these scales do by themselves.
"""

from __future__ import annotations

from typing import Any

from intaglio.methods.datafree.synthesis import Synthesis
from intaglio.numerics.scheme import Scheme
from intaglio.recipe.recipe import DATA_FREE, Recipe

FULL_BITS, FEWEST_EQUALIZED = 8, 3
"""Of weights: with fewer than all, it pays to make a row's columns alike; with fewer still, scales
are far below the largest weight, which equalization goes by."""
FINER = {"images": 64, "damping": 0.5}
"""How roundings are chosen that matter more: 7.8 -> 7.95 dB on MobileNetV2 at 4 bits."""
TAUGHT: dict[str, Any] = {
    "epochs": 20.0,
    "batch": 32,
    "optimizer": "adamw",
    "lr": 1e-4,
    "scale_lr": 1e-3,
    "weight_decay": 0.0,
    "distill": 1.0,
    "freeze": 0.0,
    "flip": True,
    "crop": 2,
    "held_out": 0,
    "evaluations": 0,
}
"""How some hundred images that were made are learned from: in small steps towards the float network
(ten times the rate undoes what rounding had found)."""
LEAST_BITS = 8
"""Of values: with fewer, what correlates counts, which no formula tells and images do, also those
that are made of batch norms."""


def spelled(recipe: Recipe, scheme: Scheme) -> Recipe:
    """Return the recipe; the one for no images with its steps for a scheme, if it states none."""
    if recipe.name != DATA_FREE or recipe.steps or recipe.search:
        return recipe
    if scheme.activation_bits < LEAST_BITS:
        steps: list[dict[str, Any]] = [
            {"name": "fold-dead-channels"},
            {"name": "round-second-order"},
            {"name": "train", "options": TAUGHT},
        ]
        changes = {"calibrator": "mse", "synthetic": Synthesis(), "steps": steps}
        return recipe.model_copy(update=changes)
    bits = scheme.weight_bits
    steps = [{"name": "fold-dead-channels"}]
    if not scheme.per_channel or FEWEST_EQUALIZED <= bits < FULL_BITS:
        steps.append({"name": "equalize-implied", "scheme": scheme.name})
    finer = FINER if bits < FULL_BITS else {}
    steps += [{"name": "round-second-order-implied", **finer}, {"name": "correct-bias-analytic"}]
    return recipe.model_copy(update={"steps": steps})
