"""What a number or a word of a description may be; everything else is refused by name."""

from __future__ import annotations

from collections.abc import Collection

FARTHEST = 1e6
"""No coordinate, size, weight or factor of a detector is larger, in pixels or at all."""


def whole(place: str, value: object, least: int, most: int) -> None:
    """Raise ValueError unless value is a whole number from least to most."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(
            f"{place} is {shown(value)}: it must be a whole number from {least} to {most}"
        )


def real(place: str, value: object, least: float = -FARTHEST, most: float = FARTHEST) -> None:
    """Raise ValueError unless value is a finite number from least to most."""
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not least <= value <= most:  # type: ignore[operator]  # NaN is in no bounds
        raise ValueError(
            f"{place} is {shown(value)}: it must be a number from {least:g} to {most:g}"
        )


def word(place: str, value: object, words: Collection[str]) -> None:
    """Raise ValueError unless value is one of these words."""
    if not isinstance(value, str) or value not in words:
        raise ValueError(f"{place} is {shown(value)}: it must be one of {', '.join(words)}")


def flag(place: str, value: object) -> None:
    """Raise ValueError unless value is true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{place} is {shown(value)}: it must be true or false")


def box(place: str, value: object) -> None:
    """Raise ValueError unless value is left, top, right, bottom, in order."""
    if not isinstance(value, tuple) or len(value) != 4:
        raise ValueError(f"{place} is {shown(value)}: it must be left, top, right, bottom")
    for number in value:
        real(place, number)
    left, top, right, bottom = value
    if left > right or top > bottom:
        raise ValueError(
            f"{place} is {shown(value)}: right and bottom must not lie before left and top"
        )


def shown(value: object) -> str:
    """Return a value for a message, cut off where it is long."""
    if isinstance(value, dict | list):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
