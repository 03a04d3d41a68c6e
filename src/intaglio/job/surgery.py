"""Surgery on a trained network: rewritten, change by change, so that it quantizes well by itself.

What keeps the network's function comes first, then what changes it; each change of the second kind
is measured as it is, and after a short fine-tuning in which the network that was given teaches. A
change stays where the plain integers of the network (no step that makes up for anything) lose less
with it than without; else it is undone. Fine-tuning alone has a row of its own, before them all, so
that its gains are not taken for theirs.

Source of the changes: Kulkarni et al. 2021 and Sheng et al. 2018 (arXiv:1803.08607), for networks
that are trained from scratch; Nagel et al. 2019 (arXiv:1906.04721) for those that keep functions.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from intaglio.data.batches import Data
from intaglio.data.held import HeldImages, Share, hold_images, judged_within
from intaglio.data.tensor_samples import TensorSamples
from intaglio.errors import RequestError, UnknownName
from intaglio.ir.graph import Graph
from intaglio.job.compress import named, source_of
from intaglio.job.maps import are_of_pixels, first_labels, with_maps
from intaglio.job.operated import Operated, SurgeryResult, told_of
from intaglio.job.operation import Bench, Measured, Operation, kept_or_not, nodes_changed
from intaglio.job.outcome import task_of
from intaglio.job.quantize import chosen_task, context_of, prepare_float
from intaglio.job.recorder import Recorder
from intaglio.methods import make_step
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.learn.processes import Processes
from intaglio.methods.steps.state import Context, Prepared
from intaglio.methods.structure.drop_squeeze_excite import gate_of
from intaglio.methods.train.ground import Ground
from intaglio.methods.train.qat import train_float
from intaglio.passes.channels import averages
from intaglio.read.reader import Source
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import find_recipe
from intaglio.recipe.settings import Settings, settle
from intaglio.tasks.task import output_shapes

NOTHING, FINE_TUNE, EQUALIZE = "nothing", "fine-tune", "equalize"
EXACT = ("fold-dead-channels", EQUALIZE)
ALTERING = ("replace-silu", "drop-squeeze-excite", "replace-hard-swish", "replace-relu6")
FORMS = {"qf": "quantization-friendly: one scale for a whole weight is enough"}
"""What a network can be made to, by name."""
JUDGED = 0.2
"""Share of the images, at least, on which nothing is tuned."""
JUDGED_BYTES = 4 * 10**8
TUNING = 1000
SCHEME = "w8a8-per-tensor"
"""In which unequal channels cost most: what they are made equal for."""
SHORT = TrainOptions(
    epochs=2.0,
    batch=32,
    optimizer="adamw",
    lr=1e-4,
    weight_decay=0.0,
    distill=1.0,
    freeze=0.0,
    flip=True,
    held_out=50,
    evaluations=2,
)
"""Norms keep their statistics: they are folded, and stay so."""


@dataclass(frozen=True)
class SurgeryWish:
    """A surgery as it was asked for, everything settled.

    Attributes:
        to: What the network is made to, a name of FORMS.
        settings: Of the integers by which changes are judged.
        options: How it is fine-tuned.
        choices: What else was chosen, with progress and provenance.
    """

    to: str
    settings: Settings
    options: TrainOptions
    choices: Options


def wished_surgery(
    to: str, options: TrainOptions | None, choices: Options | None, target: str | None = None
) -> SurgeryWish:
    """Return what holds; None is: not said.

    Raises:
        UnknownName: If a name does not exist.
    """
    if to not in FORMS:
        raise UnknownName(f"unknown form '{to}': known: {', '.join(FORMS)}")
    said = choices or Options()
    settings = settle(find_recipe("plain"), target, replace(said, scheme=said.scheme or SCHEME))
    over = {} if options is None else options.model_dump(exclude_unset=True)
    learning = SHORT.model_copy(update={"seed": settings.seed, **over})
    return SurgeryWish(to, settings, learning, said)


def surgery(
    model: nn.Module | str | os.PathLike[str] | Source,
    *,
    data: Data,
    to: str = "qf",
    evaluate: Any = None,
    options: TrainOptions | None = None,
    choices: Options | None = None,
) -> SurgeryResult:
    """Return a trained network after surgery, with the price list of what was tried.

    Args:
        model: As `compress` takes it; what a module takes is shown by the data, a tensor then.
        data: Images as the model wants them, as `compress` takes them; labels are used to judge.
            Fine-tuning learns from the network that was given.
        to: A name of FORMS.
        evaluate: As `compress` takes it; read once, at the end; it decides nothing.
        options: Of fine-tuning; what is not set is as in SHORT.
        choices: What else `compress` may be told (scheme, seed, keep_float, task, progress, ...).

    Raises:
        RequestError: If something asked for is wrong, or the network has none of the parts that
            surgery changes; its kinds say what (intaglio.errors).
        MismatchError: If file and twin disagree: a defect of ours, nothing is handed out.
    """
    wish = wished_surgery(to, options, choices)
    example = data[:1] if isinstance(model, nn.Module) and isinstance(data, Tensor) else None
    source = source_of(model, example, wish.settings.seed)
    recorder = Recorder(wish.choices.progress)
    graph = recorder.step("capture", source.capture)
    is_masked = are_of_pixels(first_labels(evaluate), graph)
    source, graph = with_maps(source, graph, task=wish.settings.task, is_masked=is_masked)
    wish = replace(wish, choices=named(wish.choices, source))
    return operate(graph, source, wish, data=data, evaluate=evaluate, recorder=recorder)


def operate(
    captured: Graph,
    source: Source,
    wish: SurgeryWish,
    *,
    data: Data,
    evaluate: Any,
    recorder: Recorder,
) -> SurgeryResult:
    """Return a captured network after surgery; arguments as of `surgery`."""
    state = prepare_float(captured)
    _refuse_without_parts(state.graph, wish)
    task, is_told = task_of(captured, evaluate, wish.settings)
    if is_told:
        wish = replace(wish, settings=replace(wish.settings, task=task.name))
    held = recorder.step("hold images", lambda: _held(captured, data, wish))
    table = Table(captured, held, wish, recorder)
    rows = tuple(table.operations(state))
    operated = Operated(captured, source, rows, held, recorder)
    return told_of(operated, wish.settings, wish.choices, to=wish.to, evaluate=evaluate)


def _held(captured: Graph, data: Data, wish: SurgeryWish) -> HeldImages:
    shape = captured[captured.inputs[0]].shape[1:]
    numbers = sum(len(one) for one in output_shapes(captured))
    judging = judged_within(shape, numbers, JUDGED_BYTES)
    held = hold_images(data, shape, Share(TUNING, JUDGED, judging), seed=wish.settings.seed)
    if not len(held.judged):
        raise RequestError(
            f"{len(held.tuning)} images are too few: some have to judge what was tuned on others;"
            " give ten at least, better some hundred"
        )
    return held


def _refuse_without_parts(graph: Graph, wish: SurgeryWish) -> None:
    """Raise RequestError where there is nothing that surgery is for."""
    for node in graph:
        is_depthwise = (
            node.op == "conv2d" and node.attrs["groups"] > 1 and not averages(graph, node)
        )
        is_gated = node.op == "mul" and gate_of(graph, node) is not None
        is_clamped = node.attrs.get("activation") == (0.0, 6.0)
        if is_depthwise or is_gated or is_clamped or node.op in ("silu", "hard_swish"):
            return
    raise RequestError(
        f"surgery to '{wish.to}' finds nothing to change: {wish.choices.provenance.model} has no"
        " depthwise convolution, squeeze-excite, ReLU6, hard-swish or SiLU; nothing was written"
    )


class Table:
    """The price list as it grows."""

    def __init__(
        self, captured: Graph, held: HeldImages, wish: SurgeryWish, recorder: Recorder
    ) -> None:
        """Run the network that was given on the images that judge."""
        self._wish, self._recorder, self._held = wish, recorder, held
        self._bench = Bench(captured, held, wish.settings)
        self._teacher = prepare_float(captured).graph
        self._equalizes = False

    def operations(self, state: Prepared) -> Iterator[Operation]:
        """Yield a row for each change, in order."""
        current = self._bench.measured(state, self._recorder, "the network as it is")
        yield Operation(NOTHING, True, 0, current, None)
        for name in EXACT:
            row = self._exact(name, current)
            if row is None:
                continue
            yield row
            if row.kept:
                current, self._equalizes = row.found, self._equalizes or name == EQUALIZE
        for name in (FINE_TUNE, *ALTERING):
            row = self._altering(name, current)
            if row is None:
                continue
            yield row
            current = row.found if row.kept else current

    def _exact(self, name: str, current: Measured) -> Operation | None:
        """Return the row of a change that keeps the function; None where it changes nothing."""
        state = self._stepped(name, current.state)
        nodes = nodes_changed(current.state.graph, state.graph)
        if not nodes:
            return None
        found = self._bench.measured(state, self._recorder, name)
        return kept_or_not(Operation(name, True, nodes, found, current))

    def _altering(self, name: str, current: Measured) -> Operation | None:
        """Return the row of a change of the function; None where there is nothing to change."""
        state, untrained, nodes = current.state, None, 0
        if name != FINE_TUNE:
            state = self._stepped(name, current.state)
            nodes = nodes_changed(current.state.graph, state.graph)
            if not nodes:
                return None
            state = self._equalized(state)
            untrained = self._bench.measured(state, self._recorder, name)
        trained = self._tuned(state, name)
        found = self._bench.measured(
            self._equalized(trained.state), self._recorder, f"{name}, fine-tuned"
        )
        learned = trained.learned
        return kept_or_not(
            Operation(
                name,
                False,
                nodes,
                found,
                current,
                untrained=untrained,
                steps=learned.steps,
                seconds=learned.seconds,
                events=tuple(f"step {event.step}: {event.what}" for event in learned.events),
            )
        )

    def _equalized(self, state: Prepared) -> Prepared:
        """Return the state equalized, if that was found to pay: it may reach further by now."""
        return self._stepped(EQUALIZE, state) if self._equalizes else state

    def _stepped(self, name: str, state: Prepared) -> Prepared:
        step: Any = make_step({"name": name})
        made: Prepared = self._recorder.step(
            name, lambda: step(state, self._context(state)), changed=lambda made: None
        )
        return made

    def _context(self, state: Prepared) -> Context:
        device = self._wish.choices.device
        return context_of(
            state, self._wish.settings, self._held.tuning, self._recorder, device=device
        )

    def _tuned(self, state: Prepared, name: str) -> Any:
        """Return the network after fine-tuning, taught by the one that was given."""
        images, wish = self._held.tuning, self._wish
        samples = TensorSamples(images, None, tuple(images.shape[1:]))
        ground = Ground(
            samples,
            chosen_task(state.graph, wish.settings),
            self._teacher,
            processes=Processes(device=wish.choices.device),
            progress=wish.choices.progress,
        )
        return self._recorder.step(
            f"fine-tune {name}" if name != FINE_TUNE else name,
            lambda: train_float(state, ground, wish.options),
            changed=lambda made: {"steps": made.learned.steps},
        )
