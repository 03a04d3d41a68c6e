"""The page as text: complete, deterministic, escaped, and loading nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import get_args

import pytest

from intaglio.report import render_html, weight_ranges
from intaglio.report.section import State

EXTERNAL = {"src", "href", "action", "data", "poster", "srcset", "formaction", "background"}


class Reader(HTMLParser):
    """Collects elements, and the text of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.bodies: list[tuple[str, str]] = []
        self.open = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open = tag in ("script", "style")
        if self.open:
            self.bodies.append((tag, ""))

    def handle_endtag(self, tag):
        self.open = False

    def handle_data(self, data):
        if self.open:
            tag, text = self.bodies[-1]
            self.bodies[-1] = (tag, text + data)


@pytest.fixture(scope="module")
def page(report, compressed):
    return render_html(report, weight_ranges(compressed.graph), ["tench", "goldfish"])


def test_the_page_refers_to_nothing_outside_itself(page):
    reader = Reader(page)

    links = [
        attrs[name] for _, attrs in reader.tags for name in EXTERNAL & attrs.keys() if attrs[name]
    ]
    styles = [text for tag, text in reader.bodies if tag == "style"]
    assert links == ["data:,"]
    assert len(styles) == 1
    assert "url(" not in styles[0]
    assert "@import" not in styles[0]
    assert {"iframe", "img", "object", "embed"}.isdisjoint(tag for tag, _ in reader.tags)


def test_the_policy_allows_exactly_the_two_scripts_of_the_page(page):
    reader = Reader(page)
    policy = next(
        attrs["content"]
        for _, attrs in reader.tags
        if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    scripts = [text for tag, text in reader.bodies if tag == "script" and not text.startswith("{")]

    digests = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts
    ]

    assert len(scripts) == 2
    assert re.findall(r"'sha256-([^']+)'", policy) == digests
    assert policy.startswith("default-src 'none'")
    assert "unsafe-eval" not in policy


def test_the_page_data_hold_every_layer_and_every_channel(page, report, compressed):
    text = next(text for tag, text in Reader(page).bodies if tag == "script" and text[0] == "{")

    data = json.loads(text)

    assert [layer["name"] for layer in data["layers"]] == [row.name for row in report.layers]
    for name, (low, high) in weight_ranges(compressed.graph).items():
        assert data["weights"][name][0] == pytest.approx(low, rel=1e-3)
        assert data["weights"][name][1] == pytest.approx(high, rel=1e-3)


def test_the_same_report_gives_the_same_page(page, report, compressed):
    again = render_html(report, weight_ranges(compressed.graph), ["tench", "goldfish"])

    assert again == page


def test_every_state_of_a_claim_has_its_colour(page):
    (style,) = [text for tag, text in Reader(page).bodies if tag == "style"]

    for state in get_args(State):
        assert f".verdict.{state} {{" in style
        assert f".verdict p.{state} strong {{" in style
    assert '<div class="verdict good" id="verdict">' in page
    assert "<strong>Accuracy: green:</strong> 0.91 points lost" in page


def test_class_names_are_counted_and_begun(page):
    assert "2: tench, goldfish" in page


def test_a_name_that_is_not_unicode_still_gives_a_page(report):
    page = render_html(replace(report, model="bad\udcff.csv"), {})

    assert "bad?.csv" in page.encode("utf-8").decode("utf-8")


def test_a_page_without_layers_has_no_plot(report):
    page = render_html(replace(report, layers=[], steps=[], kept_float=[], warnings=[]), {})

    tags = [attrs.get("id") for _, attrs in Reader(page).tags]
    assert "comparison" in tags
    assert {"sqnr-plot", "weight-plot", "layers", "remarks", "steps"}.isdisjoint(tags)
