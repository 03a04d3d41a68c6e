"""Trained weights from a file into a network, whatever form a training script saved them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from intaglio.errors import NonFiniteError, WeightsError, cause
from intaglio.store.checkpoint import Place, Reading, is_counter, places, readings
from intaglio.store.layout import Layout, layout_of, readings_in
from intaglio.store.weights_file import read_content

NAMED = 3  # how many keys of each kind a message names
PART = "#"
"""Between a file and the part of it that is meant: "net.pth#model_ema"."""


def load_weights(
    module: nn.Module, path: Path | str, *, layouts: Sequence[Layout] = ()
) -> tuple[str, ...]:
    """Copy the weights in the file `path` into `module`; keys and shapes must be exactly the same.

    `.safetensors` is read as such, all else as a PyTorch checkpoint with `weights_only=True`: a
    state dict in any of the forms of `store.checkpoint`. Where several parts of a file fit, the
    plain weights are taken before averaged ones; "net.pth#model_ema" says which. Other float types
    (float16, bfloat16, float64) become the network's own, float32. Counters that no evaluation
    reads may be missing, and of weights that the network ties all but one. On any error the network
    is as it was before.

    Args:
        module: The network.
        path: Of the file.
        layouts: Other keys that a file may have the network's weights under, all of them.

    Returns:
        What was taken of the file, in sentences; nothing where it is a state dict as the network
        has it.

    Raises:
        WeightsError: If the file is missing, damaged, would need unpickling, or does not fit.
        NonFiniteError: If a weight is NaN or infinite in the network's float type.
    """
    path, part = file_and_part(str(path))
    wanted = {k: v for k, v in module.state_dict().items() if isinstance(v, Tensor)}
    content = read_content(path)
    layout = layout_of(content, wanted, layouts)
    named = layout.named_as_in_file(wanted)
    taken, told = _chosen(content, named, path, part, layout)
    converted = {
        key: tensor.to(named[key].dtype)
        for key, tensor in taken.items()
        if not (is_counter(key) and _is_of_other_kind(tensor, named[key]))
    }
    for key, tensor in converted.items():
        _check_finite(key, tensor, path)
    _put_in(module, layout.named_as_own(converted), path)
    return told


def read_some(path: Path | str, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return those of the wanted tensors that a file has; it may have others beside them.

    The file is read as by `load_weights`; of its parts the one that has most of them counts.

    Args:
        path: Of the file; "net.pth#model_ema" names a part of it.
        wanted: Tensors of the same keys and shapes, of which the types are taken over.

    Raises:
        WeightsError: If the file is missing, damaged or would need unpickling, or has none of them.
        NonFiniteError: If one is NaN or infinite in the type that is wanted.
    """
    path, part = file_and_part(str(path))
    read = [one for place in places(read_content(path)) for one in readings(place, wanted)]
    named = [one for one in read if part is None or one.name == part]

    def fitting(one: Reading) -> int:
        """Return how many of the wanted tensors it has."""
        return sum(
            key in one.tensors and one.tensors[key].shape == tensor.shape
            for key, tensor in wanted.items()
        )

    best = max(sorted(named, key=lambda one: one.rank), key=fitting, default=None)
    if best is None or not fitting(best):
        which = "" if part is None else f", part '{part}',"
        raise WeightsError(
            f"the weights '{path}'{which} have none of the {len(wanted)} tensors that are wanted:"
            f" {_listed(list(wanted), 'tensor', 'tensors')}. Are they of the right network?"
        )
    found = {key: best.tensors[key].to(wanted[key].dtype) for key in wanted if key in best.tensors}
    for key, tensor in found.items():
        _check_finite(key, tensor, path)
    return found


def _put_in(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy tensors into the network, by its own keys; all of them, or none at all."""
    held = {k: v for k, v in module.state_dict().items() if isinstance(v, Tensor)}
    before = {key: tensor.clone() for key, tensor in held.items()}
    try:
        module.load_state_dict(tensors, strict=False)
    except Exception as error:  # a hook of the user's network may refuse, halfway through
        with torch.no_grad():
            for key, tensor in before.items():
                held[key].copy_(tensor)  # state_dict() shares memory with the network
        raise WeightsError(
            f"the network refuses the weights in '{path}': {cause(error)}"
        ) from error


def file_and_part(text: str) -> tuple[Path, str | None]:
    """Return the file, and what is meant in it; a file whose own name has the mark is itself."""
    file, mark, part = text.rpartition(PART)
    if mark and not Path(text).exists():
        return Path(file), part
    return Path(text), None


def _chosen(
    content: object,
    wanted: Mapping[str, Tensor],
    path: Path,
    part: str | None,
    layout: Layout,
) -> tuple[Mapping[str, Tensor], tuple[str, ...]]:
    """Return the network's weights among a file's content, and what is to be said.

    Both `wanted` and what is returned have the keys of the layout.

    Raises:
        WeightsError: If there are none, or several that nothing tells apart.
    """
    found = places(content)
    read = readings_in(layout, found, wanted)
    fitting: dict[str, Reading] = {}
    for reading in sorted(read, key=lambda reading: reading.rank):
        if reading.name not in fitting and not _complaints(reading.tensors, wanted):
            fitting[reading.name] = reading
    if not fitting:
        raise _unfit(content, found, read, wanted, path, layout)
    if part is not None and part not in fitting:
        raise WeightsError(
            f"the weights '{path}' have no part '{part}' that fits the network: these do,"
            f" {_quoted([name for name in fitting if name]) or 'the whole file alone'}"
        )
    first, *others = fitting.values() if part is None else [fitting[part]]
    rivals = [other for other in others if other.rank == first.rank and _differ(first, other)]
    if rivals:
        names = [reading.name for reading in (first, *rivals)]
        raise WeightsError(
            f"the weights '{path}' hold several networks that fit, {_quoted(names)}: say which,"
            f" such as '{path}{PART}{names[0]}'"
        )
    averaged = [other for other in others if other.is_averaged]
    return first.tensors, _told(first, averaged, path, layout)


def _differ(one: Reading, other: Reading) -> bool:
    return any(not torch.equal(one.tensors[key], other.tensors[key]) for key in one.tensors)


def _told(
    taken: Reading, averaged: Sequence[Reading], path: Path, layout: Layout
) -> tuple[str, ...]:
    """Return what the user should know of what was taken."""
    said = []
    if layout.name:
        said.append(f"the weights of '{path.name}' were read in the layout '{layout.name}'")
    if taken.name:
        kind = "the averaged weights" if taken.is_averaged else "the weights"
        said.append(f"{kind} '{taken.name}' of '{path.name}' were taken")
    if averaged and not taken.is_averaged:
        which = "" if taken.name else f"the plain weights of '{path.name}' were taken, "
        offered = " or ".join(f"{path.name}{PART}{reading.name}" for reading in averaged[:NAMED])
        said.append(f"{which}averaged ones are there as well: {offered}")
    if taken.beside:
        said.append(_listed(taken.beside, "other tensor was left", "other tensors were left"))
    kinds = {tensor.dtype for tensor in taken.tensors.values() if tensor.is_floating_point()}
    halves = sorted(str(kind).removeprefix("torch.") for kind in kinds - {torch.float32})
    if halves:
        said.append(f"{' and '.join(halves)} of '{path.name}' became float32")
    return ("; ".join(said),) if said else ()


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[: 2 * NAMED])


def _unfit(
    content: object,
    found: Sequence[Place],
    read: Sequence[Reading],
    wanted: Mapping[str, Tensor],
    path: Path,
    layout: Layout,
) -> WeightsError:
    """Return the error for a file in which nothing fits, told of what comes nearest."""
    if not isinstance(content, Mapping):
        return WeightsError(
            f"the checkpoint '{path}' holds a {type(content).__name__}, not a state dict:"
            " save model.state_dict()"
        )
    near = max(read, key=lambda one: sum(key in wanted for key in one.tensors), default=None)
    foreign = near.place.foreign if near is not None else [str(key) for key in content]
    missing = near is None or any(key not in near.tensors for key in wanted)
    if foreign and missing:
        return WeightsError(
            f"the checkpoint '{path}' is no state dict of plain tensors:"
            f" {_listed(foreign, 'other entry', 'other entries')}; save model.state_dict(), alone"
            " or under 'state_dict'"
        )
    tensors = {} if near is None else near.tensors
    form = f", in the layout '{layout.name}'" if layout.name else ""
    return WeightsError(
        f"the weights '{path}' do not fit the network{form}: {_complaints(tensors, wanted)}."
        " Is it the right network, with the right arguments (width, num_classes)?"
    )


def _complaints(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """Return what keeps tensors from being the network's, "" where nothing does.

    Counters may be missing, and so may a key whose memory another one of the network's shares.
    """
    held = {_memory(wanted[key]) for key in wanted if key in given} - {None}
    missing = [
        key
        for key in wanted
        if key not in given and not is_counter(key) and _memory(wanted[key]) not in held
    ]
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
        if not is_counter(key) and _is_of_other_kind(given[key], wanted[key])
    ]
    complaints = [
        _listed(missing, "missing key", "missing keys"),
        _listed(unexpected, "unexpected key", "unexpected keys"),
        _listed(misshapen, "wrong shape", "wrong shapes"),
        _listed(of_wrong_kind, "wrong kind of number", "wrong kinds of number"),
        _listed(_untied(given, wanted), "weight the network ties", "weights the network ties"),
    ]
    return "; ".join(filter(None, complaints))


def _memory(tensor: Tensor) -> tuple[int, ...] | None:
    """Return what two keys of one network have in common where they are one weight."""
    if not tensor.numel() or tensor.device.type == "meta":
        return None
    return (tensor.data_ptr(), *tensor.shape, *tensor.stride())


def _untied(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """Return the keys of one weight of the network for which the file has two."""
    first: dict[tuple[int, ...] | None, str] = {}
    found = []
    for key in (key for key in wanted if key in given):
        other = first.setdefault(_memory(wanted[key]), key)
        is_one = other != key and _memory(wanted[key]) is not None
        if is_one and not torch.equal(given[key], given[other]):
            found.append(f"{key} (the file has another {other})")
    return found


def _is_of_other_kind(given: Tensor, wanted: Tensor) -> bool:
    """Whether numbers cannot be taken over: reals for integers that are not whole, and the like."""
    if given.is_complex() != wanted.is_complex():
        return True
    if given.is_floating_point() == wanted.is_floating_point():
        return False
    if not given.is_floating_point():
        return True
    return not bool((given == given.to(wanted.dtype).to(given.dtype)).all())  # all cast to half


def _listed(found: Sequence[str], singular: str, plural: str) -> str:
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
