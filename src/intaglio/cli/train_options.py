"""What `intaglio train` takes from the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from intaglio.cli.options import (
    AsJson,
    CalibratorName,
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

TrainingData = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="DIR|CSV|PARQUET|TAR",
        help="Labelled images to learn from: class folders, a manifest, a parquet file, or .tar"
        " shards, such as train-{0000..0009}.tar; boxes for a detector, masks for a segmenter.",
        show_default=False,
    ),
]
BackboneWeights = Annotated[
    str | None,
    typer.Option(
        "--backbone-weights",
        metavar="FILE",
        help="In place of --weights: a trained classifier's weights, for the body of a detector or"
        " a segmenter; the rest begins at random.",
    ),
]
TrainedScheme = Annotated[
    str | None,
    typer.Option(
        "--scheme",
        metavar="NAME",
        help="float, or as for compress: w8a8 (if left out), w4a8, ...; others, such as w4a4, are"
        " run by the twin alone.",
    ),
]
Method = Annotated[
    str | None,
    typer.Option(
        "--method",
        metavar="NAME",
        help="What learns, and how grids follow: lsq (if left out), lsq+, pact, moving-average,"
        " held, fixed or exact.",
    ),
]
Distill = Annotated[
    float | None,
    typer.Option(
        "--distill",
        min=0.0,
        max=1.0,
        metavar="[SHARE]",
        help="Learn from the float network's outputs: that share of the loss; without a number all"
        " of it, which needs no labels.",
    ),
]
Epochs = Annotated[
    float | None,
    typer.Option(
        "--epochs", metavar="N", help="How often each image is seen; 1 if nothing is said."
    ),
]
TrainMinutes = Annotated[
    float | None,
    typer.Option("--minutes", metavar="M", help="What training may take, in place of --epochs."),
]
Batch = Annotated[
    int | None,
    typer.Option(
        "--batch",
        min=1,
        metavar="N",
        help="Images in a step, over all processes together; 64 if left out.",
    ),
]
Rate = Annotated[
    float | None,
    typer.Option("--lr", metavar="X", help="Highest rate of weights; 0.01 if left out."),
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        metavar="fp32|fp16|bf16",
        help="Of convolutions and products while training; fp32 if left out.",
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Go on with a killed run of the same --out; where there is none, begin."
    ),
]
TrainRecipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="NAME|FILE.toml",
        help="Its steps make the integers that training starts from; its [train] table says how.",
    ),
]
TensorBoard = Annotated[
    str | None,
    typer.Option(
        "--tensorboard", metavar="DIR", help="For curves of loss, rate and figures, as they come."
    ),
]


@dataclass(frozen=True)
class TrainRequest:
    """What `train` is asked."""

    model: Model
    data: TrainingData
    weights: Weights = None
    backbone_weights: BackboneWeights = None
    evaluation: OptionalEvaluation = None
    scheme: TrainedScheme = None
    method: Method = None
    distill: Distill = None
    epochs: Epochs = None
    minutes: TrainMinutes = None
    limit: Limit = None
    batch: Batch = None
    lr: Rate = None
    precision: Precision = None
    resume: Resume = False
    recipe: TrainRecipe = None
    target: TargetName = None
    calibrator: CalibratorName = None
    keep_float: KeepFloat = None
    task: TaskName = None
    out: Out = None
    replace_older: Replace = False
    preprocess: Preprocessing = None
    input_shape: InputShape = None
    skip_bad_images: SkipBadImages = False
    seed: Seed = None
    device: Device = "cpu"
    tensorboard: TensorBoard = None
    as_json: AsJson = False
