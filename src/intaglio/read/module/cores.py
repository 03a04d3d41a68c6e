"""The cores of a whole detector: what can be captured of it, found by running it once.

A detector as users have it takes images and returns boxes, by code that depends on values: sizes,
anchors, non-maximum suppression, regions. That code stays as it is. What lies between are its
cores, each from one tensor to several, with nearly all of the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from intaglio.errors import CaptureError
from intaglio.read.module.core_calls import Call, Recording, Value, record, value_of, values_in
from intaglio.read.module.core_inputs import core_inputs
from intaglio.read.module.core_left import left_out, obstacle
from intaglio.read.module.core_module import INPUT, CoreModule, Plan, Slot, Step, output_names
from intaglio.read.module.core_networks import with_networks
from intaglio.read.module.core_pieces import Choice, Draft, choose, weights_of
from intaglio.read.module.core_whole import Core, Whole
from intaglio.read.module.quiet import one_line
from intaglio.read.module.unwrap import borrowed, plain_example, unwrapped

LEAST = 0.5
"""Of a module's weights: what its cores must hold."""


def find_cores(module: nn.Module, example: object) -> Whole:
    """Return the cores of a module that cannot be captured as a whole.

    A core's outputs are what code outside of it reads: the shape of a tensor alone is no reading.
    Where that cannot be told (values left torch, or were changed in place), all that its pieces
    return. The cut is tried before it is returned: with its own cores in their places, the module
    returns for the example what it returned before, bit for bit.

    Args:
        module: Any module that takes one argument; it is not changed.
        example: What it takes: a tensor, or a list of images. Of the size of all that will follow.

    Raises:
        CaptureError: If cores hold less than half of the weights; says what stands in the way, and
            where. If the module fails on the example, or cannot be copied.
        NonFiniteError: If a weight holds NaN or infinity; names the layer.
    """
    network = unwrapped(module)
    given = pytree.tree_map_only(Tensor, plain_example, example)
    with borrowed(network) as plain:
        if plain is network:
            raise CaptureError(
                f"{type(network).__name__} cannot be copied, which cutting it into cores needs"
            )
        recording = _recorded(plain, given)
        choice = choose(recording)
        for reads_known in (True, False):
            whole = _cut(plain, given, recording, choice, reads_known=reads_known)
            _check_share(whole, given, choice)
            if _returns(whole, given, recording.result):
                return whole
    raise CaptureError(
        f"{type(network).__name__}, cut into cores, returns something else than before: it is"
        " random, or its code keeps results of layers where they cannot be followed"
    )


def _recorded(module: nn.Module, example: object) -> Recording:
    try:
        return record(module, _fresh(example))
    except Exception as error:
        raise CaptureError(
            f"{type(module).__name__} itself fails on the example input: {one_line(error)}. Is that"
            " what it takes?"
        ) from error


def _cut(
    module: nn.Module, example: object, recording: Recording, choice: Choice, *, reads_known: bool
) -> Whole:
    """Return the cores, with the outputs that are known to be read, or all."""
    total = weights_of([module])
    cores = []
    for draft in choice.drafts:
        plan = _plan(draft, recording, reads_known=reads_known)
        if not plan.outputs:
            continue  # nobody reads it: a branch for training
        core = Core(
            draft.pieces[0].place,
            tuple(piece.place for piece in draft.pieces),
            CoreModule({piece.place: piece.module for piece in draft.pieces}, plan),
            recording.tensors[draft.entry].detach(),
            output_names(plan),
            draft.weights / total,
            draft.pieces[0].number,
        )
        if value_of(core.example) != draft.entry:  # changed in place since
            core = replace(core, example=_entry(Whole(module, (core,)), example))
        cores.append(core)
    cores.sort(key=lambda core: -core.share)
    return Whole(module, tuple(cores), left_out(recording, choice), example)


def _entry(whole: Whole, example: object) -> Tensor:
    return next(core_inputs(whole, whole.cores[0], [_fresh(example)])).detach().clone()


def _plan(draft: Draft, recording: Recording, *, reads_known: bool) -> Plan:
    slots = {draft.entry: INPUT}
    shapes = {INPUT: tuple(recording.tensors[draft.entry].shape)}
    for piece in draft.pieces:
        for before, later in piece.changed.items():
            slots[later] = slots[before]  # the same tensor
        for value in values_in(piece.result):
            slot = slots.setdefault(value, len(shapes))
            shapes[slot] = tuple(recording.tensors[value].shape)
    read = {slot for value, slot in slots.items() if _is_read_outside(value, draft, recording)}
    return Plan(
        steps=tuple(
            Step(piece.place, _in_slots(piece.arguments, slots), _in_slots(piece.result, slots))
            for piece in draft.pieces
        ),
        outputs=tuple(
            slot for slot in shapes if slot != INPUT and (slot in read or not reads_known)
        ),
        shapes=shapes,
        kept=frozenset(
            piece.place for piece in draft.pieces if _is_used_outside(piece, draft, recording)
        ),
    )


def _in_slots(structure: Any, slots: Mapping[Value, int]) -> Any:
    return pytree.tree_map_only(Value, lambda value: Slot(slots[value]), structure)


def _is_read_outside(value: Value, draft: Draft, recording: Recording) -> bool:
    return not all(draft.holds(number) for number in recording.reads.get(value, ()))


def _is_used_outside(piece: Call, draft: Draft, recording: Recording) -> bool:
    """Whether code outside of a core calls layers of a piece, or reads their weights."""
    parts = set(piece.module.modules())
    tensors = (*piece.module.parameters(), *piece.module.buffers())
    return any(
        call.module in parts and not draft.holds(call.number) for call in recording.calls
    ) or any(_is_read_outside(value_of(one), draft, recording) for one in tensors)


def _check_share(whole: Whole, example: object, choice: Choice) -> None:
    """Raise CaptureError where the cores hold too little of the weights."""
    share = sum(core.share for core in whole.cores)
    if share >= LEAST:
        return
    cause = obstacle(whole.module, _fresh(example), choice, whole.left_out)
    raise CaptureError(
        f"of the weights of {type(whole.module).__name__}, {share:.0%} lie in parts that can be"
        f" captured, and {LEAST:.0%} must: {cause}"
    )


def _returns(whole: Whole, example: object, result: object) -> bool:
    """Whether the module with its cores cut out returns what the module does.

    That is what it returned when it was recorded, or returns now: a first run may compile things.
    """
    module = with_networks(whole, {core.name: core.module for core in whole.cores})
    with torch.no_grad():
        try:
            made = module(_fresh(example))
        except Exception:  # what the user's code does where a value is missing
            return False
        return _equal(made, result) or _equal(made, whole.module(_fresh(example)))


def _equal(made: object, known: object) -> bool:
    first, spec = pytree.tree_flatten(made)
    second, known_spec = pytree.tree_flatten(known)
    return spec == known_spec and all(map(_same, first, second))


def _same(known: object, again: object) -> bool:
    if not isinstance(known, Tensor) or not isinstance(again, Tensor):
        return type(known) is type(again)
    if known.shape != again.shape or known.dtype != again.dtype:
        return False
    return bool(((known == again) | ((known != known) & (again != again))).all())


def _fresh(example: object) -> Any:
    """Return a copy of an example: some networks change their images in place."""
    return pytree.tree_map_only(Tensor, torch.clone, example)
