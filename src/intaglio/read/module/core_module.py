"""The parts of a core, called in the order in which the whole network calls them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils import _pytree as pytree

from intaglio.errors import DataError

INPUT = 0
"""The slot of a core's input."""


@dataclass(frozen=True)
class Slot:
    """Stands for a tensor in what a part of a core takes or returns.

    Attributes:
        number: The same number is the same tensor; 0 is the core's input.
    """

    number: int


@dataclass(frozen=True, eq=False)
class Step:
    """One call of a part.

    Attributes:
        place: Path of the part in the user's network.
        arguments: (args, kwargs) with a `Slot` in the place of every tensor.
        result: Likewise.
    """

    place: str
    arguments: Any
    result: Any


@dataclass(frozen=True, eq=False)
class Plan:
    """What a core calls, and what it returns.

    Attributes:
        steps: What is called, in order.
        outputs: Slots of the tensors that are returned.
        shapes: Slot to the shape that it had for the example, the batch first.
        kept: Paths of parts whose weights code outside of the core uses as well.
    """

    steps: tuple[Step, ...]
    outputs: tuple[int, ...]
    shapes: Mapping[int, tuple[int, ...]]
    kept: frozenset[str] = frozenset()


class CoreModule(nn.Module):
    """A part of a network that computes tensors from one tensor, and nothing else.

    Its layers have the paths that they have in the user's network.
    """

    def __init__(self, parts: Mapping[str, nn.Module], plan: Plan) -> None:
        super().__init__()
        self.core_plan = plan  # the user's own names stand beside it
        for place in sorted(parts):
            hang(self, place, parts[place])
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return what the rest of the network reads, in the order of the core's output names.

        Args:
            x: [N, C, H, W] or [N, F] float32, what the first part is given.
        """
        held = {INPUT: x}
        for step in self.core_plan.steps:
            args, kwargs = filled(step.arguments, held)
            made = self.get_submodule(step.place)(*args, **kwargs)
            keep(made, step.result, held)
        return tuple(held[number] for number in self.core_plan.outputs)


def filled(structure: Any, held: Mapping[int, Tensor]) -> Any:
    """Return a structure with tensors in the places of its slots."""
    return pytree.tree_map_only(Slot, lambda slot: held[slot.number], structure)


def keep(made: Any, structure: Any, held: dict[int, Tensor]) -> None:
    """Put the tensors that a part made into the slots of what it is known to return."""
    slots = pytree.tree_leaves(structure)
    for slot, leaf in zip(slots, pytree.tree_leaves(made), strict=True):
        if isinstance(slot, Slot):
            held[slot.number] = leaf


def output_names(plan: Plan) -> tuple[str, ...]:
    """Return what to call each output: its part's path, and its place in what the part returns.

    A tensor that several parts return is called by the last of them; no two names are the same.
    """
    wishes: dict[int, str] = {}
    for step in plan.steps:
        for keys, leaf in pytree.tree_flatten_with_path(step.result)[0]:
            if isinstance(leaf, Slot):
                wishes[leaf.number] = ".".join((step.place, *(_word(key) for key in keys)))
    names: list[str] = []
    for slot in plan.outputs:
        name, again = wishes[slot], 0
        while name in names:
            again += 1
            name = f"{wishes[slot]}:{again}"
        names.append(name)
    return tuple(names)


def entry_of(step: Step, arguments: Any) -> Tensor:
    """Return a core's input from what its first piece is given.

    Raises:
        DataError: If it is not given what it was given for the example.
    """
    known, spec = pytree.tree_flatten(step.arguments)
    given, given_spec = pytree.tree_flatten(arguments)
    if given_spec == spec:
        for slot, leaf in zip(known, given, strict=True):
            if slot == Slot(INPUT) and isinstance(leaf, Tensor):
                return leaf
    raise DataError(
        f"'{step.place}' is called otherwise than for the example input: what the network's own"
        " code does must not depend on the images, up to there"
    )


def checked_entry(entry: Tensor, name: str, plan: Plan) -> Tensor:
    """Return a core's input, which is of the one size that the core is made for.

    Raises:
        DataError: If it is of another; names both.
    """
    size, wanted = tuple(entry.shape[1:]), plan.shapes[INPUT][1:]
    if size != wanted:
        raise DataError(
            f"core '{name}' is given {_by(size)}, and is made for {_by(wanted)}, the size that the"
            " example gives: bring all images to the example's size first"
        )
    return entry


def _by(size: tuple[int, ...]) -> str:
    return " x ".join(str(length) for length in size)


def _word(key: Any) -> str:
    """Return one step of the way to a leaf: an index, a key, or a field's name."""
    for kind in ("idx", "key", "name"):
        if hasattr(key, kind):
            return str(getattr(key, kind))
    return str(key)


def hang(root: nn.Module, place: str, part: nn.Module) -> None:
    """Make a part the submodule of that path, unless it is there inside of another part."""
    *above, name = place.split(".")
    holder = root
    for step in above:
        if step not in holder._modules:
            holder.add_module(step, nn.Module())
        holder = holder.get_submodule(step)
    if name not in holder._modules:
        holder.add_module(name, part)
