"""What a run of training may be told; the `[train]` table of a recipe holds the same words."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=0)]


class TrainOptions(BaseModel):
    """Settings of a run of training.

    Attributes:
        epochs: How often each image is seen; parts of one count. None: 1, or as `minutes` say.
        minutes: What training may take, in place of epochs; how many steps that is, is settled
            after the first few and kept.
        batch: Images in a step, over all processes together.
        lr: Rate of weights at its highest; None: the optimizer's own (DEFAULT_LR).
        optimizer: "sgd" (Nesterov, momentum 0.9) or "adamw".
        schedule: How the rate falls: along a cosine to zero, as a power of what is left ("poly"),
            by a tenth at a half and at three quarters ("step"), or not at all.
        warmup: Share of the steps in which the rate rises from zero.
        weight_decay: Of weights; norms, biases and scales have none.
        scale_lr: Rate of learned scales, relative: 0.001 moves one by up to a thousandth in a step.
        smoothing: Share of a label that is spread over all classes.
        mixup: Parameter of the Beta distribution by which two images are mixed; 0: they are not.
        flip: Whether images are mirrored, left and right, half of the time.
        crop: By how many pixels images are moved at most, zeros coming in.
        cut: Share of images with boxes of which a part is cut out and enlarged.
        shrink: How many times smaller other images with boxes are made at most, half of the time.
        zoom: How many times larger or smaller images with masks are made at most, each share of
            that as likely; what reaches beyond the image is cut off.
        hard: Share of the pixels of masks that count at least, those of which the network is least
            sure; 0: all do.
        colour: By how much brightness, contrast and saturation of images change at most.
        distill: Share of the loss that is the distance to the float network's outputs; the rest is
            the task's. 1.0 needs no labels.
        temperature: Of both networks' classes in that distance.
        ema: Decay of the moving average of weights that is kept at the end; 0: none.
        clip: Largest norm of all gradients of weights together; 0: none.
        freeze: Share of the steps after which batch norms keep their statistics.
        observer_delay: Steps in which ranges are only observed, and nothing is quantized.
        oscillation: What is done with weights that jump between two integers.
        evaluations: How often the network is measured on held-out images while it trains.
        held_out: Images of the data, at most and never more than a tenth, that only measure.
        patience: Measurements in a row below the start until the run goes back.
        save_seconds: At most this long is lost when the run is killed.
        precision: Of the network's convolutions and products while training; fp16 with losses that
            are multiplied so that small gradients do not become 0. What stays fp32 is told as an
            event of the run.
        seed: Of the order of images, of what is drawn for them, and of all else.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: Positive | None = None
    minutes: Positive | None = None
    batch: Annotated[int, Field(ge=1)] = 64
    lr: Positive | None = None
    optimizer: Literal["sgd", "adamw"] = "sgd"
    schedule: Literal["cosine", "poly", "step", "constant"] = "cosine"
    warmup: Share = 0.05
    weight_decay: NotNegative = 1e-4
    scale_lr: NotNegative = 2e-3
    smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    mixup: NotNegative = 0.0
    flip: bool = False
    crop: Count = 0
    cut: Share = 0.0
    shrink: Annotated[float, Field(ge=1.0, le=10.0)] = 1.0
    zoom: Annotated[float, Field(ge=1.0, le=10.0)] = 1.0
    hard: Share = 0.0
    colour: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    distill: Share = 0.0
    temperature: Positive = 1.0
    ema: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    clip: NotNegative = 0.0
    freeze: Share = 0.5
    observer_delay: Count = 0
    oscillation: Literal["freeze", "damp", "none"] = "none"
    evaluations: Count = 4
    held_out: Count = 1000
    patience: Annotated[int, Field(ge=1)] = 2
    save_seconds: Positive = 60.0
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


DEFAULT_LR = {"sgd": 0.01, "adamw": 5e-4}
"""Rates with which fine-tuning of a trained network starts."""
