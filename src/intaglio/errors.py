"""Every error that intaglio raises on purpose.

    IntaglioError
    ├── RequestError             what was asked for, a file, or the output place: exit code 2
    │   ├── UnknownName          a model, recipe, scheme, target or option that does not exist
    │   ├── WeightsError         weights that cannot be read or do not fit the network
    │   ├── DataError            images, manifests or labels that cannot be used
    │   ├── OutputError          the output place cannot be written
    │   ├── CaptureError         the network cannot be captured as one static graph
    │   │   └── Untraceable      since its own code computes with values
    │   ├── PartnerLost          another process of a training has ended
    │   ├── NonFiniteError       NaN or infinity in weights or activations
    │   └── UnsupportedByTarget  the runtime cannot hold a layer, or not bit for bit
    │       └── UnsupportedLayers    several of them
    ├── SpecError                a quantization spec that makes no sense
    ├── RangeError               a real range from which no scale can be made
    ├── GraphError               a graph that breaks an invariant: a defect of a pass
    └── MismatchError            a file and its twin disagree: a defect of ours, never shipped

Messages say what was wrong, where in the user's model or file, the value seen, and what to do.
"""

from __future__ import annotations

LONGEST_MESSAGE = 2000


def one_line(message: str) -> str:
    """Return the message with line breaks and other characters that do not print escaped.

    Names of files and layers come from outside and may hold anything.
    """
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in message)


def cause(error: Exception) -> str:
    """Return the kind and the words of somebody else's error, without line breaks."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


class IntaglioError(Exception):
    """The root of all errors that intaglio raises on purpose."""


class RequestError(IntaglioError):
    """The request, an input file or the output place is wrong; the command line exits with 2.

    Its text is one line, and not endless, whatever names from a file are in it: what does not print
    is escaped, and the middle of a long one is left out.
    """

    def __str__(self) -> str:
        """Return the message in one line of printable characters."""
        line = one_line(super().__str__())
        if len(line) <= LONGEST_MESSAGE:
            return line
        return f"{line[: LONGEST_MESSAGE // 2]} ... {line[-LONGEST_MESSAGE // 2 :]}"


class UnknownName(RequestError):
    """A name that is not in the list it was looked up in."""


class WeightsError(RequestError):
    """Weights that cannot be read, or that do not fit the network."""


class DataError(RequestError):
    """Images, manifests or labels that cannot be used."""


class OutputError(RequestError):
    """The output place cannot be written, or the disk is full."""


class CaptureError(RequestError):
    """The network cannot be captured as one static graph."""


class Untraceable(CaptureError):
    """The network's own code computes with values, or takes something else than one tensor."""


class PartnerLost(RequestError):
    """Another process of a run has ended, or does not answer."""


class NonFiniteError(RequestError):
    """NaN or infinity in weights or activations."""


class UnsupportedByTarget(RequestError):
    """A layer that the chosen runtime cannot hold, or not bit for bit."""

    def __init__(
        self, layer: str, op: str, target: str, *, reason: str, try_instead: str, node: str = ""
    ) -> None:
        """Say which layer cannot be held.

        Args:
            layer: As the user's module names it.
            op: What it does, in the user's words.
            target: Name of the runtime.
            reason: What cannot be held; no sentence of its own.
            try_instead: What to do; a sentence without its full stop.
            node: The value in the graph, where it is about what computes it; a layer that stays in
                float may be held then.
        """
        self.layer, self.op, self.target = layer, op, target
        self.reason, self.try_instead, self.node = reason, try_instead, node
        super().__init__(f"{target} cannot hold layer '{layer}' ({op}): {reason}. {try_instead}.")


class UnsupportedLayers(UnsupportedByTarget):
    """Several layers that the chosen runtime cannot hold, all in one message.

    Attributes:
        refusals: One for each.
    """

    def __init__(self, refusals: tuple[UnsupportedByTarget, ...], message: str) -> None:
        first = refusals[0]
        super().__init__(
            first.layer,
            first.op,
            first.target,
            reason=first.reason,
            try_instead=first.try_instead,
            node=first.node,
        )
        self.refusals, self.args = refusals, (message,)


class SpecError(IntaglioError):
    """A quantization spec that makes no sense."""


class RangeError(IntaglioError):
    """A real range from which no scale can be made."""


class GraphError(IntaglioError):
    """A graph that breaks an invariant: a defect of a pass, not of the user."""


class MismatchError(IntaglioError):
    """A written file and its twin disagree: a defect of ours; the file is not handed out."""
