"""`intaglio inspect`: a network's layers, and what will be hard to quantize."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from intaglio.cli import options
from intaglio.cli.progress import shown_progress
from intaglio.cli.saved import load_told
from intaglio.cli.screen import print_json, print_line, print_table
from intaglio.cli.source import open_source
from intaglio.doctor.inspection import Inspection, inspect_graph
from intaglio.errors import RequestError
from intaglio.host.files import MARK
from intaglio.ir.graph import BATCH, Graph
from intaglio.runtimes import DEFAULT_TARGET, TARGETS
from intaglio.zoo import ZOO


def inspect(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|DIR", help="As for compress, or a saved result.", show_default=False
        ),
    ],
    weights: options.Weights = None,
    input_shape: options.InputShape = None,
    target: options.TargetName = None,
    scheme: options.SchemeName = None,
    seed: options.Seed = None,
    as_json: options.AsJson = False,
) -> None:
    """List layers, multiply-accumulates and parameters, and the hazards of quantizing MODEL."""
    folder = Path(model)
    if (folder / MARK).is_file() or (folder.is_dir() and model not in ZOO):
        if weights is not None or input_shape is not None:
            raise RequestError(f"{model} is a saved result: leave --weights and --input-shape out")
        saved = load_told(folder)
        graph, wanted = saved.graph, TARGETS[target] if target else saved.target
    else:
        wanted = TARGETS[target or DEFAULT_TARGET]
        graph = _captured(model, weights, input_shape, seed or 0, as_json=as_json)
    found = inspect_graph(graph, wanted, scheme or wanted.schemes[0])
    if as_json:
        print_json(found.to_dict())
    else:
        _show(found)


def _captured(
    model: str, weights: str | None, input_shape: str | None, seed: int, *, as_json: bool
) -> Graph:
    network = open_source(
        model, weights=weights, preprocess=None, input_shape=input_shape, seed=seed
    )
    with shown_progress(as_json=as_json) as progress:
        progress.begin("capture", None)
        return network.capture()


def _show(found: Inspection) -> None:
    print_table(
        ("layer", "op", "shape", "MACs", "parameters"),
        [
            (
                layer.name,
                layer.op,
                "x".join("N" if size == BATCH else str(size) for size in layer.shape),
                f"{layer.macs:,}" if layer.macs else "",
                f"{layer.params:,}" if layer.params else "",
            )
            for layer in found.layers
        ],
        right=("MACs", "parameters"),
    )
    print_line(f"{found.macs:,} multiply-accumulates for one image, {found.params:,} parameters")
    for sentence in found.hazards:
        print_line(f"Hazard: {sentence}")
    if not found.hazards:
        print_line("No hazard found without images.")
