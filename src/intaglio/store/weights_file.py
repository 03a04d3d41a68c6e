"""What a file of trained weights holds: safetensors or checkpoint, never unpickled.

A checkpoint of today's format (a zip archive) has checksums, which are compared: a flipped bit is
an error. `.safetensors` and checkpoints of the format before torch 1.6 have none: damage to a
number in them is another number, and only damage to their structure is noticed.
"""

from __future__ import annotations

import pickle  # for its error class alone: nothing is ever unpickled here
import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from intaglio.errors import WeightsError, cause
from intaglio.host.archive import DamagedArchive, check_contents, open_archive
from intaglio.host.plain_pickle import check_pickle

PICKLES_OF_OLD_FORMAT = 5  # magic number, version, machine, content, keys of storages


def read_content(path: Path) -> object:
    """Return what a file of weights holds, as stored.

    `.safetensors` is read as such, all else as a PyTorch checkpoint with `weights_only=True`.

    Raises:
        WeightsError: If it is missing, damaged, or would need unpickling.
    """
    if path.is_dir():
        raise WeightsError(f"the weights '{path}' are a directory: name the file in it")
    if not path.is_file():
        raise WeightsError(f"there is no weights file '{path}'")
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise WeightsError(f"cannot read the weights '{path}': {cause(error)}") from error
    if not start:
        raise WeightsError(f"the weights file '{path}' is empty")
    if path.suffix.lower() == ".safetensors":
        return _read_safetensors(path)
    return _read_checkpoint(path, start)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(
            f"the weights file '{path}' is truncated or not safetensors: {cause(error)};"
            " fetch or write it again"
        ) from error
    return tensors


def _read_checkpoint(path: Path, start: bytes) -> object:
    """Return what the checkpoint holds; `start` is the file's first bytes."""
    is_zip, is_old_format = start.startswith(b"PK\x03\x04"), start.startswith(b"\x80")
    if is_zip:
        _check_archive(path)
    else:
        _check_old_format(path)
    try:
        with warnings.catch_warnings():  # about the file's format; what matters is raised
            warnings.simplefilter("ignore")
            content: object = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if is_zip or is_old_format:
            raise _needs_unpickling(path) from error
        raise _not_a_checkpoint(path) from error
    except Exception as error:  # torch.load raises whatever the damaged bytes lead it to
        if "TorchScript" in str(error):
            raise _needs_unpickling(path) from error
        raise _not_a_checkpoint(path) from error
    return content


def _check_archive(path: Path) -> None:
    """Raise WeightsError unless every part of the checkpoint is there with its checksum."""
    try:
        with open_archive(path) as archive:
            check_contents(archive)
            for name in archive.namelist():
                if name.lower().endswith(".pkl"):
                    with archive.open(name) as file:
                        check_pickle(file)
    except DamagedArchive as error:
        if error.compressed.endswith(".py"):  # the code of a TorchScript archive
            raise _needs_unpickling(path) from error
        raise WeightsError(
            f"the weights file '{path}' is truncated or no PyTorch checkpoint ({error}): fetch or"
            " write it again"
        ) from error


def _check_old_format(path: Path) -> None:
    """Raise WeightsError if one of the pickles that the file begins with makes too much."""
    with path.open("rb") as file:
        try:
            for _ in range(PICKLES_OF_OLD_FORMAT):
                check_pickle(file)
        except ValueError as error:
            raise _needs_unpickling(path) from error


def _needs_unpickling(path: Path) -> WeightsError:
    return WeightsError(
        f"the checkpoint '{path}' holds more than plain tensors (or is damaged) and would need"
        " unpickling, which can run code: intaglio never unpickles. Convert it where you trust it:"
        " safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')"
    )


def _not_a_checkpoint(path: Path) -> WeightsError:
    return WeightsError(
        f"the weights file '{path}' is truncated or no PyTorch checkpoint: fetch or write it again"
        " (a safetensors file must be named .safetensors)"
    )
