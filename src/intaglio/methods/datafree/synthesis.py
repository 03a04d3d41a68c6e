"""What images that are made of batch norms may be told; the `[synthetic]` table of a recipe."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1)]


class Synthesis(BaseModel):
    """Settings of distilling images (methods/datafree/distill.py).

    Attributes:
        images: How many are made.
        batch: That are made together: their statistics are one batch's.
        steps: Of the optimizer, for each batch.
        lr: Its highest rate, in deviations of a pixel.
        generator: Whether images are made by a generator that learns together with what it is fed
            (GENIE-D), instead of pixels that learn themselves (ZeroQ).
        label: Weight of the class loss beside that of the batch norms; 0: images have no class.
        swing: Whether layers with a stride read their values moved by a pixel, drawn anew each
            step (GENIE's swing convolution).
        moved: By how many pixels images are moved, and mirrored half of the time, before each step;
            0: they stay.
        low_pass: Cycles across an image at which a Gaussian filter lets 61 % pass, put over the
            ready images (SynQ); 0: none.
        hardest: Images of which the float network gives their class less than 1 - hardest teach no
            label (SynQ); 1: all do.
        save: Whether the images are kept in the result's folder.
        save_seconds: At most this long is lost when the run is killed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: Count = 256
    batch: Annotated[int, Field(ge=2)] = 64
    steps: Count = 100
    lr: Positive = 0.5
    generator: bool = False
    label: NotNegative = 0.0
    swing: bool = False
    moved: Annotated[int, Field(ge=0)] = 0
    low_pass: NotNegative = 0.0
    hardest: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    save: bool = False
    save_seconds: Positive = 60.0
