"""The options of the commands, so that each means the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

LARGEST_SEED = 2**63 - 1

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
        help="Trained weights: .safetensors, or a PyTorch checkpoint. Nothing is ever unpickled.",
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
        metavar="DIR|CSV|PARQUET",
        help="Labelled images: class folders, a manifest with file,class_index, or a parquet file.",
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
        help="w8a8 (if left out), w4a8, w2a8 or mixed; with -per-tensor: one scale a weight.",
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
        metavar="DIR|CSV|PARQUET|none",
        help="Images to calibrate with; no labels needed.",
    ),
]
OptionalEvaluation = Annotated[
    str | None,
    typer.Option(
        "--eval",
        metavar="DIR|CSV|PARQUET",
        help="Labelled images; read once, at the end. They decide nothing.",
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
        "--io", metavar="float|int8", help="What the file takes and gives; float if left out."
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
        "--max-drop", metavar="POINTS", help="Accuracy that a search may lose; 1.0 if left out."
    ),
]
Minutes = Annotated[
    float | None,
    typer.Option("--minutes", metavar="M", help="What a search may take; 10 if left out."),
]
Device = Annotated[
    str,
    typer.Option("--device", metavar="NAME", help="Where the float network calibrates."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
