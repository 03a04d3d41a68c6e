"""report.html: one page that holds everything it shows and opens without a network.

What comes from the user (names of models, layers, files, classes) is untrusted: jinja escapes it in
HTML, `_inline_json` in the page's data, and the page's own script never writes it as markup. A
Content-Security-Policy lets the browser run the page's two scripts, known by their hashes, and load
nothing from anywhere.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup
from plotly.offline import get_plotlyjs
from pydantic import JsonValue
from torch import Tensor

from intaglio.report.layer_sections import WeightRanges
from intaglio.report.parts import ReportData
from intaglio.report.section import Body, Claims, Facts, Plot, Section, Table
from intaglio.report.sections import headline, sections


@dataclass(frozen=True)
class Box:
    """Sections under one heading.

    Attributes:
        title: The heading.
        sections: What stands below it; facts stand after the others.
        beside: Whether they stand side by side where the window is wide: a table and its facts.
    """

    title: str
    sections: tuple[Section, ...]
    beside: bool


def render_html(
    report: ReportData,
    weight_ranges: WeightRanges,
    labels: Sequence[str] | None = None,
    *,
    extra: Sequence[Section] = (),
    images: Tensor | None = None,
) -> str:
    """Return the page, to be written as UTF-8; about 5 MB, nearly all of it plotly.js.

    `#layer=NAME` behind its address opens it at a layer's weights, `#sort=sqnr` (or any other
    column's key, `-sqnr` for descending) with a sorted table.

    Args:
        report: What to show.
        weight_ranges: As `intaglio.report.layers.weight_ranges` returns them.
        labels: Names of the classes, in order, where they are known.
        extra: Sections that a task adds.
        images: Those that were made of batch norms, [N, C, H, W]; None where there are none.
    """
    name, purpose = headline(report)
    shown = sections(report, weight_ranges, labels, extra=extra, images=images)
    return render_sections(name, purpose, shown)


def render_sections(name: str, purpose: str, shown: Sequence[Section]) -> str:
    """Return a page of sections; claims stand over all others.

    Args:
        name: What the page is about, its title.
        purpose: A line below it.
        shown: The sections, in order.
    """
    scripts = [_inline_script(source) for source in (get_plotlyjs(), _resource("page.js"))]
    page = _template().render(
        policy=_content_policy(scripts),
        style=Markup(_resource("page.css")),
        scripts=scripts,
        drawn=_inline_json(_drawn(shown)),
        name=name,
        purpose=purpose,
        claims=[section for section in shown if isinstance(section.body, Claims)],
        boxes=_boxes([section for section in shown if not isinstance(section.body, Claims)]),
    )
    # a file name that is not UTF-8 reaches Python as lone surrogates, which no page can hold
    return page.encode("utf-8", "replace").decode("utf-8")


def _boxes(shown: Sequence[Section]) -> list[Box]:
    return [
        _box(title, list(together)) for title, together in groupby(shown, lambda part: part.title)
    ]


def _box(title: str, together: Sequence[Section]) -> Box:
    ordered = sorted(together, key=lambda section: isinstance(section.body, Facts))
    kinds = [type(section.body) for section in ordered]
    return Box(title, tuple(ordered), beside=kinds == [Table, Facts])


def _drawn(shown: Sequence[Section]) -> dict[str, JsonValue]:
    """Return what the page's script draws, of all plots together."""
    drawn: dict[str, JsonValue] = {}
    for section in shown:
        if isinstance(section.body, Plot):
            drawn |= section.body.drawn
    return drawn


def _kind(body: Body) -> str:
    """Return by which name the template calls the renderer of a body."""
    return type(body).__name__.lower()


@functools.cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("intaglio", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["kind"] = _kind
    return environment.get_template("page.html.j2")


def _resource(name: str) -> str:
    return resources.files("intaglio.report").joinpath(name).read_text(encoding="utf-8")


def _inline_script(source: str) -> Markup:
    # browsers hash what they parsed: newlines as \n, and the script ends at the first "</script"
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    assert "</script" not in source.lower()
    assert "<!--" not in source
    return Markup(source)


def _content_policy(scripts: Sequence[str]) -> str:
    digests = [hashlib.sha256(script.encode("utf-8")).digest() for script in scripts]
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline';"
        " img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _inline_json(data: JsonValue) -> Markup:
    """Return JSON that may stand inside a script element: nothing in it can end the element."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))  # ASCII
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)
