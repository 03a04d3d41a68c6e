"""Trained weights from a file into a network: safetensors or checkpoint, never unpickled.

A checkpoint of today's format (a zip archive) has checksums, which are compared: a flipped bit is
an error. `.safetensors` and checkpoints of the format before torch 1.6 have none: damage to a
number in them is another number, and only damage to their structure is noticed.
"""

from __future__ import annotations

import pickle  # for its error class alone: nothing is ever unpickled here
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from intaglio.errors import NonFiniteError, WeightsError, cause
from intaglio.host.archive import DamagedArchive, check_contents, open_archive
from intaglio.host.plain_pickle import check_pickle

WRAPPER_KEYS = ("state_dict", "model")  # where checkpoints keep the state dict beside other things
PARALLEL_PREFIX = "module."  # what nn.DataParallel puts before each key
BATCH_COUNTER = "num_batches_tracked"  # evaluation never reads it, and converted files lack it
PICKLES_OF_OLD_FORMAT = 5  # magic number, version, machine, content, keys of storages
NAMED = 3  # how many keys of each kind a message names


def load_weights(module: nn.Module, path: Path | str) -> None:
    """Copy the weights in the file `path` into `module`; keys and shapes must be exactly the same.

    `.safetensors` is read as such, all else as a PyTorch checkpoint with `weights_only=True`: a
    plain state dict, or one under "state_dict" or "model", with or without the prefix "module.".
    Other float types (float16, bfloat16, float64) become the network's own, float32. Batch-norm
    counters (num_batches_tracked) may be missing. On any error the network is as it was before.

    Raises:
        WeightsError: If the file is missing, damaged, would need unpickling, or does not fit.
        NonFiniteError: If a weight is NaN or infinite in the network's float type.
    """
    path = Path(path)
    given = _without_parallel_prefix(_read(path), module)
    wanted = {k: v for k, v in module.state_dict().items() if isinstance(v, Tensor)}
    _check_fit(given, wanted, path)
    converted = {key: tensor.to(wanted[key].dtype) for key, tensor in given.items()}
    for key, tensor in converted.items():
        _check_finite(key, tensor, path)
    before = {key: tensor.clone() for key, tensor in wanted.items()}
    try:
        module.load_state_dict(converted, strict=False)
    except Exception as error:  # a hook of the user's network may refuse, halfway through
        with torch.no_grad():
            for key, tensor in before.items():
                wanted[key].copy_(tensor)  # state_dict() shares memory with the network
        raise WeightsError(
            f"the network refuses the weights in '{path}': {cause(error)}"
        ) from error


def _read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of the file by key, as stored."""
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
    return _state_dict_of(_read_checkpoint(path, start), path)


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


def _state_dict_of(content: object, path: Path) -> dict[str, Tensor]:
    """Return the state dict in a checkpoint: its content itself, or what a wrapper key holds."""
    if isinstance(content, Mapping):
        inner = next(
            (content[k] for k in WRAPPER_KEYS if isinstance(content.get(k), Mapping)), None
        )
        content = content if inner is None else inner
    if not isinstance(content, Mapping):
        raise WeightsError(
            f"the checkpoint '{path}' holds a {type(content).__name__}, not a state dict:"
            " save model.state_dict()"
        )
    foreign = [key for key, v in content.items() if not (isinstance(key, str) and _is_plain(v))]
    if foreign:
        raise WeightsError(
            f"the checkpoint '{path}' is no state dict of plain tensors:"
            f" {_listed(foreign, 'other entry', 'other entries')}; save model.state_dict(), alone"
            " or under 'state_dict'"
        )
    return dict(content)


def _is_plain(value: object) -> bool:
    """Return whether `value` is an ordinary dense tensor, neither sparse nor quantized nor meta."""
    if not isinstance(value, Tensor) or value.device.type != "cpu":
        return False
    return value.layout == torch.strided and not value.is_quantized


def _without_parallel_prefix(given: dict[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Return `given` without "module." before every key, when all have it and the network not."""
    prefixed = bool(given) and all(key.startswith(PARALLEL_PREFIX) for key in given)
    if not prefixed or any(key.startswith(PARALLEL_PREFIX) for key in module.state_dict()):
        return given
    return {key.removeprefix(PARALLEL_PREFIX): tensor for key, tensor in given.items()}


def _check_fit(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    """Raise WeightsError unless keys, shapes and kinds of number agree; batch counters may miss."""
    missing = [k for k in wanted if k not in given and k.rpartition(".")[2] != BATCH_COUNTER]
    unexpected = [key for key in given if key not in wanted]
    shared = [key for key in wanted if key in given]
    misshapen = [
        f"{key} (file {list(given[key].shape)}, network {list(wanted[key].shape)})"
        for key in shared
        if given[key].shape != wanted[key].shape
    ]
    of_wrong_kind = [
        f"{key} (file {given[key].dtype}, network {wanted[key].dtype})"
        for key in shared
        if given[key].is_floating_point() != wanted[key].is_floating_point()
        or given[key].is_complex() != wanted[key].is_complex()
    ]
    complaints = [
        _listed(missing, "missing key", "missing keys"),
        _listed(unexpected, "unexpected key", "unexpected keys"),
        _listed(misshapen, "wrong shape", "wrong shapes"),
        _listed(of_wrong_kind, "wrong kind of number", "wrong kinds of number"),
    ]
    if any(complaints):
        raise WeightsError(
            f"the weights '{path}' do not fit the network: {'; '.join(filter(None, complaints))}."
            " Is it the right network, with the right arguments (width, num_classes)?"
        )


def _listed(found: list[str], singular: str, plural: str) -> str:
    """Return "5 missing keys: a, b, c, ..." or the empty string when nothing was found."""
    if not found:
        return ""
    end = ", ..." if len(found) > NAMED else ""
    noun = singular if len(found) == 1 else plural
    return f"{len(found)} {noun}: {', '.join(map(str, found[:NAMED]))}{end}"


def _check_finite(key: str, tensor: Tensor, path: Path) -> None:
    if not tensor.is_floating_point() or tensor.isfinite().all():
        return
    layer, _, name = key.rpartition(".")
    where = f"layer '{layer}'" if layer else "the network itself"
    count = int((~tensor.isfinite()).sum())
    raise NonFiniteError(
        f"NaN or infinity in {count} of {tensor.numel()} values of '{name}' of {where}, weights"
        f" '{path}' (read as {tensor.dtype}): train or export the network again"
    )
