"""One turn of a game: the generator moves, or the student, or one after the other.

What a network computes in a turn that is not its own keeps nothing for a way back that nobody
takes: the student learns from images that the generator and the teacher made without gradients, in
one pass of each; and when the generator moves, gradients pass through both networks to the images
and end in no parameter of theirs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.methods.datafree.generator import Drawn
from intaglio.methods.datafree.held_out import GAME, drawing
from intaglio.methods.datafree.inundation import before, inundate
from intaglio.methods.datafree.losses import View
from intaglio.methods.datafree.state import Game, held_still
from intaglio.methods.datafree.tapped import Seen
from intaglio.methods.learn.schedule import rate_at
from intaglio.run.fake.grids import SETTLE_EVERY

LEAST_SPREAD = 1e-3
"""Deviation from image to image, as a share of what is usual, below which all are the same one."""
CLIP = 10.0
"""Largest norm of the generator's gradient."""


@dataclass(frozen=True)
class Turned:
    """What a turn came to.

    Attributes:
        student, generator: Losses; None of who did not move.
        rate: Of the student's weights; None where it did not move.
        reason: Why the game has to go back, in words without a full stop; None: it has not.
    """

    student: float | None = None
    generator: float | None = None
    rate: float | None = None
    reason: str | None = None


def turn_once(game: Game) -> Turned:
    """Play one turn and count it; return what came of it."""
    rules, move = game.rules, game.order.move(game.turn)
    drawn = game.players.generator.draw(
        rules.train.batch,
        drawing(rules.train.seed, game.turn, GAME),
        superposed=rules.superposed,
    ).to(str(game.players.generator.mean.device))
    made: tuple[Tensor, Seen] | None = None
    generator_loss, reason = None, None
    if move.generator:
        generator_loss, reason, made = _generator_turn(game, drawn)
    if not move.student or reason is not None:
        game.turn += 1
        return Turned(None, generator_loss, None, reason)
    images, seen = made or _made(game, drawn)
    loss, rate, reason = _student_turn(game, View(images, drawn.labels, seen, None))
    game.turn += 1
    return Turned(loss, generator_loss, rate, reason)


def _made(game: Game, drawn: Drawn) -> tuple[Tensor, Seen]:
    """Return images and what the teacher makes of them; nothing is kept for a way back."""
    with torch.no_grad():
        images = game.players.generator(drawn.latent, drawn.labels)
        return images, game.players.teacher(images)


def _generator_turn(game: Game, drawn: Drawn) -> tuple[float, str | None, tuple[Tensor, Seen]]:
    """Move the generator; return its loss, why to go back, and what was made, detached."""
    players, losses = game.players, game.players.losses
    for group in game.adam.param_groups:
        group["lr"] = game.rules.generator_rate * game.factor
    with held_still(players.student):
        images = players.generator(drawn.latent, drawn.labels)
        seen = players.teacher(images, norms=losses.wants_norms)
        faces = losses.faces_student and game.turn >= game.rules.warmup
        shown = players.shown_to_student(images) if faces else None
        loss = losses.of_generator(View(images, drawn.labels, seen, shown))
        game.adam.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
    made = (
        images.detach(),
        Seen([x.detach() for x in seen.outputs], [x.detach() for x in seen.features]),
    )
    value = float(loss.detach())
    reason = _unlearnable(game, value, made)
    if reason is None:
        game.adam.step()
    return value, reason, made


def _unlearnable(game: Game, value: float, made: tuple[Tensor, Seen]) -> str | None:
    """Return what is wrong with a generator's loss, gradient or images; None: nothing is."""
    turn = game.turn + 1
    if not math.isfinite(value):
        return f"the generator's loss of turn {turn} is {value}"
    parameters = list(game.players.generator.parameters())
    norm = torch.nn.utils.clip_grad_norm_(parameters, CLIP)
    if not bool(norm.isfinite()):
        return f"a gradient of the generator is NaN or infinite in turn {turn}"
    if game.record.add(abs(value)):
        return f"the generator's loss exploded to {value:.4g}"
    return collapsed(*made, std=game.players.generator.std)


def collapsed(images: Tensor, seen: Seen, *, std: Tensor) -> str | None:
    """Return how a generator has collapsed: all its images, or all their outputs, are the same.

    Args:
        images: [N, C, H, W].
        seen: What the teacher makes of them.
        std: Deviation of usual images, [1, C, 1, 1].
    """
    spread = (images.std(0) / std.squeeze(0)).mean()
    outputs = torch.stack([x.std(0).mean() / (x.abs().mean() + 1e-12) for x in seen.outputs])
    if float(spread) < LEAST_SPREAD:
        return f"the generator collapsed: its images differ by {float(spread):.2g} of a deviation"
    if float(outputs.max()) < LEAST_SPREAD:
        share = float(outputs.max())
        return f"the generator collapsed: the teacher's outputs differ by {share:.2g} of their size"
    return None


def _student_turn(game: Game, view: View) -> tuple[float, float, str | None]:
    """Move the student; return its loss, its rate, and why to go back."""
    rules, student = game.rules, game.players.student
    grids = student.value_grids if rules.ranges != "fixed" else None
    if grids is not None and not game.steps % SETTLE_EVERY:
        grids.settle()
    share = rate_at(game.steps, game.goal, rules.train) * game.factor
    rate = game.optimizer.set_rate(share)
    shown = game.players.shown_to_student(view.images)
    loss = game.players.losses.of_student(View(view.images, view.labels, view.teacher, shown))
    game.optimizer.backward(loss)
    was = before(student.weights_on_grids()) if rules.inundation else None
    is_finite = game.optimizer.step()
    if was is not None and is_finite:
        inundate(student.weights_on_grids(), was, rules.inundation)
    game.steps += 1
    value = float(loss.detach())
    reason = game.watch.after_step(game.steps, value, student)
    if reason is None and not is_finite:
        reason = f"a gradient of step {game.steps} is NaN or infinite"
    return value, rate, reason
