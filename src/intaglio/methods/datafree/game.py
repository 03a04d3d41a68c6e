"""The loop: a generator makes images for a quantized network that learns from the float one.

No image and no label is opened. What is good is judged without data as well: by how far the
student's outputs are from the teacher's on images that neither learns from (held_out.py). A game
that goes astray goes back to the last state that was no worse than the start, and on with a tenth
of all rates; the second time it ends there. A student that ends worse than it started is given up
for the start, and that is told.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from intaglio.host.progress import Progress, chart, say
from intaglio.methods.datafree.generator import Form, Generator
from intaglio.methods.datafree.held_out import held_out
from intaglio.methods.datafree.losses import Losses
from intaglio.methods.datafree.options import Rules
from intaglio.methods.datafree.pixels import Pixels, pixels_of
from intaglio.methods.datafree.saving import fingerprint, restore, saver_of
from intaglio.methods.datafree.state import Game, Players, begun
from intaglio.methods.datafree.tapped import Teacher, features_of
from intaglio.methods.datafree.turn import Turned, turn_once
from intaglio.methods.learn.events import Event
from intaglio.methods.learn.loss_record import LossRecord
from intaglio.methods.learn.parts import Tensors, copied
from intaglio.methods.learn.saver import Saver
from intaglio.methods.learn.schedule import measured_after
from intaglio.methods.steps.state import Context, Quantized
from intaglio.run.fake import Deployment, FakeNetwork, trainable

LOWERED = 0.1
"""What is left of all rates when a game went back."""
TOLERANCE = 1e-6
"""Relative: a discrepancy that is larger by less is the same."""
ROUNDED_TOLERANCE = 0.02
"""The same of outputs on their grids: with 64 images and steps as large as outputs deviate,
rounding itself moves the mean by a hundredth either way."""


@dataclass(frozen=True, eq=False)
class Played:
    """What came of a game.

    Attributes:
        state: The network after it; the very start where it was given up.
        events: What was noticed and done, in order; steps count turns.
        steps: Of the student.
        start, end: Discrepancy on the images that only measured, before and after.
        kept_start: Whether the student was given up for the start.
        seconds: That it took; of a game that went on, all its parts.
    """

    state: Quantized
    events: tuple[Event, ...]
    steps: int
    start: float
    end: float
    kept_start: bool
    seconds: float


@dataclass(frozen=True, eq=False)
class Match:
    """What is played, before the players are made.

    Attributes:
        name: Of the method.
        rules: By which.
        losses: Makes what the two make small, from the taps of the networks.
        classes: That the generator is told of; None: of none.
        notes: What is to be told before the first turn.
    """

    name: str
    rules: Rules
    losses: Callable[[Teacher], Losses]
    classes: int | None = None
    notes: tuple[str, ...] = ()


def play(
    state: Quantized,
    context: Context,
    match: Match,
    *,
    pixels: Pixels | None = None,
    seen: Callable[[Game], None] = lambda game: None,
) -> Played:
    """Return a quantized network after a game against, or with, a generator.

    Args:
        state: Weights and grids to start from; the ranges of values stay as they are, or are
            learned from made-up images alone.
        context: Its images are not looked at.
        match: What is played.
        pixels: What the network takes; None: as far as it tells itself.
        seen: Called with the game behind each turn.

    Raises:
        RequestError: If the network takes no images, or the game to go on with is another one.
        OutputError: If a checkpoint cannot be written.
    """
    rules, game = match.rules, made(state, context, match, pixels)
    players = game.players
    start = copied(players.student.state_dict())
    about = {"method": match.name, "the network's numbers": fingerprint(start)}
    saver = saver_of(context.place, about, rules.train.save_seconds)
    if context.resume and context.place is not None:
        restore(game, context.place, about)
    else:
        for note in match.notes:
            game.tell(note)
        if rules.minutes is not None:
            _settle_steps(game, rules.minutes)
    saver.look(game, is_due=True)
    _go_through(game, saver, context.progress, seen)
    end, kept_start = _end(game, start)
    seconds = game.seconds + saver.seconds()
    after = state if kept_start else _read_out(state, players.student)
    return Played(after, game.told(), game.steps, game.start, end, kept_start, seconds)


def student_of(state: Quantized, context: Context, ranges: str) -> FakeNetwork:
    """Return the network that learns: batch norms folded, measuring mode, grids as calibrated.

    Its outputs are looked at in front of their own grids. At four bits the step of ten logits is
    as large as what tells classes apart: a loss behind it would follow nothing but its roundings.
    """
    deployment = Deployment(state.plan, state.encodings, context.target)
    norms = state.prepared.current_norms()
    student = trainable(state.graph, norms, deployment, method=ranges)
    student.freeze_norms()
    student.train(False)
    student.rounds_outputs = False
    return student.to(context.device)


def made(state: Quantized, context: Context, match: Match, pixels: Pixels | None = None) -> Game:
    """Return a game before its first turn; arguments and errors as of `play`."""
    rules, device, graph = match.rules, context.device, state.reference
    known = pixels or pixels_of(state, rules.train.seed)
    teacher = Teacher(graph, features_of(graph), set(state.statistics), device)
    form = Form(rules.latent, rules.width, match.classes, rules.norm_eps)
    generator = Generator(form, known, rules.train.seed).to(device)
    student = student_of(state, context, rules.ranges)
    return begun(rules, Players(student, generator, teacher, match.losses(teacher)), device)


def _read_out(state: Quantized, student: FakeNetwork) -> Quantized:
    graph, encodings = student.to("cpu").read_out()
    return replace(state.with_graph(graph), encodings=encodings)


def _settle_steps(game: Game, minutes: float) -> None:
    """Settle how many steps of the student fit; what is tried for that is undone."""
    order, first = game.order, game.tensors()
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for turn in [0, *range(order.warmup, order.warmup + 2 * order.turns)]:
        game.turn, began = turn, time.perf_counter()
        turn_once(game)
        seconds[turn < order.warmup].append(time.perf_counter() - began)
    each = sum(seconds[False][order.turns :]) / order.turns
    warming = order.warmup * (seconds[True] or [0.0])[0]
    turns = max(0.0, 60.0 * minutes - warming) / each
    fitting = int(turns * order.student_steps / order.turns)
    game.restore(first)
    game.turn, game.steps, game.record = 0, 0, LossRecord()
    game.watch.after_rollback()
    game.goal = max(1, min(game.rules.steps, fitting))
    game.total = order.total(game.goal)
    game.tell(f"steps of the student that fit into {minutes:g} minutes: {game.goal}")


def _go_through(
    game: Game, saver: Saver[Game], progress: Progress, seen: Callable[[Game], None]
) -> None:
    """Play the turns that are left."""
    batch, order = game.rules.train.batch, game.order
    due = measured_after(game.total - order.warmup, max(1, game.rules.train.evaluations))
    measured = {order.warmup + turn for turn in due}
    progress.begin("train without images", game.total * batch)
    began, first = time.monotonic(), game.turn
    try:
        if game.turn:
            progress.advance(game.turn * batch)
        while game.turn < game.total and not game.stopped:
            if game.held is None and game.turn >= order.warmup:
                _begin_measuring(game)
            turned = turn_once(game)
            reason = turned.reason
            if reason is None and game.turn in measured:
                reason = _measure(game)
            if reason is not None:
                _go_back(game, reason)
            saver.look(game, is_due=game.stopped or game.turn == game.total)
            left = (time.monotonic() - began) / (game.turn - first) * (game.total - game.turn)
            _show(game, turned, progress, left)
            progress.advance(batch)
            seen(game)
    finally:
        progress.end()


def _begin_measuring(game: Game) -> None:
    """Make the images that only measure, and measure the start."""
    rules, players = game.rules, game.players
    seed = rules.train.seed
    game.held = held_out(players.teacher, players.generator, rules.held_out, seed)
    game.start = game.held.discrepancy(players.student)
    game.start_rounded = game.held.discrepancy(players.student, rounded=True)
    game.record = LossRecord()  # the generator's loss is another one from here on
    game.keep_good()


def _measure(game: Game) -> str | None:
    """Measure the student, keep it where it is no worse than the start; return why to go back."""
    assert game.held is not None, "the student has moved"
    figure = game.held.discrepancy(game.players.student)
    game.figures.append((game.turn, figure))
    reason = game.watch.examine(game.steps, game.players.student)
    if reason is None and math.isnan(figure):
        reason = f"an output of turn {game.turn} is NaN"
    if reason is None and not is_worse(figure, game.start):
        game.keep_good()
    return reason


def _go_back(game: Game, reason: str) -> None:
    """Return to the last good state with a lower rate; the second time, stop there."""
    game.go_back()
    if game.factor < 1.0:
        game.stopped = True
        game.tell(f"{reason}: back to the state after turn {game.good_turn}, where it ends")
        return
    game.factor = LOWERED
    game.record = LossRecord()
    game.watch.after_rollback()
    game.tell(
        f"{reason}: back to the state after turn {game.good_turn}, and on with a tenth of the rates"
    )


def _end(game: Game, start: Tensors) -> tuple[float, bool]:
    """Return the last discrepancy, and whether the start is kept: it is where the end is worse."""
    if game.held is None:  # it went astray twice before the student moved
        game.tell("the student never moved: the start is kept")
        return math.nan, True
    student = game.players.student
    end, rounded = (game.held.discrepancy(student, rounded=on_grid) for on_grid in (False, True))
    if is_worse(end, game.start):
        what, now, before = "", end, game.start
    elif is_worse(rounded, game.start_rounded * (1.0 + ROUNDED_TOLERANCE)):
        what, now, before = " of outputs on their grids", rounded, game.start_rounded
    else:
        return end, False
    game.tell(
        f"the discrepancy{what} on images that only measure is {now:.4g}, {before:.4g} before: the"
        " start is kept"
    )
    student.load_state_dict(start)
    return end, True


def is_worse(figure: float, start: float) -> bool:
    """Return whether a discrepancy is larger than that of the start; NaN is."""
    return not figure <= start * (1.0 + TOLERANCE)


def _show(game: Game, turned: Turned, progress: Progress, left: float) -> None:
    """Tell losses, each by itself, and what time is left."""
    curves: dict[str, float | None] = {
        "student loss": turned.student,
        "generator loss": turned.generator,
        "rate": turned.rate,
    }
    if game.figures and game.figures[-1][0] == game.turn:
        curves["held-out discrepancy"] = game.figures[-1][1]
    values: Mapping[str, float] = {k: v for k, v in curves.items() if v is not None}
    words = [f"{name} {value:.4g}" for name, value in values.items()]
    say(progress, ", ".join([*words, f"{left:.0f} s left"]))
    chart(progress, game.turn, values)
