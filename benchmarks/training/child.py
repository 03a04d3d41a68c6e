"""One short run of ResNet-20 in a process of its own, or in several that train together.

    python -m benchmarks.training.child WISH.json

WISH.json says what is run (`ChildWish`); steps are told on standard output, one a line, so that the
run can be killed at one of them. The first process leaves at `out` the weights, the grids, and the
classes of the tested images before training.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.networks import RESNET20
from benchmarks.training.runs import (
    FLOAT,
    Ended,
    Run,
    at,
    float_outputs,
    samples_of,
    start_of,
    trained,
    trained_float,
)
from benchmarks.training.settings import RESUME, TUNING_IMAGES
from intaglio.data.samples import Samples
from intaglio.job.quantize import prepare_float
from intaglio.methods.learn.processes import Processes, joined_processes
from intaglio.methods.learn.sharded import Network, whole_batches
from intaglio.methods.steps.state import Quantized
from intaglio.read.module.export import capture

TESTED_AT_ONCE = 64
STEP = "step"


@dataclass(frozen=True)
class ChildWish:
    """What a run is.

    Attributes:
        data: The data pack.
        scheme: "float", or how it is quantized.
        images: Of the training data.
        steps: Of the run.
        place: Where it is saved; "": nowhere.
        resume: Whether it goes on with what is there.
        out: The file that it leaves.
        tested: Images whose classes before training it leaves; 0: one.
        threads: Of torch, in each process.
        change: Of the options in settings.py.
    """

    data: str
    scheme: str
    images: int
    steps: int
    place: str
    resume: bool
    out: str
    tested: int
    threads: int
    change: dict[str, Any]


@dataclass
class Told:
    """Progress that prints each step."""

    batch: int
    done: int = 0

    def begin(self, step: str, total: int | None) -> None:
        """Count from here."""
        self.done = 0

    def advance(self, count: int) -> None:
        """Print the steps that are done."""
        self.done += count
        print(STEP, self.done // self.batch, flush=True)

    def end(self) -> None:
        """Do nothing."""


def main(arguments: list[str]) -> None:
    """Run what the file says."""
    wish = ChildWish(**json.loads(Path(arguments[0]).read_text()))
    torch.set_num_threads(wish.threads)
    with joined_processes() as processes:
        ended, classes = _run(wish, processes)
        if processes.is_first:
            save_file(found(ended) | {"classes": classes}, wish.out)


def _run(wish: ChildWish, processes: Processes) -> tuple[Ended, Tensor]:
    """Return what the run has made, and the classes of images before it."""
    subject = at(RESNET20, Path(wish.data))
    module, preprocess, shape = subject.build()
    train = samples_of(subject.calibration, preprocess, shape, wish.images)
    test = samples_of(subject.judged, preprocess, shape, wish.tested or 1)
    options = RESUME.model_copy(update=wish.change)
    held = min(options.held_out, len(train) // 10)
    each = max(1, (len(train) - held) // options.batch)
    options = options.model_copy(update={"epochs": wish.steps / each})
    run = Run(
        options,
        train,
        place=Path(wish.place) if wish.place else None,
        resume=wish.resume,
        about={"scheme": wish.scheme},
        processes=processes,
        progress=Told(options.batch),
    )
    if wish.scheme == FLOAT:
        captured = capture(module.eval(), train.take([0]).images)
        classes = _classes(float_outputs(prepare_float(captured).graph), test, processes)
        return trained_float(captured, run), classes
    tuning = train.take(range(min(len(train), TUNING_IMAGES))).images
    start = start_of(module, shape, wish.scheme, tuning)
    classes = _classes(start.twin.outputs, test, processes)
    return trained(start, run), classes


def _classes(network: Network, test: Samples, processes: Processes) -> Tensor:
    """Return the class of each image in order, [N]."""
    batches = whole_batches(
        network,
        test,
        indices=range(len(test)),
        processes=processes,
        batch=TESTED_AT_ONCE,
    )
    return torch.cat([outputs[0].argmax(1) for outputs, _ in batches])


def found(ended: Ended) -> dict[str, Tensor]:
    """Return all that a run has made, by name: weights, and of integers the grids too."""
    tensors = {f"weights.{name}": tensor for name, tensor in ended.weights.items()}
    if ended.state is not None:
        tensors |= _grids(ended.state)
    return {name: tensor.contiguous().clone() for name, tensor in tensors.items()}


def _grids(state: Quantized) -> dict[str, Tensor]:
    encodings = state.encodings
    pairs = [(f"value.{name}", grid) for name, grid in encodings.activations.items()]
    pairs += [(f"weight.{name}", grid) for name, grid in encodings.weights.items()]
    scales = {f"scale.{name}": grid.scale for name, grid in pairs}
    return scales | {f"zero.{name}": grid.zero_point for name, grid in pairs}


def written(wish: ChildWish, folder: Path) -> Path:
    """Write a wish into a folder; return the file."""
    path = folder / "wish.json"
    path.write_text(json.dumps(asdict(wish)))
    return path


if __name__ == "__main__":
    main(sys.argv[1:])
