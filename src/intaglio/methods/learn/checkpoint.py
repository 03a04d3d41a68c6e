"""All that a killed run needs to go on as if it had not been killed, in one file.

state.safetensors holds the tensors by name, and in its metadata, as JSON, all that is none. One
file, so that no two parts of different steps can be found together; it is written beside the one
that is there and then takes its place, so that there is a whole one at any time. Nothing is ever
unpickled.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from intaglio.errors import OutputError, RequestError, cause
from intaglio.host.complaint import first_complaint
from intaglio.host.files import sync_folder, write_file
from intaglio.host.training import STATE, UNFINISHED
from intaglio.methods.learn.parts import under

FACTS, DIGEST = "intaglio training", "sha256"
"""Keys of the metadata."""
NOW = "now"
"""Before the names of the tensors of the state that the run was in."""
FREE = ("save_seconds",)
"""Options that may be others when a run goes on: they change nothing that is learned."""
ANEW = "start it anew, without --resume"


class Facts(BaseModel):
    """What a checkpoint holds beside tensors.

    Attributes:
        version: Of this form.
        about: What the run is, in the user's words.
        options: As the run was started with.
        images: How many the data has.
        total, step: Steps of the run, and those that are done.
        state: All else, which the loop alone understands.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    version: Literal[1] = 1
    about: dict[str, str]
    options: dict[str, Any]
    images: int
    total: int
    step: int
    state: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A run at one moment.

    Attributes:
        facts: Plain values.
        tensors: By name, on the CPU when read.
    """

    facts: Facts
    tensors: Mapping[str, Tensor]


def save(checkpoint: Checkpoint, place: Path) -> None:
    """Write a checkpoint into a folder, in place of the one that is there.

    Raises:
        OutputError: If it cannot be written; the older one is there still.
    """
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()
    }
    facts = json.dumps(checkpoint.facts.model_dump())
    content = to_bytes(tensors, {FACTS: facts, DIGEST: _digest(facts, tensors)})
    unfinished = place / UNFINISHED
    try:
        place.mkdir(parents=True, exist_ok=True)
        write_file(unfinished, content)
        unfinished.replace(place / STATE)
        sync_folder(place)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise _not_written(error, place / STATE, len(content)) from error


def _not_written(error: OSError, path: Path, size: int) -> OutputError:
    kept = "what was saved before is there still" if path.exists() else "nothing was written"
    if error.errno == errno.ENOSPC:
        return OutputError(
            f"{path}: the disk is full, and the state of the training takes {size / 1e6:.1f} MB;"
            f" {kept}. Make room and go on with --resume"
        )
    reason = error.strerror or str(error)
    return OutputError(f"{path} cannot be written: {reason}; {kept}. Choose another --out")


def load(place: Path) -> Checkpoint:
    """Return the checkpoint in a folder. The file is not trusted.

    Raises:
        RequestError: If there is none, or it is damaged, or of another version.
    """
    path = place / STATE
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise RequestError(
            f"{place}: there is no {STATE} here, so no training to go on with: {ANEW}"
        ) from None
    except (OSError, SafetensorError, ValueError) as error:
        raise _damaged(path, cause(error)) from error
    if FACTS not in metadata:
        raise _damaged(path, "it is no state of a training of intaglio")
    if metadata.get(DIGEST) != _digest(metadata[FACTS], tensors):
        raise _damaged(path, "its content is not what was written")
    try:
        return Checkpoint(Facts.model_validate(json.loads(metadata[FACTS])), tensors)
    except ValidationError as error:
        first = first_complaint(error)
        what = f"'{first.key}': {first.message}, got {first.seen}"
        raise _damaged(path, f"{what}; it may be of another version of intaglio") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, cause(error)) from error


def _damaged(path: Path, why: str) -> RequestError:
    return RequestError(f"{path} cannot be used: {why}. The training cannot go on: {ANEW}")


def _digest(facts: str, tensors: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        head = json.dumps([name, str(tensor.dtype), list(tensor.shape)])
        found.update(head.encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def refuse_other(stored: Checkpoint, now: Facts, learner: Mapping[str, Tensor]) -> None:
    """Make sure that a checkpoint is one of this run.

    Args:
        stored: What is there.
        now: What the run that wants to go on was started with; its steps do not count.
        learner: State of its network.

    Raises:
        RequestError: If the run is another one: names each difference in what was asked for, or
            the first one in the network.
    """
    differences = [
        *_differences(stored.facts.about, now.about),
        *_differences(stored.facts.options, now.options),
        *_differences({"images": stored.facts.images}, {"images": now.images}),
    ]
    if differences:
        raise RequestError(
            f"the training that is to go on was another one: {'; '.join(differences)}. Ask for the"
            f" same, or {ANEW}"
        )
    had = under(under(stored.tensors, NOW), "learner")
    difference = _first_difference(had, learner)
    if difference is not None:
        raise RequestError(
            f"the training that is to go on is that of another network: {difference}. Give the same"
            f" network, or {ANEW}"
        )


def _differences(had: Mapping[str, Any], have: Mapping[str, Any]) -> list[str]:
    """Return a sentence on each name whose values differ."""
    return [
        f"{name} was {_shown(had.get(name))} and is {_shown(have.get(name))}"
        for name in dict.fromkeys([*had, *have])
        if name not in FREE and had.get(name) != have.get(name)
    ]


def _shown(value: object) -> str:
    return "not given" if value is None else str(value)


def _first_difference(had: Mapping[str, Tensor], have: Mapping[str, Tensor]) -> str | None:
    """Return what is wrong with the first key, in the network's order, that is not as stored."""
    for name, tensor in have.items():
        if name not in had:
            return f"'{name}' is missing in what was saved"
        if had[name].shape != tensor.shape:
            return f"'{name}' was {list(had[name].shape)} and is {list(tensor.shape)}"
        if had[name].dtype != tensor.dtype:
            return f"'{name}' was {had[name].dtype} and is {tensor.dtype}"
    unexpected = next((name for name in had if name not in have), None)
    return None if unexpected is None else f"'{unexpected}' was saved, and the network has none"
