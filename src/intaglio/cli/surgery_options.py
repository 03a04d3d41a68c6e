"""What `intaglio surgery` takes from the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from intaglio.cli.options import (
    AsJson,
    Device,
    InputShape,
    KeepFloat,
    Limit,
    Model,
    OptionalEvaluation,
    Out,
    Preprocessing,
    Replace,
    Seed,
    SkipBadImages,
    TargetName,
    TaskName,
    Weights,
)
from intaglio.cli.train_options import Batch, Rate

SurgeryData = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="DIR|CSV|PARQUET",
        help="Images: most of them to tune on, the others to judge each change. Labels, where there"
        " are some, judge.",
        show_default=False,
    ),
]
To = Annotated[
    str,
    typer.Option(
        "--to", metavar="qf", help="What the network is made to: qf, quantization-friendly."
    ),
]
SurgeryScheme = Annotated[
    str | None,
    typer.Option(
        "--scheme",
        metavar="NAME",
        help="Of the integers that judge; w8a8-per-tensor if left out, where channels of unequal"
        " size cost most.",
    ),
]
SurgeryEpochs = Annotated[
    float | None,
    typer.Option("--epochs", metavar="N", help="Of each fine-tuning; 2 if nothing is said."),
]


@dataclass(frozen=True)
class SurgeryRequest:
    """What `surgery` is asked."""

    model: Model
    data: SurgeryData
    to: To = "qf"
    weights: Weights = None
    evaluation: OptionalEvaluation = None
    scheme: SurgeryScheme = None
    epochs: SurgeryEpochs = None
    batch: Batch = None
    lr: Rate = None
    limit: Limit = None
    target: TargetName = None
    keep_float: KeepFloat = None
    task: TaskName = None
    out: Out = None
    replace_older: Replace = False
    preprocess: Preprocessing = None
    input_shape: InputShape = None
    skip_bad_images: SkipBadImages = False
    seed: Seed = None
    device: Device = "cpu"
    as_json: AsJson = False
