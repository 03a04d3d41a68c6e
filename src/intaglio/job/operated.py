"""The result of a surgery: the network, its integers, and the price list."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

from intaglio.data.held import HeldImages
from intaglio.host.files import write_file
from intaglio.host.folder import claim_place, whole_folder
from intaglio.host.place import Place
from intaglio.host.processor import processor_name
from intaglio.ir.graph import Graph
from intaglio.job.compress import noted
from intaglio.job.of_graph import compress_graph
from intaglio.job.operation import Measured, Operation
from intaglio.job.outcome import task_of
from intaglio.job.recorder import Recorder
from intaglio.job.result import Result
from intaglio.job.trained import WEIGHTS, plain
from intaglio.job.training import by_user_names
from intaglio.methods.steps.state import Prepared
from intaglio.read.module.quiet import quiet
from intaglio.read.reader import Source
from intaglio.recipe.options import Options
from intaglio.recipe.settings import Settings
from intaglio.run.fake import trainable
from intaglio.run.float import run_float
from intaglio.run.graph_module import GraphModule
from intaglio.tasks.evaluate import Network, SideBySide, side_by_side
from intaglio.tasks.pieces import evaluation_batches

SURGERY_MARK = "surgery.json"
PROGRAM = "network.pt2"
PER = 1000
"""Steps of fine-tuning for which gained points are told."""


@dataclass(frozen=True, eq=False)
class Operated:
    """A surgery that is done.

    Attributes:
        captured: The network that was given.
        source: Where it is from.
        rows: The price list; the first row is the network as it was given.
        held: Images that it was tuned and judged on.
        recorder: Of what was done.
    """

    captured: Graph
    source: Source
    rows: tuple[Operation, ...]
    held: HeldImages
    recorder: Recorder

    @property
    def last(self) -> Prepared:
        """The float network that is left."""
        return [row.found for row in self.rows if row.kept][-1].state


@dataclass(frozen=True, eq=False)
class SurgeryResult:
    """What `surgery` returns.

    Attributes:
        result: The integer network of what is left, as `compress` returns one.
        weights: All tensors of the user's network, by its own names; those of layers that are gone
            as they were.
        program: The float network after surgery, an exported program.
        record: What surgery.json says.
    """

    result: Result
    weights: Mapping[str, Tensor]
    program: bytes
    record: Mapping[str, Any]

    def save(self, place: str | Path | Place, *, replace: bool = False) -> None:
        """Write the result as a folder, whole or not at all; arguments and errors as of `Result`.

        Raises:
            OutputError: If the place cannot be written, or holds anything else; nothing there has
                then changed.
        """
        claimed = place if isinstance(place, Place) else claim_place(place, replace=replace)
        with whole_folder(claimed) as folder:
            self.write_into(folder)

    def write_into(self, folder: Path) -> None:
        """Write the result's files into a folder that exists."""
        self.result.write_into(folder)
        write_file(folder / WEIGHTS, to_bytes(dict(self.weights)))
        write_file(folder / PROGRAM, self.program)
        write_file(folder / SURGERY_MARK, json.dumps(self.record, indent=1, allow_nan=False) + "\n")


def told_of(
    operated: Operated, settings: Settings, choices: Options, *, to: str, evaluate: Any
) -> SurgeryResult:
    """Return the result of a surgery.

    Args:
        settings: Of the integers.
        choices: What else was chosen.
        to: What the network was made to.
        evaluate: As the user gave it, or None; gone through once.
    """
    captured, state = operated.captured, operated.last
    figures = _evaluated(operated, settings, evaluate)
    result = _integers(operated, settings, choices)
    own = trainable(state.graph, state.current_norms()).user_weights()
    record = {
        "intaglio": metadata.version("intaglio"),
        "model": choices.provenance.model,
        "to": to,
        "scheme": settings.scheme.name,
        "steps": [_row(row, found) for row, found in zip(operated.rows, figures, strict=True)],
        "weights": WEIGHTS,
        "program": PROGRAM,
        "data": {"tuning": len(operated.held.tuning), "judged": len(operated.held.judged)},
        "cpu": processor_name(),
        "warnings": [*operated.source.notes],
    }
    weights = by_user_names(own, operated.source.tensors)
    program = program_of(state.graph, captured[captured.inputs[0]].shape)
    return SurgeryResult(result, weights, program, record)


def _integers(operated: Operated, settings: Settings, choices: Options) -> Result:
    """Return the integer network of what is left, checked."""
    product = compress_graph(
        operated.last.graph,
        data=operated.held.tuning[: settings.tuning_images],
        target=settings.target.name,
        recipe=settings.recipe,
        options=replace(choices, scheme=settings.scheme.name, task=settings.task),
        steps=operated.recorder.steps,
    )
    result = noted(product, operated.source)
    note = (
        "the float network of this report is the one after surgery: what surgery itself changed"
        f" stands in {SURGERY_MARK}"
    )
    report = replace(result.report, warnings=[*result.report.warnings, note])
    return replace(result, report=report)


def program_of(graph: Graph, input_shape: Sequence[int]) -> bytes:
    """Return a float graph as a `.pt2` archive with any batch; `input_shape` is [-1, C, H, W]."""
    images = torch.zeros(2, *input_shape[1:])  # one would be taken for all batches
    module = GraphModule(graph).eval()
    held = io.BytesIO()
    with quiet(), torch.no_grad():
        shapes = ({0: torch.export.Dim.AUTO},)
        torch.export.save(torch.export.export(module, (images,), dynamic_shapes=shapes), held)
    return held.getvalue()


def _evaluated(operated: Operated, settings: Settings, evaluate: Any) -> list[dict[str, Any]]:
    """Return the figures of each row on the user's images; empty without."""
    rows, captured = operated.rows, operated.captured
    if evaluate is None:
        return [{} for _ in rows]
    task, _ = task_of(captured, evaluate, settings)

    def given(images: Tensor) -> list[Tensor]:
        """Return the outputs of the network that was given."""
        return run_float(captured, images)

    networks = [found for row in rows for found in _networks(row)]
    pairs = operated.recorder.step(
        "evaluate",
        lambda: side_by_side(
            given,
            networks,
            evaluation_batches(task, evaluate, captured),
            task,
            names=captured.output_titles,
            seen=operated.recorder.progress.advance,
        ),
        changed=lambda made: None,
    )
    told = iter(pairs)
    return [_figures(row, told) for row in rows]


def _networks(row: Operation) -> list[Network]:
    measured = [row.found] if row.untrained is None else [row.found, row.untrained]
    return [network for one in measured for network in (one.real, one.twin)]


def _figures(row: Operation, told: Any) -> dict[str, Any]:
    found = _both(next(told), next(told))
    if row.untrained is not None:
        found["before_fine_tuning"] = _both(next(told), next(told))
    return found


def _both(real: SideBySide, integer: SideBySide) -> dict[str, Any]:
    """Return a float network's figures and its integers', by the words of reports."""
    found: dict[str, Any] = {"n": integer.n}
    for name, side in (("float", real), ("integer", integer)):
        found |= {f"{name}_{key}": value for key, value in side.figures()[1].items()}
        percent = side.judgement().percent
        if percent is not None:
            found[f"{name}_agreement"] = percent
    return found


def _row(row: Operation, evaluated: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of surgery.json: on the user's images, if any, and on those that judged."""
    held = _judged(row.found)
    found: dict[str, Any] = {"change": row.change, "exact": row.exact, "nodes": row.nodes}
    found |= {"kept": row.kept, "why": row.why}
    own = dict(evaluated or held)
    untrained = own.pop("before_fine_tuning", None)
    if row.untrained is not None:
        untrained = untrained or _judged(row.untrained)
        found["before_fine_tuning"] = plain(untrained)
    found |= plain(own) | {"judged": plain(held)}
    if row.steps:
        gained = {"steps": row.steps, "seconds": row.seconds, "events": list(row.events)}
        found["fine_tuning"] = gained | {"points_per_1000_steps": _gained(row)}
    if row.found.worst_depthwise is not None:
        found["worst_depthwise_range"] = round(row.found.worst_depthwise, 3)
    return found


def _gained(row: Operation) -> float | None:
    """Return the points that the integers gained, for each PER steps; without labels agreement."""
    assert row.before is not None, "only a change has steps"
    now, before = (_points(one) for one in (row.found, row.before))
    if now is None or before is None:
        return None
    return round((now - before) * PER / row.steps, 3)


def _points(measured: Measured) -> float | None:
    figures = measured.judged.figures
    return next(iter(figures.values())) if figures else measured.judged.percent


def _judged(measured: Measured) -> dict[str, Any]:
    found: dict[str, Any] = {"n": measured.judged.n}
    for name, judgement in (("float", measured.judged_float), ("integer", measured.judged)):
        if judgement.figures:
            figure, value = next(iter(judgement.figures.items()))
            found[f"{name}_{figure}"] = value
        if judgement.percent is not None:
            found[f"{name}_agreement"] = judgement.percent
        found[f"{name}_sqnr_db"] = judgement.sqnr_db
    return found
