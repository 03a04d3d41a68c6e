"""The recipes that have a name."""

from __future__ import annotations

from typing import Any

from intaglio.methods.datafree.synthesis import Synthesis
from intaglio.recipe.recipe import DATA_FREE, RECIPES, Recipe
from intaglio.recipe.without_images import taught_on

WITHOUT_IMAGES: set[str] = set()
"""Names of recipes that are for where there are no images: with some, others do better."""


def _register(recipe: Recipe) -> None:
    RECIPES.register(recipe.name)(recipe)


def _register_without_images(recipe: Recipe) -> None:
    _register(recipe)
    WITHOUT_IMAGES.add(recipe.name)


def _steps(*wishes: str | dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": wish} if isinstance(wish, str) else wish for wish in wishes]


_register(Recipe(name="plain", description="fold batch norms, min-max ranges, nothing else"))
_register(
    Recipe(
        name="plain-moving-average",
        description="as plain, with moving-average ranges: rare outliers are clipped",
        calibrator="moving-average",
    )
)
_register(
    Recipe(
        name="corrected",
        description="dead channels folded, every channel's mean corrected: seconds, most of it",
        steps=[{"name": "fold-dead-channels"}, {"name": "correct-bias"}],
    )
)
_register(
    Recipe(
        name="accurate",
        description="least-error ranges, second-order rounding: for one scale a channel",
        calibrator="mse",
        steps=[
            {"name": "fold-dead-channels"},
            {"name": "equalize-activations"},
            {"name": "round-second-order"},
        ],
    )
)
_register(
    Recipe(
        name="accurate-per-tensor",
        description="the same with weights equalized: for one scale a weight tensor",
        calibrator="mse",
        steps=[
            {"name": "fold-dead-channels"},
            {"name": "equalize"},
            {"name": "round-second-order"},
        ],
    )
)
_register_without_images(
    Recipe(
        name=DATA_FREE,
        description="no image is opened: batch norms give ranges and what rounding shifts",
    )
)
_register(
    Recipe(
        name="auto",
        description="a ladder of methods, judged on a fifth of the images, until the wish is met",
        search=True,
        judged_share=0.2,
    )
)
_register(
    Recipe(
        name="workflow",
        description="the published one: calibrators, then layers in float, then training",
        search=True,
        ladder="workflow",
        judged_share=0.2,
        tuning_images=1024,  # as published
        minutes=30.0,
    )
)
_register_without_images(
    Recipe(
        name="dfq",
        description="no images: equalization, ranges of batch norms, analytic bias correction",
        steps=_steps("fold-dead-channels", "equalize", "absorb-bias", "correct-bias-analytic"),
    )
)
_register_without_images(
    Recipe(
        name="aciq",
        description="no images: analytic clipping of what batch norms imply, biases corrected",
        calibrator="aciq",
        steps=_steps("fold-dead-channels", "correct-bias-analytic"),
    )
)
_register_without_images(
    Recipe(
        name="squant",
        description="no images: rounding errors that cancel in kernels and channels",
        calibrator="mse",
        steps=_steps("fold-dead-channels", "round-squant"),
    )
)
_register_without_images(
    Recipe(
        name="zeroq",
        description="images distilled from batch norms give the ranges, nothing else",
        calibrator="mse",
        synthetic=Synthesis(),
        steps=_steps("fold-dead-channels"),
    )
)
_register_without_images(
    Recipe(
        name="zeroq-second-order",
        description="images distilled from batch norms, second-order rounding on them",
        calibrator="mse",
        synthetic=Synthesis(),
        steps=_steps("fold-dead-channels", "round-second-order"),
    )
)
_register_without_images(
    Recipe(
        name="zeroq-brecq",
        description="images distilled from batch norms, rounding learned block by block on them",
        calibrator="mse",
        synthetic=Synthesis(),
        steps=_steps("fold-dead-channels", "round-second-order", "brecq"),
    )
)
_register_without_images(
    Recipe(
        name="genie",
        description="images of a generator that learns with its latents (swing), then QDrop",
        calibrator="mse",
        synthetic=Synthesis(generator=True, swing=True),
        steps=_steps("fold-dead-channels", "round-second-order", "qdrop"),
    )
)
_register_without_images(
    Recipe(
        name="synq",
        description="images with labels behind a low-pass, taught softly where they are too hard",
        calibrator="mse",
        synthetic=Synthesis(label=0.003, low_pass=12.0, hardest=0.5),
        steps=_steps(
            "fold-dead-channels",
            "round-second-order",
            {"name": "train", "options": taught_on(Synthesis().images, distill=0.9)},
        ),
    )
)
_register_without_images(
    Recipe(
        name="gdfq",
        description="a generator with labels makes images, the float network teaches on them",
        steps=_steps("fold-dead-channels", "round-squant", "train-gdfq"),
        calibrator="mse",
    )
)
_register_without_images(
    Recipe(
        name="zaq",
        description="a generator looks for where the networks differ, and training mends it",
        steps=_steps("fold-dead-channels", "round-squant", "train-zaq"),
        calibrator="mse",
    )
)
