"""The reader of exported programs: in memory, or a `.pt2` file of torch.export.save."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch.export import ExportedProgram

from intaglio.errors import CaptureError, IntaglioError, RequestError, WeightsError, cause
from intaglio.ir.graph import Graph
from intaglio.read.module.program import graph_of_program
from intaglio.read.program.saved_program import load_program, program_input
from intaglio.read.reader import Given, Source

ENDING = ".pt2"
IN_MEMORY = "model"


@dataclass(frozen=True)
class ProgramReader:
    """Takes an ExportedProgram, and a path that ends in .pt2."""

    name: str = "program"
    description: str = "a saved .pt2 exported program"

    def takes(self, model: object) -> bool:
        """Whether it is a program, or such a path."""
        if isinstance(model, ExportedProgram):
            return True
        return isinstance(model, str) and model.lower().endswith(ENDING)

    def open(self, model: object, given: Given) -> Source:
        """Return the source of a program; of a saved one nothing is run that could be code.

        Raises:
            WeightsError: If the file is missing or damaged, or would need unpickling.
            RequestError: If weights are given as well, or another input shape than its own.
        """
        text = IN_MEMORY if isinstance(model, ExportedProgram) else str(model)
        if given.weights is not None:
            raise RequestError(f"the program '{text}' brings its own weights: leave --weights out")
        program = model if isinstance(model, ExportedProgram) else load_program(Path(text))
        batch, sizes = program_input(program)
        own = (1, *sizes)
        if given.input_shape not in (None, own):
            raise RequestError(
                f"the program '{text}' was exported for images {list(own)}: leave --input-shape"
                " out, or export it again"
            )
        notes = (
            () if batch is None else (f"the program has a fixed batch of {batch}: taken as any",)
        )
        return Source(
            text,
            lambda: _graph(program, text, batch),
            given.preprocess_over(None),
            own,
            notes,
            program.state_dict,
        )


def _graph(program: ExportedProgram, text: str, batch: int | None) -> Graph:
    try:
        return graph_of_program(program)
    except IntaglioError:
        raise
    except RuntimeError as error:  # of torch, where the fixed batch is part of the computation
        reason = " ".join(str(error).split())[:200]
        raise CaptureError(
            f"the program '{text}' cannot run with another batch than {batch} ({reason}):"
            " export it with dynamic_shapes for axis 0"
        ) from error
    except Exception as error:  # of torch, whatever arguments a damaged file gives a call
        reason = cause(error)[:200]
        raise WeightsError(
            f"the program '{text}' is damaged: it cannot be computed ({reason}): save it again"
        ) from error


PROGRAM = ProgramReader()
