"""What of a module lies in no core, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn
from torch.export import export

from intaglio.errors import CaptureError
from intaglio.read.module.core_calls import Call, Recording, values_in
from intaglio.read.module.core_pieces import Choice, Draft, weights_of
from intaglio.read.module.quiet import quiet
from intaglio.read.module.untraceable import why

NOTHING = (
    "was given nothing for the example, no region or the like: give an example in which something"
    " is found"
)
OTHERS = "takes or returns what is no tensor of one batch, or takes tensors of several sources"


def left_out(recording: Recording, choice: Choice) -> tuple[str, ...]:
    """Return a sentence for each part that has weights and lies in no core: which, and why."""
    module = recording.calls[0].module
    reasons = {call.place: error for call, error in choice.refused}
    sentences = {}
    for call in _outside(recording.calls[0], recording, choice.drafts):
        if call.place in reasons:
            reason = f"cannot be captured: {_told(reasons[call.place], module)}"
        elif any(len(recording.tensors[value]) == 0 for value in values_in(call.arguments)):
            reason = NOTHING
        else:
            reason = OTHERS
        sentences[call.place] = f"layer '{call.place}' is in no core: it {reason}"
    return tuple(sentences.values())


def obstacle(module: nn.Module, example: object, choice: Choice, left: Sequence[str]) -> str:
    """Return what keeps most of a module's weights from lying in cores, and where."""
    if choice.refused:
        call, error = max(choice.refused, key=lambda one: weights_of([one[0].module]))
        return f"layer '{call.place}' cannot be captured: {_told(error, module)}"
    for sentence in left:
        if NOTHING in sentence:
            return sentence
    with quiet():
        try:
            export(module, (example,))
        except Exception as error:  # torch.export raises many kinds, none of them documented
            return why(error, module)
    return left[0] if left else "none of its layers is called"


def _outside(call: Call, recording: Recording, drafts: Sequence[Draft]) -> Iterator[Call]:
    """Give the outermost calls with weights that neither are in a core nor have a piece inside."""
    for inner in recording.inside(call):
        if not weights_of([inner.module]) or any(draft.holds(inner.number) for draft in drafts):
            continue
        if any(inner.holds(piece.number) for draft in drafts for piece in draft.pieces):
            yield from _outside(inner, recording, drafts)
        else:
            yield inner


def _told(error: CaptureError, module: nn.Module) -> str:
    cause = error.__cause__
    return why(cause, module) if isinstance(cause, Exception) else str(error)
