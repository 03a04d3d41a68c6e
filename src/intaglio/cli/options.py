"""What can be asked on the command line: the options, and a request for each command.

A request is a frozen dataclass whose fields are the command's arguments and options, in the order
of its help: adding a field adds the option. Importing this file takes no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

LARGEST_SEED = 2**63 - 1
LOOKED_AT = 128
"""Images that the doctor looks at where --limit is left out: half a minute for a MobileNet."""

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A zoo name, package.module:factory, either with keyword arguments in brackets, or a"
        " saved .pt2 exported program.",
        show_default=False,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="Trained weights: .safetensors, or a PyTorch checkpoint; FILE#model_ema names a part"
        " of it. Nothing is ever unpickled.",
    ),
]
Preprocessing = Annotated[
    str | None,
    typer.Option(
        "--preprocess",
        metavar="TEXT",
        help="Parts that replace the network's own: resize=256,crop=224,mean=0.5,std=0.5; none"
        " turns a part off.",
    ),
]
InputShape = Annotated[
    str | None,
    typer.Option("--input-shape", metavar="1,3,H,W", help="What the network takes."),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", min=1, metavar="N", help="N images of --data, drawn with --seed."),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        min=0,
        max=LARGEST_SEED,
        metavar="N",
        help="Of every random choice; 0 if left out.",
    ),
]
Evaluation = Annotated[
    str,
    typer.Option(
        "--eval",
        metavar="DIR|CSV|PARQUET|TAR",
        help="Labelled images: class folders, a manifest with file,class_index, a parquet file, or"
        " .tar shards; for a detector boxes, for a segmenter masks (docs/detectors.md,"
        " docs/segmenters.md).",
        show_default=False,
    ),
]
TargetName = Annotated[
    str | None,
    typer.Option("--target", metavar="NAME", help="litert (if left out) or litert-reference."),
]
SchemeName = Annotated[
    str | None,
    typer.Option(
        "--scheme",
        metavar="NAME",
        help="w8a8 (if left out), w4a8, w2a8 or mixed; with -per-tensor: one scale a weight."
        " compress runs others, such as w4a4, by the twin alone. fp16: float16 weights, float32"
        " arithmetic, without images.",
    ),
]
SkipBadImages = Annotated[
    bool,
    typer.Option("--skip-bad-images", help="Go on past unreadable images, and count them."),
]
CalibrationData = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="DIR|CSV|PARQUET|TAR|none",
        help="Images to calibrate with, also .tar shards; no labels needed.",
    ),
]
OptionalEvaluation = Annotated[
    str | None,
    typer.Option(
        "--eval",
        metavar="DIR|CSV|PARQUET|TAR",
        help="Images to measure on, labelled where the task needs it: with classes, boxes or masks;"
        " read once, at the end. They decide nothing.",
    ),
]
RecipeName = Annotated[
    str | None,
    typer.Option(
        "--recipe", metavar="NAME|FILE.toml", help="auto if left out; see intaglio recipes."
    ),
]
CalibratorName = Annotated[
    str | None,
    typer.Option(
        "--calibrator",
        metavar="NAME",
        help="Of activations: minmax (if left out), mse, entropy, ...",
    ),
]
Out = Annotated[
    str | None,
    typer.Option("--out", metavar="DIR", help="For the result; ./MODEL-SCHEME if left out."),
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Replace an older result in --out, as a whole.")
]
FileForm = Annotated[
    str | None,
    typer.Option(
        "--io",
        metavar="float|int8|uint8",
        help="What the file takes and gives; float if left out.",
    ),
]
PlaceOfBoxes = Annotated[
    str | None,
    typer.Option(
        "--postprocess",
        metavar="beside|in-file",
        help="Where boxes come of a detector's outputs, or classes of pixels of a segmenter's;"
        " in-file: the file ends in them; beside it if left out.",
    ),
]
Refined = Annotated[
    bool,
    typer.Option(
        "--crf",
        help="Of a segmenter: tell also what its maps are once a dense CRF has looked at the"
        " pictures (DeepLab's parameters); the file is the same.",
    ),
]
KeepFloat = Annotated[
    list[str] | None,
    typer.Option(
        "--keep-float",
        metavar="LAYER",
        help="A layer, or a block, that stays float32; may be given several times.",
    ),
]
MaxDrop = Annotated[
    float | None,
    typer.Option(
        "--max-drop", metavar="POINTS", help="Accuracy that may be lost; 1.0 if left out."
    ),
]
MinSqnr = Annotated[
    float | None,
    typer.Option(
        "--min-sqnr",
        metavar="DECIBELS",
        help="SQNR that outputs without a metric of their own must have; 25 if left out.",
    ),
]
Minutes = Annotated[
    float | None,
    typer.Option("--minutes", metavar="M", help="What a search may take; 10 if left out."),
]
AllowFloat = Annotated[
    bool,
    typer.Option(
        "--allow-float",
        help="Layers without an integer form, and the worst ones in a search, may stay float32.",
    ),
]
TaskName = Annotated[
    str | None,
    typer.Option(
        "--task",
        metavar="NAME",
        help="What the network is for, where it does not say: classify, segment or values.",
    ),
]
Device = Annotated[
    str,
    typer.Option("--device", metavar="NAME", help="Where the float network calibrates."),
]
GoOn = Annotated[
    bool,
    typer.Option(
        "--resume", help="Go on with a killed run of the same --out, of those with --data none."
    ),
]
Apply = Annotated[
    bool,
    typer.Option("--apply", help="Try each remedy, and report the points that it regains."),
]
LimitLookedAt = Annotated[
    int | None,
    typer.Option(
        "--limit",
        min=1,
        metavar="N",
        help=f"N images of --data, drawn with --seed; {LOOKED_AT} if left out.",
    ),
]
ModelOrResult = Annotated[
    str,
    typer.Argument(
        metavar="MODEL|DIR", help="As for compress, or a saved result.", show_default=False
    ),
]
AnyFile = Annotated[
    str,
    typer.Argument(
        metavar="DIR|FILE.tflite", help="A saved result, or any file.", show_default=False
    ),
]
OwnFile = Annotated[
    str,
    typer.Argument(
        metavar="DIR|FILE.tflite",
        help="A saved result, or the file in its folder.",
        show_default=False,
    ),
]
CheckedData = Annotated[
    str,
    typer.Option(
        "--data", metavar="DIR|CSV|PARQUET|TAR", help="Images to run.", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


@dataclass(frozen=True)
class CompressRequest:
    """What `compress` is asked."""

    model: Model
    weights: Weights = None
    data: CalibrationData = None
    evaluation: OptionalEvaluation = None
    target: TargetName = None
    scheme: SchemeName = None
    recipe: RecipeName = None
    calibrator: CalibratorName = None
    out: Out = None
    replace_older: Replace = False
    preprocess: Preprocessing = None
    input_shape: InputShape = None
    limit: Limit = None
    keep_float: KeepFloat = None
    allow_float: AllowFloat = False
    task: TaskName = None
    max_drop: MaxDrop = None
    min_sqnr: MinSqnr = None
    minutes: Minutes = None
    io: FileForm = None
    postprocess: PlaceOfBoxes = None
    crf: Refined = False
    skip_bad_images: SkipBadImages = False
    seed: Seed = None
    device: Device = "cpu"
    resume: GoOn = False
    as_json: AsJson = False


@dataclass(frozen=True)
class ListRequest:
    """What `models` and `recipes` are asked."""

    as_json: AsJson = False


@dataclass(frozen=True)
class InspectRequest:
    """What `inspect` is asked."""

    model: ModelOrResult
    weights: Weights = None
    input_shape: InputShape = None
    target: TargetName = None
    scheme: SchemeName = None
    seed: Seed = None
    as_json: AsJson = False


@dataclass(frozen=True)
class EvaluateRequest:
    """What `evaluate` is asked."""

    file: AnyFile
    evaluation: Evaluation
    preprocess: Preprocessing = None
    input_shape: InputShape = None
    target: TargetName = None
    crf: Refined = False
    skip_bad_images: SkipBadImages = False
    as_json: AsJson = False


@dataclass(frozen=True)
class CheckRequest:
    """What `check` is asked."""

    file: OwnFile
    data: CheckedData
    preprocess: Preprocessing = None
    limit: Limit = None
    seed: Seed = None
    skip_bad_images: SkipBadImages = False
    as_json: AsJson = False


@dataclass(frozen=True)
class DoctorRequest:
    """What `doctor` is asked."""

    model: Model
    weights: Weights = None
    data: CalibrationData = None
    evaluation: OptionalEvaluation = None
    target: TargetName = None
    scheme: SchemeName = None
    apply: Apply = False
    task: TaskName = None
    preprocess: Preprocessing = None
    input_shape: InputShape = None
    limit: LimitLookedAt = None
    skip_bad_images: SkipBadImages = False
    seed: Seed = None
    as_json: AsJson = False
