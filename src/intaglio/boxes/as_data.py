"""Post-processing to plain JSON values and back; what comes from a file is believed nothing."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

from intaglio.boxes import coders, postprocess
from intaglio.boxes.bounds import shown
from intaglio.boxes.postprocess import PostProcess, TwoStage

FORMAT = 1
"""Raised when the meaning of a description changes."""
KINDS: Mapping[type, str] = {
    postprocess.Grid: "grid",
    postprocess.Table: "table",
    postprocess.Unplaced: "unplaced",
    postprocess.Proposed: "proposed",
    coders.Deltas: "deltas",
    coders.Distances: "distances",
    coders.Bins: "bins",
    coders.Darknet: "darknet",
    coders.YoloV5: "yolov5",
    coders.YoloX: "yolox",
    coders.Peaks: "peaks",
    coders.Centers: "centers",
    coders.Corners: "corners",
    PostProcess: "one_stage",
    TwoStage: "two_stage",
}
"""Types that stand for one another, to the word `kind` that tells them apart."""
MOST_ENTRIES = 10_000_000


def as_json(post: PostProcess | TwoStage) -> dict[str, object]:
    """Return a description as dicts, lists, numbers, texts, booleans and None."""
    return {"format": FORMAT, **typing.cast(dict[str, object], _plain(post))}


def from_json(data: object) -> PostProcess | TwoStage:
    """Return the description that `as_json` made these values of.

    Raises:
        ValueError: If a value is missing, unknown, of another type or out of its bounds; the
            message says where it stands and what it was.
    """
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else type(data).__name__
        raise ValueError(f"post-processing has format {shown(found)}: this version reads {FORMAT}")
    rest = {name: value for name, value in data.items() if name != "format"}
    found = _read(PostProcess | TwoStage, rest, "postprocess")
    return typing.cast(PostProcess | TwoStage, found)


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        named = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        return {"kind": KINDS[type(value)], **named} if type(value) in KINDS else named
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value


def _read(kind: object, value: object, place: str) -> object:
    """Return a value as what a field's type says, or raise ValueError."""
    if isinstance(kind, types.UnionType):
        return _read_choice(kind, value, place)
    if typing.get_origin(kind) is tuple:
        return _read_tuple(typing.get_args(kind), value, place)
    if isinstance(kind, type) and is_dataclass(kind):
        return _read_fields(kind, value, place)
    return _read_plain(kind, value, place)


def _read_plain(kind: object, value: object, place: str) -> object:
    """Return a number, a text or a boolean; whole numbers are numbers too."""
    allowed = (int, float) if kind is float else (kind,)
    if type(value) not in allowed:
        name = getattr(kind, "__name__", str(kind))
        raise ValueError(f"{place} is {shown(value)}: it must be of type {name}")
    return value


def _read_choice(kind: types.UnionType, value: object, place: str) -> object:
    """Return what None, a plain type, or the word `kind` of a dict chooses."""
    choices = [one for one in typing.get_args(kind) if one is not types.NoneType]
    if value is None and types.NoneType in typing.get_args(kind):
        return None
    if len(choices) == 1:
        return _read(choices[0], value, place)
    words = {KINDS[one]: one for one in choices}
    word = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(word, str) or word not in words:
        raise ValueError(f"{place} is of kind {shown(word)}: it must be one of {', '.join(words)}")
    return _read(words[word], value, place)


def _read_tuple(kinds: tuple[object, ...], value: object, place: str) -> tuple[object, ...]:
    if not isinstance(value, list) or len(value) > MOST_ENTRIES:
        raise ValueError(f"{place} is {shown(value)}: it must be a list")
    if Ellipsis in kinds:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise ValueError(f"{place} has {len(value)} entries: it must have {len(kinds)}")
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(_read(kind, one, f"{place}[{number}]") for number, (kind, one) in pairs)


def _read_fields(kind: type, value: object, place: str) -> object:
    if not isinstance(value, dict):
        raise ValueError(f"{place} is {shown(value)}: it must be an object")
    known = typing.get_type_hints(kind)
    given = {name: one for name, one in value.items() if name != "kind" or kind not in KINDS}
    if wrong := sorted(str(name) for name in given.keys() ^ known.keys()):
        word = "unknown" if wrong[0] in given else "missing"
        raise ValueError(f"{place} has {word} {shown(wrong[0])}: it must have {', '.join(known)}")
    read = {name: _read(known[name], one, f"{place}.{name}") for name, one in given.items()}
    try:
        return kind(**read)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
