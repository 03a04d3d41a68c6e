"""A game: who learns from whom, what never happens, and what is done when it goes astray."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest
import torch

from intaglio.data.guard import forbid_images
from intaglio.errors import RequestError
from intaglio.methods.datafree.game import play
from intaglio.methods.datafree.held_out import GAME, drawing, held_out
from intaglio.methods.datafree.losses import View
from intaglio.methods.datafree.state import held_still
from intaglio.methods.datafree.tapped import Seen
from intaglio.methods.datafree.turn import collapsed, turn_once
from intaglio.methods.learn.parts import copied
from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT
from methods.datafree.small import (
    Stop,
    StopsAfter,
    cached_state,
    context,
    digest,
    game_of,
    gdfq,
    numbers_of,
    saved_in,
    zaq,
)

STEPS = {"zaq": zaq, "gdfq": gdfq}
METHODS = pytest.mark.parametrize("name", STEPS)


@functools.cache
def whole(name):
    """Return a game that nobody disturbed."""
    return STEPS[name](save_seconds=1e-9).played(cached_state("w8a8"), context())


def seen_by_both(game):
    """Return one batch as both networks see it, and what it was made of."""
    players = game.players
    drawn = players.generator.draw(8, drawing(0, 99, GAME))
    images = players.generator(drawn.latent, drawn.labels)
    shown = players.shown_to_student(images)
    return View(images, drawn.labels, players.teacher(images, norms=True), shown)


@METHODS
def test_a_game_needs_no_image_and_opens_none(name):
    with forbid_images():
        played = STEPS[name]().played(cached_state("w4a4"), context())

    assert played.steps == 6
    assert played.end == played.end


@METHODS
def test_the_integers_are_those_of_the_student_that_was_measured(name):
    played = whole(name)
    images = torch.randn(4, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    student = game_of(STEPS[name](), played.state).players.student
    student.rounds_outputs = True

    twin = build_twin(played.state.graph, played.state.encodings, LITERT)

    grid = played.state.encodings.activations[played.state.graph.outputs[0]]
    assert not played.kept_start
    with torch.no_grad():
        away = (twin.outputs(images)[0] - student(images)[0]).abs().max()
    assert away <= float(grid.scale) * 1.001  # roundings of the integer kernels


@METHODS
def test_fixed_ranges_of_values_stay_as_calibrated_and_weights_learn(name):
    start = cached_state("w8a8")

    after = STEPS[name](ranges="fixed").played(start, context()).state

    grids = start.encodings.activations
    assert all(after.encodings.activations[value].same_grid(grids[value]) for value in grids)
    pairs = zip(after.graph.params.values(), start.graph.params.values(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)


def test_learned_ranges_move_with_images_that_were_made_up_alone():
    start = cached_state("w4a4").encodings.activations

    with forbid_images():
        played = zaq(ranges="lsq", steps=12, lr=1e-3).played(cached_state("w4a4"), context())

    after = played.state.encodings.activations
    assert played.kept_start or any(not after[name].same_grid(start[name]) for name in start)


def test_every_value_has_a_range_of_its_own():
    state = cached_state("w4a4")
    grids = game_of(zaq()).players.student.value_grids
    activated = [node.name for node in state.graph if node.attrs.get("activation") is not None]

    leaders = [grids.leader[name] for name in activated]

    assert len(activated) >= 3
    assert len(set(leaders)) == len(activated)


@METHODS
@pytest.mark.parametrize("ranges", ["fixed", "lsq"])
def test_measuring_changes_not_a_byte(name, ranges):
    game = game_of(STEPS[name](ranges=ranges, warmup=0))
    for _ in range(4):
        turn_once(game)
    players = game.players
    held = held_out(players.teacher, players.generator, 8, 0)
    before = digest(game.tensors())

    first = held.discrepancy(players.student)

    assert held.discrepancy(players.student) == first
    assert digest(game.tensors()) == before


@METHODS
def test_the_student_is_never_in_the_mode_in_which_batch_norms_follow_batches(name):
    game = game_of(STEPS[name]())
    statistics = {k: v.clone() for k, v in game.players.student.state_dict().items()
                  if k.endswith((".running_mean", ".running_var"))}  # fmt: skip

    for _ in range(game.total):
        turn_once(game)
        assert not game.players.student.training
        assert bool(game.players.student.frozen)

    after = game.players.student.state_dict()
    assert statistics
    assert all(torch.equal(after[key], value) for key, value in statistics.items())


def test_at_eight_bits_the_start_is_as_near_to_the_teacher_as_rounding_lets_it_be():
    game = game_of(zaq(), cached_state("w8a8"))

    view = seen_by_both(game)

    teacher, student = view.teacher.outputs[0], view.student.outputs[0]
    away = (teacher - student).abs().mean() / teacher.abs().mean()
    assert away < 0.05  # in the other mode of batch norms it is above 1


@METHODS
def test_no_parameter_of_the_teacher_ever_holds_a_gradient(name):
    game = game_of(STEPS[name]())

    for _ in range(game.total):
        turn_once(game)

    parameters = game.players.teacher.graph.params.values()
    assert all(not value.requires_grad and value.grad is None for value in parameters)


def test_a_student_s_move_leaves_no_gradient_in_the_generator_and_the_other_way_round():
    game = game_of(zaq(warmup=0, student_steps=1))
    turn_once(game)
    assert all(p.grad is None for p in game.players.generator.parameters())
    for parameter in game.players.student.parameters():
        parameter.grad = None

    turn_once(game)

    assert any(p.grad is not None for p in game.players.generator.parameters())
    assert all(p.grad is None for p in game.players.student.parameters())
    assert any(p.requires_grad for p in game.players.student.parameters())


def test_a_student_s_step_lowers_the_discrepancy_and_a_generator_s_raises_it():
    step = zaq(alpha=1.0, beta=0.0, norm_weight=0.0, lr=1e-3, optimizer="sgd", batch=32)
    game = game_of(step, cached_state("w8a8"))
    losses, players = game.players.losses, game.players
    drawn = players.generator.draw(32, drawing(0, 7, GAME))
    with torch.no_grad():  # away from where rounding is all that is left
        for parameter in players.student.parameters():
            parameter.mul_(0.9)

    def distance(images):
        """Return what both play for, for images."""
        with torch.no_grad():
            seen = players.teacher(images)
            view = View(images, None, seen, players.shown_to_student(images))
            return float(losses.distance(view, moves_weights=False))

    with torch.no_grad():
        images = players.generator(drawn.latent)
        seen = players.teacher(images)
    start = distance(images)
    game.optimizer.set_rate(1.0)
    for _ in range(10):
        shown = players.shown_to_student(images)
        game.optimizer.backward(losses.of_student(View(images, None, seen, shown)))
        game.optimizer.step()
    assert distance(images) < start

    start = distance(images)
    for _ in range(10):
        with held_still(players.student):
            shown = players.generator(drawn.latent)
            view = View(shown, None, players.teacher(shown), players.shown_to_student(shown))
            game.adam.zero_grad()
            losses.of_generator(view).backward()
            game.adam.step()
    with torch.no_grad():
        assert distance(players.generator(drawn.latent)) > start


@METHODS
def test_losses_are_told_each_by_itself_with_the_time_that_is_left(name):
    progress = StopsAfter(10**6)

    STEPS[name]().played(cached_state("w4a4"), context(progress=progress))

    curves = {key for _, values in progress.curves for key in values}
    assert {"student loss", "generator loss", "held-out discrepancy"} <= curves
    assert all("s left" in text for text in progress.said)


@METHODS
def test_a_game_killed_behind_every_turn_ends_in_the_same_bytes(name, tmp_path):
    wanted = whole(name)
    step = STEPS[name](save_seconds=1e-9)
    total = game_of(step).total

    for attempt in range(total + 1):
        killer = StopsAfter(attempt + 1)
        given = context(progress=killer, place=tmp_path, resume=saved_in(tmp_path))
        try:
            played = step.played(cached_state("w8a8"), given)
        except Stop:
            continue
        break

    assert attempt > 3
    assert digest(numbers_of(played.state)) == digest(numbers_of(wanted.state))
    assert played.events == wanted.events
    assert (played.start, played.end) == (wanted.start, wanted.end)


def test_a_saved_game_goes_on_only_as_it_was_asked_for(tmp_path):
    zaq().played(cached_state("w4a4"), context(place=tmp_path))

    with pytest.raises(RequestError, match="student_steps was 2 and is 3"):
        zaq(student_steps=3).played(cached_state("w4a4"), context(place=tmp_path, resume=True))


def test_a_saved_game_does_not_go_on_with_the_same_network_at_other_bits(tmp_path):
    zaq().played(cached_state("w4a4"), context(place=tmp_path))

    with pytest.raises(RequestError, match="the network's numbers was"):
        zaq().played(cached_state("w8a8"), context(place=tmp_path, resume=True))


@METHODS
@pytest.mark.parametrize("times", [1e3, 1e6])
def test_a_rate_that_diverges_is_told_and_ends_no_worse_than_the_start(name, times):
    step = STEPS[name](steps=24, optimizer="sgd")
    state = cached_state("w4a4")

    played = replace(step, lr=1e-4 * times).played(state, context())

    assert played.kept_start or played.end <= played.start * 1.001
    if played.kept_start:
        assert played.state is state
        assert any("start is kept" in event.what for event in played.events)


def test_a_loss_that_is_not_finite_sends_the_game_back_and_the_second_ends_it():
    step = zaq(warmup=0)
    state = cached_state("w4a4")
    match = step.match(state, context())

    def broken(teacher):
        """Return losses of which the student's is NaN from the second step on."""
        losses = match.losses(teacher)
        honest, calls = losses.of_student, []

        def of_student(view):
            calls.append(1)
            return honest(view) * (float("nan") if len(calls) > 1 else 1.0)

        losses.of_student = of_student
        return losses

    played = play(state, context(), replace(match, losses=broken))

    told = [event.what for event in played.events]
    assert len(told) == 2
    assert "on with a tenth of the rates" in told[0]
    assert "where it ends" in told[1]
    assert all(value.isfinite().all() for value in played.state.graph.params.values())


def test_images_or_outputs_that_are_all_the_same_are_a_collapse():
    std = torch.ones(1, 3, 1, 1)
    images, outputs = torch.randn(4, 3, 5, 5), torch.randn(4, 6)
    one = images[:1].expand(4, -1, -1, -1)

    assert collapsed(images, Seen([outputs], []), std=std) is None
    assert "images differ" in collapsed(one, Seen([outputs], []), std=std)
    assert "outputs differ" in collapsed(images, Seen([outputs[:1].expand(4, -1)], []), std=std)


def test_a_generator_that_collapses_is_noticed_and_taken_back():
    step = gdfq(warmup=3)
    state = cached_state("w4a4")
    match = step.match(state, context())
    game = game_of(step)
    start = copied(game.players.generator.state_dict())
    with torch.no_grad():
        game.players.generator.embedding.zero_()  # every image is made of nothing

    turned = turn_once(game)

    assert "collapsed" in turned.reason
    game.go_back()
    assert digest(game.players.generator.state_dict()) == digest(start)
    assert match.classes == 4


def test_as_many_steps_as_fit_into_the_minutes_are_played_and_told():
    played = zaq(minutes=1e-4, steps=50).played(cached_state("w4a4"), context())

    assert 1 <= played.steps < 50
    assert f"that fit into 0.0001 minutes: {played.steps}" in played.events[0].what
