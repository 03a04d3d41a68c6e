"""A saved `.pt2` exported program, opened without ever running what a stranger may have put in it.

torch.export.load unpickles some parts of an archive, and evaluates the formulas of symbolic sizes as
Python text. So the archive is looked through first, byte by byte, and only what torch.export.save of
torch 2.13 writes for plain tensors is let through; torch then sees a fresh copy made of those parts.
"""

from __future__ import annotations

import io
import json
import logging
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from intaglio.capture.archive_text import refuse_foreign_program, refuse_foreign_pickle
from intaglio.errors import WeightsError

PROGRAM = "models/model.json"
EXAMPLE = "data/sample_inputs/model.pt"
CONFIGS = {
    "data/weights/": ("data/weights/model_weights_config.json", re.compile(r"weight_\d+")),
    "data/constants/": ("data/constants/model_constants_config.json", re.compile(r"tensor_\d+")),
}
PLAIN = re.compile(
    r"archive_format|archive_version|byteorder|\.data/version|\.data/serialization_id|extra/.+"
    r"|models/model\.json|data/sample_inputs/model\.pt"
    r"|data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)"
)
LEFT_OUT = re.compile(r"extra/.+|data/sample_inputs/model\.pt")
ROOT = "program"


def load_program(path: Path | str) -> ExportedProgram:
    """Return the exported program in a `.pt2` file that torch.export.save wrote.

    Raises:
        WeightsError: If the file is missing, damaged, written by another version of torch, or has a
            part that torch would unpickle or evaluate; says which. Nothing of it was then run.
    """
    path = Path(path)
    parts = _read_parts(path)
    try:
        _refuse_foreign(parts, path)
        clean = _repacked(parts)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise _damaged(path, error) from error
    try:
        with _silent_torch():
            return torch.export.load(clean)
    except Exception as error:  # torch raises whatever the damaged parts lead it to
        raise _damaged(path, error) from error


def program_input(program: ExportedProgram) -> tuple[int | None, tuple[int, ...]]:
    """Return (batch, the other sizes) of the program's first input; batch None: it may be any.

    Raises:
        WeightsError: If the program has no tensor as its input.
    """
    wanted = program.graph_signature.user_inputs
    for node in program.graph.nodes:
        value = node.meta.get("val")
        if node.name in wanted and isinstance(value, Tensor) and value.ndim > 1:
            batch = value.shape[0]
            return batch if type(batch) is int else None, tuple(int(s) for s in value.shape[1:])
    raise WeightsError("the exported program has no input tensor [N, C, H, W]")


def _read_parts(path: Path) -> dict[str, bytes]:
    """Return the archive's files by name, without the folder that holds them all."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            # stored, as torch does: what is compressed may grow without end
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise WeightsError(f"the program '{path}' is compressed: {_REMEDY}")
            names = [entry.filename.partition("/")[2] for entry in entries]
            if len({name.lower() for name in names}) != len(names):
                raise WeightsError(f"the program '{path}' holds a file twice: {_REMEDY}")
            return {
                name: archive.read(entry) for name, entry in zip(names, entries, strict=True)
            }
    except FileNotFoundError as error:
        raise WeightsError(f"there is no program file '{path}'") from error
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError) as error:
        raise _damaged(path, error) from error


_REMEDY = "save it again with torch.export.save of torch 2.13"


def _refuse_foreign(parts: Mapping[str, bytes], path: Path) -> None:
    foreign = [name for name in parts if not PLAIN.fullmatch(name)]
    if foreign:
        raise _needs_unpickling(path, f"the part '{foreign[0]}'")
    for folder, (config, pattern) in CONFIGS.items():
        for key, entry in json.loads(parts[config])["config"].items():
            stored = str(entry["path_name"])
            is_plain = entry["use_pickle"] is False and type(entry["tensor_meta"]) is dict
            if not is_plain or not pattern.fullmatch(stored):
                raise _needs_unpickling(path, f"the tensor '{key}'")
            if folder + stored not in parts:
                raise ValueError(f"the tensor '{key}' is missing")
    try:
        refuse_foreign_pickle(parts[EXAMPLE])
        refuse_foreign_program(json.loads(parts[PROGRAM]))
    except PermissionError as error:
        raise _needs_unpickling(path, str(error)) from error


def _repacked(parts: Mapping[str, bytes]) -> io.BytesIO:
    """Return a new archive of the parts that are needed; the example inputs are not."""
    clean = io.BytesIO()
    program = json.loads(parts[PROGRAM])
    program["guards_code"] = []
    with zipfile.ZipFile(clean, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            if name == PROGRAM:
                content = json.dumps(program).encode("utf-8")
            if not LEFT_OUT.fullmatch(name):
                archive.writestr(f"{ROOT}/{name}", content)
        archive.writestr(f"{ROOT}/{EXAMPLE}", b"")
    clean.seek(0)
    return clean


@contextmanager
def _silent_torch() -> Iterator[None]:
    """Keep torch from logging a traceback of the error that it also raises."""
    logger = logging.getLogger("torch.export")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def _needs_unpickling(path: Path, what: str) -> WeightsError:
    return WeightsError(
        f"the program '{path}' would need unpickling, or running code, for {what}, and intaglio"
        " never does that: save it, with plain tensors alone, by torch.export.save of torch 2.13"
    )


def _damaged(path: Path, error: Exception) -> WeightsError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return WeightsError(
        f"the program '{path}' is damaged or no .pt2 exported program ({reason}): {_REMEDY}"
    )


def _unused(value: Any) -> Any:
    return value
