"""`intaglio inspect`: a network's layers, and what will be hard to quantize."""

from __future__ import annotations

from pathlib import Path

from intaglio.cli.options import InspectRequest
from intaglio.cli.progress import shown_progress
from intaglio.cli.saved import load_told
from intaglio.cli.screen import print_json, print_line, print_table
from intaglio.cli.source import open_source, tell_notes
from intaglio.doctor.inspection import Inspection, inspect, joined
from intaglio.errors import RequestError
from intaglio.host.files import MARK
from intaglio.ir.graph import BATCH, Graph
from intaglio.job.compress import captured_or_cut
from intaglio.job.cut import graphs_of
from intaglio.read.module.core_whole import Whole
from intaglio.runtimes import DEFAULT_TARGET, TARGETS
from intaglio.zoo import ZOO


def run(request: InspectRequest) -> None:
    """Look the network through, and show its layers and hazards.

    Raises:
        RequestError: If there is no such network or result, or the target does not hold the scheme.
    """
    folder = Path(request.model)
    if (folder / MARK).is_file() or (folder.is_dir() and request.model not in ZOO):
        if request.weights is not None or request.input_shape is not None:
            raise RequestError(
                f"{request.model} is a saved result: leave --weights and --input-shape out"
            )
        saved = load_told(folder)
        graphs = [saved.graph, *(part.graph for part in saved.parts.values())]
        target = TARGETS[request.target] if request.target else saved.target
    else:
        target = TARGETS[request.target or DEFAULT_TARGET]
        graphs = _captured(request)
    found = joined([inspect(one, target, request.scheme or None) for one in graphs])
    if request.as_json:
        print_json(found.to_dict())
    else:
        _show(found)


def _captured(request: InspectRequest) -> list[Graph]:
    """Return the network's graph; of a detector that is cut, those of its cores."""
    network = open_source(
        request.model,
        weights=request.weights,
        preprocess=None,
        input_shape=request.input_shape,
        seed=request.seed or 0,
    )
    if request.weights:
        tell_notes(network)
    with shown_progress(as_json=request.as_json) as progress:
        progress.begin("capture", None)
        captured = captured_or_cut(network)
        return graphs_of(captured) if isinstance(captured, Whole) else [captured]


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
