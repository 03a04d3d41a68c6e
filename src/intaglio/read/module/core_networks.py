"""A whole network with other networks in the places of its cores."""

from __future__ import annotations

import copy
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from intaglio.errors import CaptureError, DataError, RequestError
from intaglio.read.module.core_module import (
    INPUT,
    Plan,
    Slot,
    Step,
    checked_entry,
    entry_of,
    filled,
)
from intaglio.read.module.core_whole import Core, Whole
from intaglio.read.module.unwrap import plain_example

Network = Callable[[Tensor], Sequence[Tensor]]
"""From a core's input to its outputs, in the order of the core's output names."""


def with_networks(whole: Whole, networks: Mapping[str, Network]) -> nn.Module:
    """Return the user's module with networks in the places of its cores.

    It takes and returns what the user's module does, in eval mode. It is a copy without the weights
    of the pieces that are replaced; cores that are not named stay as they are. What no Python reads
    is NaN. It runs one batch at a time: not in several threads at once.

    A network is never given an empty batch (no region): empty results are made for it.

    Args:
        networks: Name of a core to what takes its place.

    Raises:
        UnknownName: If there is no core of that name.
        CaptureError: If the module cannot be copied.

    Its forward() raises DataError where a core is given another size than the example's, or its
    pieces something else than for the example; RequestError where a network returns what the core
    does not.
    """
    cores = [whole.core(name) for name in networks]
    module = _copied(whole.module, cores)
    for core in cores:
        stand_in = _StandIn(
            core.name, core.output_names, core.module.core_plan, networks[core.name]
        )
        for place in dict.fromkeys(core.places):
            part = module.get_submodule(place)
            if place not in core.module.core_plan.kept:
                _drop_weights(part)
            for hooks in (part._forward_pre_hooks, part._forward_hooks):
                hooks.clear()  # what they do is done in the core
            part.forward = _Piece(stand_in, place)
        module.register_forward_pre_hook(stand_in.begin, prepend=True)
    return module


def after(
    whole: Whole, runs: Iterable[tuple[object, Mapping[str, Sequence[Tensor]]]]
) -> Iterator[Any]:
    """Give what the module returns for each batch, where the outputs of cores are given.

    Args:
        runs: Batch, and name of a core to its outputs for that batch; the same cores every time.

    Raises:
        As `with_networks` and what it returns.
    """
    runs = iter(runs)
    for batch, first in itertools.islice(runs, 1):
        now = dict(first)
        module = with_networks(whole, {name: _Given(now, name) for name in first})
        for again, outputs in itertools.chain([(batch, first)], runs):
            now.update(outputs)
            with torch.no_grad():
                yield module(pytree.tree_map_only(Tensor, plain_example, again))


@dataclass(frozen=True, eq=False)
class _Given:
    """A network that returns what is given for the batch."""

    now: Mapping[str, Sequence[Tensor]]
    name: str

    def __call__(self, entry: Tensor) -> Sequence[Tensor]:
        return self.now[self.name]


@dataclass(eq=False)
class _StandIn:
    """A network in the place of a core, and where the current run is.

    Attributes:
        held: Slot to the tensor that was handed out for it in this run.
        done: Place to how often it was called in this run.
    """

    core: str
    output_names: tuple[str, ...]
    plan: Plan
    network: Network
    held: dict[int, Tensor] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)

    def begin(self, module: nn.Module, args: Any) -> None:
        """Forget the run before, which may have ended anywhere."""
        self.held, self.done = {}, {}

    def called(self, place: str, arguments: Any) -> Any:
        """Return what a piece returns, for what it is given."""
        steps = [step for step in self.plan.steps if step.place == place]
        at = self.done.get(place, 0)
        self.done[place] = at + 1
        if at >= len(steps):
            raise DataError(
                f"'{place}' is called more often than for the example input ({len(steps)}): how"
                " often must not depend on the images"
            )
        step = steps[at]
        if step is self.plan.steps[0]:
            self._run(entry_of(step, arguments))
        if not self._is_as_known(step, arguments):
            raise DataError(
                f"'{place}' is given something else than for the example input: what a core's"
                " pieces are given must not depend on the images"
            )
        return filled(step.result, self.held)

    def _run(self, entry: Tensor) -> None:
        checked_entry(entry, self.core, self.plan)
        shapes = {slot: (len(entry), *shape[1:]) for slot, shape in self.plan.shapes.items()}
        nothing = entry.new_full((), float("nan"))
        self.held = {slot: nothing.expand(shape) for slot, shape in shapes.items()}
        self.held[INPUT] = entry
        outputs = self.plan.outputs
        if not len(entry):
            return
        made = self.network(entry.clone())  # which it may change; the user's code may read it on
        if len(made) != len(outputs):
            raise RequestError(
                f"the network in the place of core '{self.core}' returns {len(made)} tensors,"
                f" not {len(outputs)}: {', '.join(self.output_names)}"
            )
        for slot, name, tensor in zip(outputs, self.output_names, made, strict=True):
            if tuple(tensor.shape) != shapes[slot]:
                raise RequestError(
                    f"the network in the place of core '{self.core}' returns the shape"
                    f" {list(tensor.shape)} for '{name}', not {list(shapes[slot])}"
                )
            self.held[slot] = tensor

    def _is_as_known(self, step: Step, arguments: Any) -> bool:
        known, spec = pytree.tree_flatten(step.arguments)
        given, given_spec = pytree.tree_flatten(arguments)
        return given_spec == spec and all(
            leaf is self.held.get(slot.number) if isinstance(slot, Slot) else leaf == slot
            for slot, leaf in zip(known, given, strict=True)
        )


@dataclass(frozen=True, eq=False)
class _Piece:
    """The forward() of a piece that a network stands in for."""

    stand_in: _StandIn
    place: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.stand_in.called(self.place, (args, kwargs))


def _copied(module: nn.Module, cores: Sequence[Core]) -> nn.Module:
    """Return a copy, but for weights that are dropped from it anyway."""
    inside = {
        id(part)
        for core in cores
        for place in core.places
        if place not in core.module.core_plan.kept
        for part in module.get_submodule(place).modules()
    }
    dropped: dict[int, Any] = {}
    other: dict[int, Any] = {}
    for part in module.modules():
        own = dropped if id(part) in inside else other
        for tensor in (*part._parameters.values(), *part._buffers.values()):
            if tensor is not None:
                own[id(tensor)] = tensor
    memo = {key: tensor for key, tensor in dropped.items() if key not in other}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return copy.deepcopy(module, memo)
    except Exception as error:  # attributes of the user's classes raise what they like
        raise CaptureError(
            f"{type(module).__name__} cannot be copied ({type(error).__name__}: {error}), which"
            " running it with other networks inside needs"
        ) from error


def _drop_weights(part: nn.Module) -> None:
    """Leave of a part what it says of itself: its class and its plain attributes."""
    part._modules.clear()
    for name in part._parameters:
        part._parameters[name] = None
    for name in part._buffers:
        part._buffers[name] = None
