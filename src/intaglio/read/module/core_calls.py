"""What happens while a module runs: which of its parts is called with what, and who reads what.

Tensors are told apart by the object that holds them, not by their values: what a part is given is
what another part returned only where it is the very same tensor, unchanged since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

TELLS: frozenset[Any] = frozenset(
    {
        *(
            getattr(Tensor, name).__get__
            for name in ("shape", "dtype", "device", "ndim", "layout", "requires_grad")
        ),
        *(getattr(Tensor, name).__get__ for name in ("is_cuda", "is_meta", "is_quantized")),
        *(Tensor.size, Tensor.dim, Tensor.ndimension, Tensor.numel, Tensor.nelement),
        *(Tensor.__len__, Tensor.get_device, Tensor.element_size, Tensor.type),
        *(Tensor.is_floating_point, Tensor.is_complex, Tensor.is_contiguous, Tensor.stride),
        *(torch.is_floating_point, torch.is_complex, torch.is_tensor, torch.numel),
        *(Tensor.new_zeros, Tensor.new_ones, Tensor.new_full, Tensor.new_empty, Tensor.new_tensor),
        *(torch.zeros_like, torch.ones_like, torch.empty_like, torch.full_like),
    }
)
"""Functions of a tensor that tell its form alone: no value of it is read."""


@dataclass(frozen=True)
class Value:
    """A tensor of a run, as it was after some number of changes in place."""

    identity: int
    version: int


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a part of a module.

    Attributes:
        place: Path of the part; "" is the module itself.
        module: The part.
        number: Calls are counted as they begin, from 0, which is the module itself.
        last: Number of the last call inside of this one; its own where there is none.
        arguments: (args, kwargs) with a `Value` in the place of every tensor.
        result: Likewise.
        changed: What it was given, to what became of it in place; most change nothing.
    """

    place: str
    module: nn.Module
    number: int
    last: int
    arguments: Any
    result: Any
    changed: Mapping[Value, Value]

    def holds(self, number: int) -> bool:
        """Whether a call is this one or one inside of it."""
        return self.number <= number <= self.last


@dataclass(frozen=True, eq=False)
class Recording:
    """One run of a module.

    Attributes:
        calls: By the order in which they began; the first is the module itself.
        tensors: What `Value`s stand for, kept alive.
        reads: Value, of a result or a weight, to the numbers of the calls whose own code read its
            values; a read that asks for the shape alone is none.
        result: What the module returned, as it is.
    """

    calls: tuple[Call, ...]
    tensors: Mapping[Value, Tensor]
    reads: Mapping[Value, frozenset[int]]
    result: Any

    def inside(self, call: Call) -> Iterator[Call]:
        """Give the calls that a call's own code makes, in order."""
        end = call.number
        for other in self.calls:
            if end < other.number <= call.last:
                end = other.last
                yield other


def record(module: nn.Module, example: object) -> Recording:
    """Return what happens while a module runs on an example, without gradients.

    The module is called as `module(example)`, in the mode that it is in; hooks are taken off again.
    """
    recorder = _Recorder(module)
    with torch.no_grad(), _listening(module, recorder), recorder:
        result = module(example)
    whole = recorder.calls[0]
    for value in values_in(whole.result):
        recorder.reads.setdefault(value, set()).add(0)
    calls = tuple(recorder.calls[number] for number in sorted(recorder.calls))
    reads = {value: frozenset(numbers) for value, numbers in recorder.reads.items()}
    return Recording(calls, recorder.tensors, reads, result)


def value_of(tensor: Tensor) -> Value:
    """Return what tells a tensor from all others that are alive."""
    return Value(id(tensor), 0 if tensor.is_inference() else tensor._version)


def values_in(structure: Any) -> list[Value]:
    """Return the values in a structure, in order, repeated where they are."""
    return [leaf for leaf in pytree.tree_leaves(structure) if isinstance(leaf, Value)]


class _Recorder(TorchFunctionMode):
    """Hears of the calls by hooks, and of reads as torch's functions are called."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.calls: dict[int, Call] = {}
        self.tensors: dict[Value, Tensor] = {}
        self.reads: dict[Value, set[int]] = {}
        self._open: list[tuple[int, nn.Module, Any]] = []
        self._places = {part: place for place, part in module.named_modules()}
        self._begun = 0
        self._known: dict[int, Tensor] = {}
        for tensor in (*module.parameters(), *module.buffers()):
            self._value(tensor)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return what the function returns, and remember whose values it may read."""
        if func not in TELLS and self._open:
            for leaf in pytree.tree_leaves((args, kwargs)):
                if id(leaf) in self._known:
                    with torch._C.DisableTorchFunction():
                        self.reads.setdefault(value_of(leaf), set()).add(self._open[-1][0])
        return func(*args, **(kwargs or {}))

    def begin(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """Note that a part is called."""
        with torch._C.DisableTorchFunction():
            self._open.append((self._begun, module, self._noted((args, kwargs))))
        self._begun += 1

    def end(self, module: nn.Module, args: Any, kwargs: Any, result: Any) -> None:
        """Note what it returns; calls inside of it that never returned are forgotten."""
        number, part, arguments = self._open.pop()
        while part is not module:
            number, part, arguments = self._open.pop()
        with torch._C.DisableTorchFunction():
            made = self._noted(result)
            given = {value: self.tensors[value] for value in values_in(arguments)}
            now = {value: self._value(tensor) for value, tensor in given.items()}
        changed = {value: later for value, later in now.items() if later != value}
        place, last = self._places[module], self._begun - 1
        self.calls[number] = Call(place, module, number, last, arguments, made, changed)

    def _noted(self, structure: Any) -> Any:
        return pytree.tree_map_only(Tensor, self._value, structure)

    def _value(self, tensor: Tensor) -> Value:
        value = value_of(tensor)
        self.tensors[value] = self._known[id(tensor)] = tensor
        return value


@contextmanager
def _listening(module: nn.Module, recorder: _Recorder) -> Iterator[None]:
    """Hang hooks on all parts: before any of the user's own, and after all of them."""
    hooks = []
    for part in module.modules():
        hooks += [
            part.register_forward_pre_hook(recorder.begin, prepend=True, with_kwargs=True),
            part.register_forward_hook(recorder.end, with_kwargs=True),
        ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
