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
    "batch": 32,
    "optimizer": "adamw",
    "lr": 1e-4,
    "scale_lr": 1e-3,
    "weight_decay": 0.0,
    "distill": 1.0,
    "temperature": 4.0,
    "freeze": 0.0,
    "flip": True,
    "crop": 2,
    "held_out": 0,
    "evaluations": 0,
}
"""How some hundred images that were made are learned from: in small steps towards the float network
(ten times the rate undoes what rounding had found), all of whose scores count (the temperature: 0.3
points of agreement)."""
STEPS_TAUGHT = 160
"""How many of them, whatever the images: twice as many bring nothing."""
LEAST_BITS = 8
"""Of values: with fewer, what correlates counts, which no formula tells and images do, also those
that are made of batch norms."""
MANY, MOST = Synthesis(images=256), Synthesis(images=512)
"""Images for values of fewer bits, the second for networks that they cost little: ResNet-20 at 4
bits has 13.95 dB with 256 and 14.2 with 512."""
FEW, SOME = Synthesis(images=32, batch=32), Synthesis(images=64, batch=32)
"""Images that biases and roundings at 8-bit values learn from; the second for weights of fewer."""
CHEAP_MACS, MOST_MACS = 100_000_000, 1_000_000_000
"""Of a network for one image, up to which making images pays: with weights of 8 bits, where they
bring MobileNetV1 0.25 (41 million) 1.4 points of agreement in 40 seconds, and with fewer, where
they bring MobileNetV2 (301 million) at 4 bits as much in 8 minutes."""


def spelled(recipe: Recipe, scheme: Scheme) -> Recipe:
    """Return the recipe; the one for no images with its steps for a scheme, if it states none.

    They are those for a large network with batch norms, until it is known (`fitted`).
    """
    if recipe.name != DATA_FREE or recipe.steps or recipe.search:
        return recipe
    return fitted(recipe, scheme, macs=MOST_MACS + 1, has_norms=True)


def fitted(recipe: Recipe, scheme: Scheme, *, macs: int, has_norms: bool) -> Recipe:
    """Return the recipe for no images with the steps for a network.

    Images are made where batch norms are there to make them of, and where they are needed or worth
    what they cost. With one scale for a whole weight they harm: what its coarse steps change in
    them is not what it changes in photographs (MobileNetV1 0.25: agreement 84 without and 53 with
    them).

    Args:
        recipe: Spelled out for the scheme by `spelled`.
        macs: Multiply-accumulates for one image.
        has_norms: Whether batch norms state anything.
    """
    return _with_steps(recipe, scheme, _images(scheme, macs) if has_norms else None)


def taught_on(images: int, **changes: Any) -> dict[str, Any]:
    """Return the options of a training on so many images: `STEPS_TAUGHT` steps, and changes."""
    return {"epochs": STEPS_TAUGHT * TAUGHT["batch"] / images, **TAUGHT, **changes}


def _images(scheme: Scheme, macs: int) -> Synthesis | None:
    if _needs_images(scheme):
        return MOST if macs <= CHEAP_MACS else MANY
    if not scheme.per_channel:
        return None
    made, most = (SOME, MOST_MACS) if scheme.weight_bits < FULL_BITS else (FEW, CHEAP_MACS)
    return made if macs <= most else None


def _needs_images(scheme: Scheme) -> bool:
    return scheme.activation_bits < LEAST_BITS


def _with_steps(recipe: Recipe, scheme: Scheme, made: Synthesis | None) -> Recipe:
    """Return the recipe with its steps for a scheme and the images that are made, if any are."""
    steps: list[dict[str, Any]] = [{"name": "fold-dead-channels"}]
    changes: dict[str, Any] = {"synthetic": made}
    if _needs_images(scheme):
        changes["calibrator"] = "mse"
    elif not scheme.per_channel or FEWEST_EQUALIZED <= scheme.weight_bits < FULL_BITS:
        steps.append({"name": "equalize-implied", "scheme": scheme.name})
    if made is None:
        finer = FINER if scheme.weight_bits < FULL_BITS else {}
        steps += [{"name": "round-second-order-implied", **finer}]
        steps += [{"name": "correct-bias-analytic"}]
    else:
        steps += [{"name": "round-second-order"}]
        if _needs_images(scheme):
            steps += [{"name": "train", "options": taught_on(made.images)}]
    return recipe.model_copy(update={**changes, "steps": steps})
