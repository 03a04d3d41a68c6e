"""Which parts of a module make up its cores, told from one recorded run.

From the module itself downwards: a part that is given tensors of one core alone (or one tensor that
no core made), returns tensors, and can be captured, is a piece of that core. A part that is not is
opened, and the parts that it calls are looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from intaglio.errors import CaptureError
from intaglio.ir.graph import Graph
from intaglio.ops.traits import WEIGHTED
from intaglio.read.module.core_calls import Call, Recording, Value, values_in
from intaglio.read.module.core_module import hang
from intaglio.read.module.export import capture

MOST = 0.9
"""Of a part's weights: what must stay together where the part is opened for its ending's sake."""
PLAIN = (bool, str, type(None))
"""What a piece may be given or return beside tensors; a number may be another for other images."""


class Ending(Enum):
    """What a part that can be captured does behind its last weights."""

    PLAIN = "ops of ours"
    OPAQUE = "what is none"


@dataclass(eq=False)
class Draft:
    """A core as it grows.

    Attributes:
        entry: The tensor that its first piece is given.
        pieces: Calls, in order.
        known: The entry, all that the pieces returned, and what they made of it in place.
    """

    entry: Value
    pieces: list[Call] = field(default_factory=list)
    known: set[Value] = field(default_factory=set)

    def copy(self) -> Draft:
        """Return a draft that grows by itself."""
        return Draft(self.entry, list(self.pieces), set(self.known))

    def add(self, call: Call) -> None:
        """Make a call the next piece."""
        self.pieces.append(call)
        self.known.update(values_in(call.result), call.changed.values())

    @property
    def weights(self) -> int:
        """Weights of convolutions, linear layers and the like in it."""
        return weights_of(piece.module for piece in self.pieces)

    def holds(self, number: int) -> bool:
        """Whether a call is a piece, or inside of one."""
        return any(piece.holds(number) for piece in self.pieces)


@dataclass(frozen=True, eq=False)
class Choice:
    """The cores of a module, and what is none.

    Attributes:
        drafts: With weights, in the order in which they are entered.
        refused: Calls that could not be captured, with the reason.
    """

    drafts: tuple[Draft, ...]
    refused: tuple[tuple[Call, CaptureError], ...]


def choose(recording: Recording) -> Choice:
    """Return the cores of a recorded module.

    All calls of a part that is a piece lie in one core: a part that is called elsewhere as well is
    opened.

    Raises:
        NonFiniteError: If a weight of a piece holds NaN or infinity; names the layer.
    """
    search = _Search(recording)
    while True:
        search.drafts = []
        for call in recording.inside(recording.calls[0]):
            search.look(call)
        more = _called_elsewhere(recording, search.drafts)
        if not more:
            break
        search.split |= more
    weighted = [draft for draft in search.drafts if draft.weights]
    refused = [(call, search.tried.get(_key(call, recording))) for call in recording.calls]
    return Choice(
        tuple(weighted),
        tuple((call, error) for call, error in refused if isinstance(error, CaptureError)),
    )


def weights_of(modules: Iterable[nn.Module]) -> int:
    """Return how many weights of convolutions, linear layers and the like modules have together.

    Scales and biases, of one axis, are not counted.
    """
    unique = {id(one): one for module in modules for one in module.parameters() if one.ndim > 1}
    return sum(one.numel() for one in unique.values())


@dataclass(eq=False)
class _Search:
    """A walk from the module downwards.

    Attributes:
        drafts: The cores so far.
        split: Parts that are no pieces, as they are called in several cores or outside of any.
        tried: What was captured, to what came of it: nothing is captured twice.
    """

    recording: Recording
    drafts: list[Draft] = field(default_factory=list)
    split: set[nn.Module] = field(default_factory=set)
    tried: dict[Any, CaptureError | Ending] = field(default_factory=dict)

    def look(self, call: Call) -> None:
        """Make a call a piece, or look at those inside of it."""
        ending = self._ending(call)
        if ending is Ending.PLAIN:
            self._add(call)
            return
        before = [draft.copy() for draft in self.drafts]
        for inner in self.recording.inside(call):
            self.look(inner)
        if ending is Ending.OPAQUE and not _keeps_together(call, before, self.drafts):
            self.drafts = before
            self._add(call)

    def _ending(self, call: Call) -> Ending | None:
        """Return how a call ends that can be a piece; None where it cannot."""
        if call.module in self.split or not _fits(call, self.recording):
            return None
        if _home(call, self.drafts) is None:
            return None
        key = _key(call, self.recording)
        if key not in self.tried:
            self.tried[key] = _tried(call, self.recording)
        found = self.tried[key]
        return found if isinstance(found, Ending) else None

    def _add(self, call: Call) -> None:
        home = _home(call, self.drafts)
        assert home is not None, "_ending() says so"
        if not home.pieces:
            self.drafts.append(home)
        home.add(call)


def _keeps_together(call: Call, before: list[Draft], after: list[Draft]) -> bool:
    """Whether what was found inside of a call is one core with nearly all of its weights."""
    found = [piece for draft in after for piece in draft.pieces if call.holds(piece.number)]
    is_one = len(after) <= len(before) + 1 and (
        sum(any(call.holds(piece.number) for piece in draft.pieces) for draft in after) == 1
    )
    return is_one and weights_of(one.module for one in found) >= MOST * weights_of([call.module])


def _fits(call: Call, recording: Recording) -> bool:
    """Whether a call takes and returns float32 tensors of one batch, and little else."""
    given, made = values_in(call.arguments), values_in(call.result)
    others = pytree.tree_leaves((call.arguments, call.result))
    if not given or not made or not all(isinstance(one, (Value, *PLAIN)) for one in others):
        return False
    tensors = [recording.tensors[value] for value in (*given, *made)]
    return (
        all(one.dtype == torch.float32 and one.layout == torch.strided for one in tensors)
        and all(one.ndim > 1 for one in tensors)
        and len({len(one) for one in tensors}) == 1
        and len(tensors[0]) > 0
    )


def _home(call: Call, drafts: list[Draft]) -> Draft | None:
    """Return the core that a call belongs to: one that knows all it is given, or a new one."""
    given = set(values_in(call.arguments))
    for draft in drafts:
        if given <= draft.known:
            return draft
    if len(given) > 1:
        return None
    (entry,) = given
    return Draft(entry, known={entry})


def _called_elsewhere(recording: Recording, drafts: list[Draft]) -> set[nn.Module]:
    """Return the pieces that are called outside of their core as well."""
    return {
        piece.module
        for draft in drafts
        for piece in draft.pieces
        for call in recording.calls
        if call.module is piece.module and not draft.holds(call.number)
    }


def _key(call: Call, recording: Recording) -> Any:
    """Return what decides whether a call can be captured."""
    return (call.module, *(tuple(one.shape) for one in _given(call, recording)))


def _given(call: Call, recording: Recording) -> list[Tensor]:
    """Return the tensors that a call is given, each once."""
    return [recording.tensors[value] for value in dict.fromkeys(values_in(call.arguments))]


def _tried(call: Call, recording: Recording) -> CaptureError | Ending:
    """Capture a part: return how it ends, or why it cannot be captured."""
    tensors = [one[:1] for one in _given(call, recording)]
    packed = torch.cat([one.reshape(1, -1) for one in tensors], 1)
    values = list(dict.fromkeys(values_in(call.arguments)))
    try:
        graph = capture(_Packed(call, values, [one.shape for one in tensors]), packed)
    except CaptureError as error:
        return error
    return Ending.OPAQUE if _ends_without_weights(graph) else Ending.PLAIN


def _ends_without_weights(graph: Graph) -> bool:
    """Whether a graph computes, behind its last weights, with what is no op of ours.

    That is what detectors do to their results: it is left to the Python around the core.
    """
    behind: set[str] = set()
    for node in graph:
        if node.op == "opaque" or behind.intersection(node.inputs):
            behind.add(node.name)
        if node.op in WEIGHTED and node.name in behind:
            return False
    return bool(behind)


class _Packed(nn.Module):
    """A part that is given several tensors, which are cut from one.

    Shapes are those of one image: `capture` takes modules of one tensor.
    """

    def __init__(self, call: Call, values: list[Value], shapes: list[torch.Size]) -> None:
        super().__init__()
        # The user's own names stand beside these.
        self.core_call, self.core_values, self.core_shapes = call, values, shapes
        hang(self, call.place, call.module)

    def forward(self, packed: Tensor) -> list[Tensor]:
        """Return the tensors that the part returns, from all that it is given, [N, values]."""
        call, shapes = self.core_call, self.core_shapes
        pieces = torch.split(packed, [math.prod(shape) for shape in shapes], 1)
        held = {
            value: piece.reshape(-1, *shape[1:])
            for value, piece, shape in zip(self.core_values, pieces, shapes, strict=True)
        }
        args, kwargs = pytree.tree_map_only(Value, lambda value: held[value], call.arguments)
        made = pytree.tree_leaves(self.get_submodule(call.place)(*args, **kwargs))
        return [one for one in made if isinstance(one, Tensor)]
