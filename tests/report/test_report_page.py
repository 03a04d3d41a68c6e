"""The page in a real browser: it draws, sorts and redraws, and no request leaves it."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from intaglio.report import KeptFloat, render_html, weight_ranges

NASTY = (
    "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
)
READ = """
const shown = (id) => document.getElementById(id);
const bars = () => shown("weight-plot").querySelectorAll(".barlayer .point").length;
const names = () => [...document.querySelectorAll("#layers tbody tr")].map((r) => r.dataset.name);
const report = (value) => {
  const place = document.createElement("pre");
  place.id = "probe";
  place.textContent = JSON.stringify(value);
  document.body.append(place);
};
"""


class Elements(HTMLParser):
    """Every element with its attributes, and the text of the element that has the id `probe`."""

    def __init__(self, dom: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.probe = ""
        self.title = ""
        self.feed(dom)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        tag, attrs = self.found[-1] if self.found else ("", {})
        if attrs.get("id") == "probe":
            self.probe += data
        if tag == "title" and not self.title:
            self.title = data

    def with_attribute(self, name):
        return [attrs[name] for _, attrs in self.found if name in attrs]


def inside(dom, element_id):
    """The text of the page between the start of one element and the next section."""
    start = dom.index(f'id="{element_id}"')
    end = dom.find("</section>", start)
    return dom[start:end]


def points(drawing):
    """How many points or bars a plot has drawn."""
    return len(re.findall(r'class="point[ "]', drawing))


pytestmark = pytest.mark.slow  # a browser is started


@pytest.fixture(scope="module")
def ranges(compressed):
    return weight_ranges(compressed.graph)


@pytest.fixture(scope="module")
def page(report, ranges):
    return render_html(report, ranges)


@pytest.fixture(scope="module")
def opened(visit, page):
    return visit(page, fragment="#layer=depthwise&sort=-sqnr")


def test_both_plots_are_drawn_without_a_word_on_the_console(opened, report, ranges):
    sqnr, weights = inside(opened.dom, "sqnr-plot"), inside(opened.dom, "weight-plot")

    assert opened.console == []
    assert "main-svg" in sqnr
    assert points(sqnr) == len(report.layers)
    assert points(weights) == len(ranges["depthwise"][0])


def test_the_address_chooses_the_layer_and_the_order(opened, report):
    elements = Elements(opened.dom)

    wanted = sorted(report.layers, key=lambda row: row.sqnr_db, reverse=True)
    assert elements.with_attribute("data-name") == [row.name for row in wanted]
    assert 'data-layer="depthwise"' in inside(opened.dom, "weight-plot")
    assert elements.with_attribute("aria-sort") == ["descending"]


def test_no_button_of_a_plot_can_send_it_away(opened):
    titles = set(Elements(opened.dom).with_attribute("data-title"))

    assert titles == {"Download plot as a PNG", "Zoom", "Pan", "Reset axes"}


def page_requests(log):
    """Addresses that a page asked for; the browser's own housekeeping has no origin."""
    text = log if log.rstrip().endswith("}") else log.rstrip().rstrip(",") + "]}"
    return [
        event["params"]["url"]
        for event in json.loads(text)["events"]
        if "url" in event.get("params", {})
        and event["params"].get("initiator", "not an origin") != "not an origin"
    ]


def test_no_request_leaves_the_page(opened, visit):
    control = visit("<body><img src='http://nowhere.invalid/x.png'></body>")

    assert set(page_requests(control.network_log)) == {"http://nowhere.invalid/x.png"}
    assert page_requests(opened.network_log) == []


def test_choosing_a_layer_redraws_and_a_heading_sorts_both_ways(visit, page, report, ranges):
    script = (
        READ
        + """
    const seen = { first: [shown("layer").value, bars()] };
    shown("layer").value = "expand";
    shown("layer").dispatchEvent(new Event("change"));
    const head = document.querySelector('th[data-key="macs"] button');
    setTimeout(() => {
      seen.second = [shown("weight-plot").dataset.layer, bars()];
      seen.chosen = document.querySelector("tr.chosen").dataset.name;
      seen.text = shown("weight-text").textContent;
      document.querySelector('button.pick[data-layer="head"]').click();
      head.click();
      seen.up = names();
      head.click();
      seen.down = names();
      setTimeout(() => {
        seen.third = [shown("weight-plot").dataset.layer, bars()];
        seen.address = location.hash;
        seen.resources = performance.getEntriesByType("resource").map((entry) => entry.name);
        report(seen);
      }, 300);
    }, 300);
    """
    )

    result = visit(page, script=script)
    seen = json.loads(Elements(result.dom).probe)

    assert result.console == []
    assert seen["first"] == ["stem", len(ranges["stem"][0])]
    assert seen["second"] == ["expand", len(ranges["expand"][0])]
    assert seen["third"] == ["head", len(ranges["head"][0])]
    assert seen["chosen"] == "expand"
    assert seen["text"].startswith("24 channels; largest |weight| ")
    rank = {row.name: row.macs for row in report.layers}
    assert [rank[name] for name in seen["up"]] == sorted(rank.values())
    assert [rank[name] for name in seen["down"]] == sorted(rank.values(), reverse=True)
    assert seen["address"] == "#layer=head&sort=-macs"
    assert seen["resources"] == []


def test_names_that_are_markup_stay_text(visit, report, ranges):
    first, second, *others = report.layers
    layers = [first, replace(second, name=NASTY, source="<b>bold</b> " + NASTY), *others]
    nasty = replace(
        report,
        model="m " + NASTY,
        layers=layers,
        kept_float=[KeptFloat(NASTY, NASTY)],
        warnings=[NASTY],
    )
    page = render_html(nasty, {NASTY: ranges[second.name]}, [NASTY])
    script = (
        READ
        + """
    report([document.title, shown("weight-plot").dataset.layer, bars(),
            shown("sqnr-plot").data.flatMap((trace) => trace.text || []).join()]);
    """
    )

    result = visit(page, script=script)
    title, layer, bars, hover = json.loads(Elements(result.dom).probe)

    assert result.console == []
    assert title == f"m {NASTY}: intaglio report"
    assert layer == NASTY
    assert bars == len(ranges[second.name][0])
    assert "<img" not in hover
    assert "&lt;b&gt;bold" in hover
    assert "img" not in {tag for tag, _ in Elements(result.dom).found}


def test_missing_figures_sort_behind_and_exact_ones_are_drawn(visit, report, ranges):
    sqnrs = [math.inf, None, 12.5, -4.0]
    layers = [replace(row, sqnr_db=sqnr) for row, sqnr in zip(report.layers, sqnrs, strict=False)]
    names = [row.name for row in layers]
    page = render_html(replace(report, layers=layers), {})
    script = (
        READ
        + """
    const head = document.querySelector('th[data-key="sqnr"] button');
    head.click(); const up = names();
    head.click(); report([up, names()]);
    """
    )

    result = visit(page, script=script)
    up, down = json.loads(Elements(result.dom).probe)

    assert result.console == []
    assert up == [names[3], names[2], names[0], names[1]]
    assert down == [names[0], names[2], names[3], names[1]]
    assert points(inside(result.dom, "sqnr-plot")) == 3
    assert re.search(r">no noise at all<", result.dom)


def test_a_page_without_layers_opens_quietly(visit, report):
    result = visit(render_html(replace(report, layers=[]), {}))

    assert result.console == []
    assert "plot-container" not in result.dom.split("<script", 1)[0]
