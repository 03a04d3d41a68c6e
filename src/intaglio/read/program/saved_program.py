"""A saved `.pt2` exported program, opened without running what a stranger may have put in it.

torch.export.load unpickles some parts of an archive and evaluates others as text, some of it for as
long as the text says. So the archive is looked through first, and only what torch.export.save of
torch 2.13 writes for plain tensors is let through, up to stated sizes; torch then reads a fresh
copy made of those parts, with the example inputs left out.
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

from intaglio.errors import WeightsError, cause
from intaglio.host.archive import DamagedArchive, open_archive
from intaglio.host.strict_json import refuse_constant, unique_keys
from intaglio.read.program.bounded_work import check_work
from intaglio.read.program.plain_parts import (
    LARGEST_PROGRAM_BYTES,
    foreign_in_examples,
    foreign_in_program,
    without_code,
)
from intaglio.read.program.plain_tensors import check_tensors

PROGRAM = "models/model.json"
EXAMPLES = "data/sample_inputs/model.pt"
CONFIGS = {
    "data/weights/": ("data/weights/model_weights_config.json", re.compile(r"weight_\d+")),
    "data/constants/": ("data/constants/model_constants_config.json", re.compile(r"tensor_\d+")),
}
KNOWN = re.compile(
    r"archive_format|archive_version|byteorder|\.data/version|\.data/serialization_id|extra/.+"
    r"|models/model\.json|data/sample_inputs/model\.pt"
    r"|data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)"
)
LEFT_OUT = re.compile(r"extra/.+|data/sample_inputs/model\.pt")
REMEDY = "save it again with torch.export.save of torch 2.13"


def load_program(path: Path | str) -> ExportedProgram:
    """Return the exported program in a `.pt2` file that torch.export.save wrote.

    Raises:
        WeightsError: If the file is missing, damaged or written by another version of torch, or has
            a part that torch would unpickle or evaluate; says which. Nothing of it was then run.
    """
    path = Path(path)
    parts = _read_parts(path)
    try:
        _refuse_foreign(parts, path)
        clean = _repacked(parts)
    except WeightsError:
        raise
    except Exception as error:  # of damaged parts, which fail in ways that no list would complete
        raise _damaged(path, error) from error
    try:
        with _silent_torch():
            program = torch.export.load(clean)
            check_work(program.graph_module)
            return program
    except Exception as error:  # likewise
        raise _damaged(path, error) from error


def program_input(program: ExportedProgram) -> tuple[int | None, tuple[int, ...]]:
    """Return (batch, other sizes) of the program's first input; the batch is None where it is free.

    Raises:
        WeightsError: If the program has no tensor as its input.
    """
    try:
        for node in program.graph.nodes:
            value = node.meta.get("val")
            is_input = node.name in program.graph_signature.user_inputs
            if is_input and isinstance(value, Tensor) and value.ndim > 1:
                batch = value.shape[0]
                return batch if type(batch) is int else None, tuple(int(s) for s in value.shape[1:])
    except Exception as error:  # of torch, for a size that is a formula without a value
        reason = cause(error)[:200]
        raise WeightsError(f"the exported program's input has no fixed size ({reason})") from error
    raise WeightsError("the exported program has no input tensor [N, C, H, W]: export one that has")


def _read_parts(path: Path) -> dict[str, bytes]:
    """Return the archive's files by name, without the folder that holds them all."""
    if not path.is_file():
        raise WeightsError(f"there is no program file '{path}'")
    try:
        with open_archive(path) as archive:
            contents = {name: archive.read(name) for name in archive.namelist()}
    except DamagedArchive as error:
        raise _damaged(path, error) from error
    parts = {name.partition("/")[2]: content for name, content in contents.items()}
    if len({name.lower() for name in parts}) != len(contents):
        raise _damaged(path, DamagedArchive("a part is there twice"))
    return parts


def _refuse_foreign(parts: Mapping[str, bytes], path: Path) -> None:
    foreign = [name for name in parts if not KNOWN.fullmatch(name)]
    if foreign:
        raise _needs_unpickling(path, f"its part '{foreign[0]}'")
    for folder, (config, pattern) in CONFIGS.items():
        entries = _plain_json(parts[config])["config"]
        for key, entry in entries.items():
            stored = str(entry["path_name"])
            is_plain = entry["use_pickle"] is False and type(entry["tensor_meta"]) is dict
            if not is_plain or not pattern.fullmatch(stored):
                raise _needs_unpickling(path, f"its tensor '{key}'")
            if folder + stored not in parts:
                raise ValueError(f"the tensor '{key}' is missing")
        sizes = {name.removeprefix(folder): len(content) for name, content in parts.items()}
        check_tensors(entries, sizes)
    program = _plain_json(parts[PROGRAM])
    found = foreign_in_examples(parts[EXAMPLES]) or foreign_in_program(program)
    if found:
        raise _needs_unpickling(path, found)


def _plain_json(content: bytes) -> Any:
    """Return what a part of JSON holds; a key that is there twice is an error."""
    if len(content) > LARGEST_PROGRAM_BYTES:
        raise ValueError(f"a part of JSON of more than {LARGEST_PROGRAM_BYTES} bytes")
    return json.loads(content, object_pairs_hook=unique_keys, parse_constant=refuse_constant)


def _repacked(parts: Mapping[str, bytes]) -> io.BytesIO:
    """Return a new archive of the parts that are needed."""
    program = json.dumps(without_code(json.loads(parts[PROGRAM]))).encode("utf-8")
    contents = {**parts, PROGRAM: program}
    clean = io.BytesIO()
    with zipfile.ZipFile(clean, "w", zipfile.ZIP_STORED) as archive:
        for name, content in contents.items():
            if not LEFT_OUT.fullmatch(name):
                archive.writestr(f"program/{name}", content)
        archive.writestr(f"program/{EXAMPLES}", b"")
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
        f"the program '{path}' is not opened: {what} would need unpickling, could run code or take"
        " any time, and intaglio never does that; save it, with plain tensors alone, by"
        " torch.export.save"
    )


def _damaged(path: Path, error: Exception) -> WeightsError:
    kind = "" if isinstance(error, DamagedArchive) else f"{type(error).__name__}: "
    reason = " ".join(f"{kind}{error}".split())[:300]
    return WeightsError(
        f"the program '{path}' is damaged or no .pt2 exported program ({reason}): {REMEDY}"
    )
