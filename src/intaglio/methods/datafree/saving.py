"""A game as a checkpoint, and back: the file is that of all training (learn/checkpoint.py)."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from intaglio.errors import RequestError
from intaglio.methods.datafree.held_out import asked
from intaglio.methods.datafree.state import Game
from intaglio.methods.learn.checkpoint import NOW, Checkpoint, Facts, load, refuse_other
from intaglio.methods.learn.events import Event
from intaglio.methods.learn.loss_record import LossRecord
from intaglio.methods.learn.parts import Tensors, joined, under
from intaglio.methods.learn.saver import Saver

GOOD, HELD = "good", "held"
PLAIN = ("goal", "steps", "good_turn", "start", "start_rounded", "factor", "stopped")
"""What of a game is a plain value."""


def fingerprint(tensors: Tensors) -> str:
    """Return what tells the numbers that a game starts from apart from others of the same shapes.

    A network at other bits has the same tensors: its game would go on and end in neither of both.
    """
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        row = tensors[name].detach().cpu().contiguous().reshape(-1)
        found.update(row.view(torch.uint8).numpy().data)
    return found.hexdigest()[:16]


def facts_of(game: Game, about: dict[str, str]) -> Facts:
    """Return what a game was started with, none of its turns played."""
    return Facts(about=about, options=game.rules.plain(), images=0, total=0, step=0, state={})


def saver_of(place: Path | None, about: dict[str, str], every_seconds: float) -> Saver[Game]:
    """Return what saves a game now and then; arguments as of `Saver` and `checkpoint_of`."""
    return Saver(place, every_seconds, lambda now, seconds: checkpoint_of(now, about, seconds))


def checkpoint_of(game: Game, about: dict[str, str], seconds: float) -> Checkpoint:
    """Return a game as a checkpoint.

    Args:
        about: What it is, in words.
        seconds: That it took in this process.
    """
    state: dict[str, Any] = {name: getattr(game, name) for name in PLAIN}
    state |= {
        "figures": [list(figure) for figure in game.figures],
        "events": [asdict(event) for event in game.events],
        "watch": game.watch.facts(),
        "record": asdict(game.record),
        "optimizer": game.optimizer.facts(),
        "seconds": game.seconds + seconds,
    }
    parts = {NOW: game.tensors(), GOOD: game.good}
    if game.held is not None:
        parts[HELD] = {"images": game.held.images}
    facts = facts_of(game, about).model_copy(
        update={"total": game.total, "step": game.turn, "state": state}
    )
    return Checkpoint(facts, joined(parts))


def restore(game: Game, place: Path, about: dict[str, str]) -> None:
    """Let a game that has just begun go on where one was saved in a folder.

    Raises:
        RequestError: If there is none, it is damaged, or it is of another game; says what differs.
    """
    stored = load(place)
    refuse_other(stored, facts_of(game, about), game.players.student.state_dict())
    facts, state = stored.facts, stored.facts.state
    try:
        game.restore(under(stored.tensors, NOW))
        for name in PLAIN:
            setattr(game, name, state[name])
        game.total, game.turn, game.seconds = facts.total, facts.step, float(state["seconds"])
        game.good = under(stored.tensors, GOOD)
        game.figures = [(int(turn), float(figure)) for turn, figure in state["figures"]]
        game.events = [Event(**event) for event in state["events"]]
        game.watch.restore(state["watch"])
        game.record = LossRecord(**state["record"])
        game.optimizer.restore_facts(state["optimizer"])
        held = under(stored.tensors, HELD)
        if held:
            device = game.players.generator.mean.device
            game.held = asked(game.players.teacher, held["images"].to(device))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise RequestError(
            f"{place}: the state of the training does not fit this version of intaglio ({error}):"
            " start it anew, without --resume"
        ) from error
