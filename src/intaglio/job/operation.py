"""One change of a surgery: what it did, what it costs and gains, and whether it stays."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch

from intaglio.data.held import HeldImages
from intaglio.ir.graph import Graph, Node
from intaglio.job.quantize import judge_of, prepare_network, quantize_network
from intaglio.job.recorder import Recorder
from intaglio.methods.steps.state import Prepared
from intaglio.methods.structure.depthwise_ranges import depthwise_ranges
from intaglio.recipe.settings import Settings
from intaglio.run.float import run_float
from intaglio.run.twin import Twin, build_twin
from intaglio.tasks import Judge, Judgement
from intaglio.tasks.evaluate import Network


@dataclass(frozen=True, eq=False)
class Measured:
    """A float network and the integers that it becomes, both beside the network that was given.

    Attributes:
        state: The float network.
        twin: The integers, without any step that makes up for anything.
        judged_float, judged: Judgements of both, on images that nothing is tuned on.
        worst_depthwise: Largest channel over the median one, of the depthwise weight for which that
            is most; None where there is none.
    """

    state: Prepared
    twin: Twin
    judged_float: Judgement
    judged: Judgement
    worst_depthwise: float | None

    @property
    def real(self) -> Network:
        """What computes the float network."""
        return lambda images: run_float(self.state.graph, images)


@dataclass(frozen=True, eq=False)
class Operation:
    """A row of the price list.

    Attributes:
        change: What was done: a step's name, or FINE_TUNE.
        exact: Whether the change keeps the float network's function.
        nodes: How many are others, or gone.
        found: What came of it, after fine-tuning where there was some.
        untrained: What came of it before fine-tuning; None where there was none.
        before: What it was made from.
        kept: Whether it stays.
        why: In words.
        steps: Of fine-tuning.
        seconds: Of fine-tuning.
        events: What fine-tuning told.
    """

    change: str
    exact: bool
    nodes: int
    found: Measured
    before: Measured | None
    untrained: Measured | None = None
    kept: bool = True
    why: str = ""
    steps: int = 0
    seconds: float = 0.0
    events: tuple[str, ...] = field(default=())


class Bench:
    """Where networks are measured: images, and the network that was given."""

    def __init__(self, given: Graph, held: HeldImages, settings: Settings) -> None:
        """Run the given network on the images that judge.

        Args:
            given: As it was captured.
            settings: Of the integers: their recipe has no steps.
        """
        self.held, self.settings = held, settings
        self.judge: Judge = judge_of(given, settings, held.judged, held.labels)

    def measured(self, state: Prepared, recorder: Recorder, what: str) -> Measured:
        """Return a float network and its integers, judged."""
        return recorder.step(
            f"measure {what}", lambda: self._measured(state), changed=lambda made: None
        )

    def _measured(self, state: Prepared) -> Measured:
        prepared, settings = prepare_network(state.graph, self.settings, Recorder())
        images = self.held.tuning[: settings.tuning_images]
        made = quantize_network(prepared, settings, images, Recorder(), device="cpu").state
        twin = build_twin(made.graph, made.encodings, settings.target)
        ranges = depthwise_ranges(state.graph)
        return Measured(
            state,
            twin,
            self.judge.of(lambda images: run_float(state.graph, images)),
            self.judge.of(twin),
            max(ranges.values(), default=None),
        )


def kept_or_not(operation: Operation) -> Operation:
    """Return the row with its verdict: a change stays where its integers lose less than before."""
    before, found = operation.before, operation.found
    assert before is not None, "the first row is no change"
    kept = found.judged.is_better_than(before.judged)
    why = f"{_said(found.judged)}, {_said(before.judged)} without it"
    return replace(operation, kept=kept, why=f"{'kept' if kept else 'undone'}: {why}")


def _said(judgement: Judgement) -> str:
    agreed = "" if judgement.percent is None else f"{judgement.percent:.1f} % agreement, "
    return f"{agreed}{judgement.sqnr_db:.1f} dB on {judgement.n} images"


def nodes_changed(before: Graph, after: Graph) -> int:
    """Return how many nodes of a graph are others in the second, or gone."""
    return sum(node.name not in after.nodes or _differs(before, after, node) for node in before)


def _differs(before: Graph, after: Graph, node: Node) -> bool:
    other = after[node.name]
    if (node.op, node.attrs) != (other.op, other.attrs):
        return True
    old, new = before.params_of(node), after.params_of(other)
    return old.keys() != new.keys() or any(not torch.equal(old[role], new[role]) for role in old)
