"""What a user is told is one line, whatever names are in it."""

from __future__ import annotations

from intaglio.errors import RequestError, UnsupportedByTarget, WeightsError


def test_names_that_do_not_print_are_escaped():
    assert str(WeightsError("missing key: a\nb\x1b[2J\ud800")) == (
        r"missing key: a\nb\x1b[2J\ud800"
    )
    assert "\n" not in str(
        UnsupportedByTarget("a\nb", "sin", "LiteRT", reason="it", try_instead="x")
    )


def test_what_prints_is_left_as_it_is():
    assert str(RequestError("Käse 'ß' \\n: 12 °C")) == "Käse 'ß' \\n: 12 °C"


def test_of_an_endless_message_beginning_and_end_are_left():
    message = str(RequestError(f"line 3: there is no '{'9' * 100_000}'; give another"))

    assert len(message) < 2100
    assert message.startswith("line 3: there is no '999")
    assert message.endswith("999'; give another")
