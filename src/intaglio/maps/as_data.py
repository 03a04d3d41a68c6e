"""A segmenter's post-processing to plain JSON values and back; a file is believed nothing."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import get_args

from intaglio.maps.postprocess import MOST_CLASSES, MapPostProcess, Rule, Scores

FORMAT = 1
"""Raised when the meaning of a description changes."""
KIND = "map"
"""What tells it from a detector's, under the same key `kind`."""
MOST_OUTPUTS = 1024
LONGEST_NAME = 1000


def as_json(post: MapPostProcess) -> dict[str, object]:
    """Return a description as dicts, lists, numbers and texts."""
    return {"format": FORMAT, "kind": KIND, **asdict(post), "names": list(post.names)}


def from_json(data: object) -> MapPostProcess:
    """Return the description that `as_json` made these values of.

    Raises:
        ValueError: If a value is missing, unknown, of another type or out of its bounds; the
            message says which and what it was.
    """
    if not isinstance(data, dict):
        raise ValueError(f"post-processing is {_shown(data)}: it must be an object")
    for key, known in (("format", FORMAT), ("kind", KIND)):
        if data.get(key) != known:
            raise ValueError(f"{key} is {_shown(data.get(key))}: this version reads {known!r}")
    given = {name: value for name, value in data.items() if name not in ("format", "kind")}
    names = [one.name for one in fields(MapPostProcess)]
    if wrong := sorted(str(name) for name in given.keys() ^ set(names)):
        what = "unknown" if wrong[0] in given else "missing"
        raise ValueError(f"it has {what} {_shown(wrong[0])}: it must have {', '.join(names)}")
    _whole("classes", given["classes"], 1, MOST_CLASSES)
    _whole("output", given["output"], 0, MOST_OUTPUTS - 1)
    _word("rule", given["rule"], get_args(Rule))
    _word("scores", given["scores"], get_args(Scores))
    _share("threshold", given["threshold"])
    return MapPostProcess(**{**given, "names": _names(given["names"])})


def _whole(key: str, value: object, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(
            f"{key} is {_shown(value)}: it must be a whole number from {least} to {most}"
        )


def _word(key: str, value: object, words: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in words:
        raise ValueError(f"{key} is {_shown(value)}: it must be one of {', '.join(words)}")


def _share(key: str, value: object) -> None:
    if type(value) not in (int, float) or not 0 <= value <= 1:  # type: ignore[operator]
        raise ValueError(f"{key} is {_shown(value)}: it must be a number from 0 to 1")


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MOST_CLASSES:
        raise ValueError(f"names is {_shown(value)}: it must be a list of texts")
    for number, name in enumerate(value):
        if not isinstance(name, str) or len(name) > LONGEST_NAME:
            raise ValueError(f"names[{number}] is {_shown(name)}: it must be a text")
    return tuple(value)


def _shown(value: object) -> str:
    """Return a value for a message, cut off where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
