"""Bars on a terminal, seldom lines elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from intaglio.cli.progress import Bars, Lines, _bars
from intaglio.host.progress import Saying, Silent, say


def test_lines_are_written_only_when_a_step_takes_long() -> None:
    stream, now = io.StringIO(), [0.0]
    lines = Lines(stream, {}, clock=lambda: now[0])

    lines.begin("calibrate", 100)
    for _ in range(10):
        now[0] += 4.0
        lines.advance(10)
    lines.end()

    assert stream.getvalue().splitlines() == [
        "calibrate: 30 of 100 images, 28 s left",
        "calibrate: 60 of 100 images, 16 s left",
        "calibrate: 90 of 100 images, 4 s left",
    ]


def test_words_on_a_step_stand_behind_its_line_and_are_forgotten_with_it() -> None:
    stream, now = io.StringIO(), [0.0]
    lines = Lines(stream, {}, clock=lambda: now[0])

    for words in ("loss 0.5", ""):
        lines.begin("train", 100)
        now[0] += 20.0
        if words:
            say(lines, words)
        lines.advance(50)
        lines.end()

    assert stream.getvalue().splitlines() == [
        "train: 50 of 100 images, 20 s left, loss 0.5",
        "train: 50 of 100 images, 20 s left",
    ]


def test_words_on_a_step_are_left_out_where_there_is_no_room_for_them() -> None:
    silent = Silent()

    say(silent, "loss 0.5")

    assert not isinstance(silent, Saying)


def test_a_total_may_be_unknown_or_told_beforehand() -> None:
    stream, now = io.StringIO(), [0.0]
    lines = Lines(stream, {"evaluate": 40}, clock=lambda: now[0])

    for step in ("calibrate", "evaluate"):
        lines.begin(step, None)
        now[0] += 20.0
        lines.advance(10)
        lines.end()

    assert stream.getvalue().splitlines() == [
        "calibrate: 10 images",
        "evaluate: 10 of 40 images, 60 s left",
    ]


def test_a_terminal_shows_the_step_and_takes_it_away() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)

    with _bars(console) as shown:
        bars = Bars(shown, {})
        bars.begin("calibrate [odd/name]", 20)
        bars.advance(10)
        say(bars, "loss [0.5]")
        shown.refresh()
        bars.end()

        assert "calibrate [odd/name]: loss [0.5]" in screen.getvalue()
        assert "50%" in screen.getvalue()
        assert shown.tasks == []
