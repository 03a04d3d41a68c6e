"""Figures as the report words them; what was not measured is a dash."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pydantic import JsonValue

from intaglio.report.figures import DECIBEL, PERCENT, Figure
from intaglio.report.parts import LayerRow

MISSING = "–"


def percent_text(value: float | None) -> str:
    """Return "80.31 %"."""
    return MISSING if value is None else f"{value:.2f} %"


def figure_text(figure: Figure, value: float | None) -> str:
    """Return a figure with its unit."""
    if figure.unit == PERCENT or value is None:
        return percent_text(value)
    return decibel_text(value) if figure.unit == DECIBEL else f"{value:.4g}"


def change_text(figure: Figure, real: float | None, integer: float | None) -> str:
    """Return "-0.91 points", the way from one figure to another; empty where one is missing."""
    if real is None or integer is None or not math.isfinite(integer - real):
        return ""
    change = integer - real
    if figure.unit == PERCENT:
        return f"{change:+.2f} points"
    return f"{change:+.4g} {figure.unit}".strip()


def share_text(share: float | None) -> str:
    """Return a share of 1 as "0.25 %"; "< 0.01 %" is more than none."""
    if share is None:
        return MISSING
    return f"{100 * share:.2f} %" if share == 0.0 or share >= 5e-5 else "< 0.01 %"


def decibel_text(value: float | None) -> str:
    """Return "23.4 dB", or "exact" where there is no noise."""
    if value is None:
        return MISSING
    return "exact" if value == math.inf else f"{value:.1f} dB"


def megabyte_text(size_bytes: int | None) -> str:
    """Return "3.94 MB" (10^6 bytes); kilobytes (10^3) below a tenth of a megabyte."""
    if size_bytes is None:
        return MISSING
    return f"{size_bytes / 1e6:.2f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:.1f} kB"


def smaller_text(real: int, integer: int | None) -> str:
    """Return "3.94x smaller"; empty where a size is missing."""
    if not integer or not real:
        return ""
    return f"{real / integer:.2f}x smaller" if real > integer else f"{integer / real:.2f}x larger"


def count_text(count: int) -> str:
    """Return "300.77 M" for large counts, all digits for those below a million."""
    return f"{count / 1e6:,.2f} M" if count >= 1_000_000 else f"{count:,}"


def images_text(first: int | None, second: int | None) -> str:
    """Return " (n = 1,150)", the images that two networks were measured on; empty where none."""
    counts = list(dict.fromkeys(f"{n:,}" for n in (first, second) if n is not None))
    return f" (n = {' / '.join(counts)})" if counts else ""


def changed_text(changed: JsonValue | Mapping[str, JsonValue]) -> str:
    """Return what a step changed; counts that are 0 and parts that are off are left out."""
    if changed is None:
        return MISSING
    if isinstance(changed, Mapping):
        kept = {key: value for key, value in changed.items() if value not in (0, None)}
        return ", ".join(f"{key} {changed_text(value)}" for key, value in kept.items()) or "nothing"
    if isinstance(changed, list | tuple):
        return "/".join(str(item) for item in changed) or "nothing"
    return str(changed)


def layer_title(layer: LayerRow) -> str:
    """Return the name by which the user knows a layer."""
    return layer.source or layer.name


def bits_text(layer: LayerRow) -> str:
    """Return "w8a8", "a8" for a layer without weights, or "float"."""
    if layer.activation_bits is None:
        return "float"
    weight = "" if layer.weight_bits is None else f"w{layer.weight_bits}"
    return f"{weight}a{layer.activation_bits}"
