"""Sections are data: whatever stands in the list is shown by all three walkers, escaped."""

from __future__ import annotations

import ast
import dataclasses
import io
import json
from dataclasses import replace
from importlib import resources

import pytest
from jinja2 import Environment, nodes
from rich.console import Console

from intaglio.errors import IntaglioError
from intaglio.report import Report, print_report, render_html, summary_lines, weight_ranges
from intaglio.report.html import render_sections
from intaglio.report.parts import Ailment, Attempt, ReportData
from intaglio.report.section import (
    Cell,
    Claim,
    Claims,
    Column,
    Facts,
    Remark,
    Remarks,
    Section,
    Table,
    TableRow,
    Worst,
)
from intaglio.report.sections import sections
from intaglio.report.text import plain_lines, print_sections
from report.test_report_html import Reader
from report.test_report_page import READ, Elements

NASTY = "<b>cat</b> [red]\x1b[2J"
READABLE = "<b>cat</b> [red]?[2J"
CLASSES = Section(
    "classes",
    "Classes <i>one by one</i>",
    Table(
        (Column("class", "class"), Column("right", "right & counted", numeric=True)),
        (
            TableRow((Cell(NASTY), Cell("9 of 10", 9.0))),
            TableRow((Cell("dog"), Cell("10 of 10", 10.0))),
            TableRow((Cell("eel"), Cell("–"))),
        ),
        sort_word="sort-classes",
    ),
    hint="Choose a heading to sort.",
)


def printed(shown, *, width=100):
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system="truecolor")
    print_sections(shown, console)
    return file.getvalue()


def plainly(shown):
    file = io.StringIO()
    print_sections(shown, Console(file=file, width=100, color_system=None))
    return [line.strip() for line in file.getvalue().splitlines()]


def page_of(shown):
    return render_sections("a network", "for a target", shown)


def test_a_table_that_is_appended_is_printed_with_its_title_and_its_rows(report: Report) -> None:
    shown = [*sections(report), CLASSES]

    lines, colored = plainly(shown), printed(shown)

    assert "Classes <i>one by one</i>" in lines
    assert any(line.split("  ")[0] == READABLE and line.endswith("9 of 10") for line in lines)
    assert "\x1b[2J" not in colored


def test_a_table_that_is_appended_is_told_in_plain_lines(report: Report) -> None:
    lines = plain_lines([*sections(report), CLASSES])

    assert lines[-5:-2] == [
        f"Classes <i>one by one</i>: {READABLE}: right & counted 9 of 10",
        "Classes <i>one by one</i>: dog: right & counted 10 of 10",
        "Classes <i>one by one</i>: eel: right & counted –",
    ]


def test_a_table_that_is_appended_is_on_the_page_as_text(report: Report) -> None:
    page = page_of([*sections(report), CLASSES])

    assert "<h2>Classes &lt;i&gt;one by one&lt;/i&gt;</h2>" in page
    assert "&lt;b&gt;cat&lt;/b&gt;" in page
    assert '<p class="hint">Choose a heading to sort.</p>' in page
    tags = {tag for tag, _ in Reader(page).tags}
    assert {"b", "i"}.isdisjoint(tags)
    assert any(attrs.get("id") == "classes" for tag, attrs in Reader(page).tags if tag == "table")


def test_sections_of_a_task_stand_ahead_of_what_goes_into_the_network(report: Report) -> None:
    ill = replace(report, doctor=[Ailment("dead-channels", "stem", {}, "fold")], doctor_images=8)

    keys = [section.key for section in sections(ill, extra=[CLASSES])]

    assert keys.index("remarks") + 1 == keys.index("classes") == keys.index("doctor") - 1


def test_sections_of_a_task_are_shown_with_the_report(report: Report) -> None:
    file = io.StringIO()
    print_report(report, Console(file=file, width=100), extra=[CLASSES])

    assert READABLE in file.getvalue()
    assert any(READABLE in line for line in summary_lines(report, extra=[CLASSES]))
    assert "&lt;b&gt;cat&lt;/b&gt;" in render_html(report, {}, extra=[CLASSES])


def test_every_kind_of_section_escapes_what_it_shows() -> None:
    shown = [
        Section("facts", NASTY, Facts(((NASTY, NASTY),)), told=NASTY, hint=NASTY),
        Section("claim", NASTY + "1", Claims((Claim("bad", NASTY, NASTY),))),
        Section("notes", NASTY + "2", Remarks((Remark(NASTY, NASTY, NASTY), Remark(NASTY)))),
        Section(
            "table",
            NASTY + "3",
            Table(
                (Column(NASTY, NASTY), Column("n", NASTY, numeric=True)),
                (TableRow((Cell(NASTY, note=NASTY, layer=NASTY), Cell(NASTY, 1.0)), layer=NASTY),),
                sort_word="sort-table",
                worst=Worst(NASTY, (0,), (NASTY,)),
            ),
        ),
    ]

    assert "\x1b[2J" not in printed(shown) + "".join(plain_lines(shown))
    assert "b" not in {tag for tag, _ in Reader(page_of(shown)).tags}


def test_sections_with_one_title_share_a_heading_and_facts_stand_beside_their_table() -> None:
    table = Table((Column("n", "n"),), (TableRow((Cell("in the table"),)),))
    shown = [
        Section("first", "Opening", Facts((("label", "text"),))),
        Section("facts", "Together", Facts((("one", "fact"),))),
        Section("rows", "Together", table),
    ]

    page, lines = page_of(shown), plainly(shown)

    assert page.count("<h2>Together</h2>") == 1
    assert page.index('<div class="pair">') < page.index("in the table") < page.index("<dt>one")
    assert lines.count("Together") == 1
    assert "Opening" not in lines  # the first section opens the report


def test_a_table_without_rows_says_what_is_told_of_it() -> None:
    first = Section("first", "Opening", Facts((("label", "text"),)))
    empty = Section("rows", "Looked at", Table((Column("n", "n"),), ()), told="Looked at: nothing")

    assert "Looked at: nothing" in plainly([first, empty])
    assert plain_lines([first, empty])[-1] == "Looked at: nothing"
    assert '<p class="hint">Looked at: nothing.</p>' in page_of([first, empty])


def test_of_a_long_table_the_terminal_shows_the_worst_and_last() -> None:
    rows = tuple(TableRow((Cell(f"name{n}"), Cell(f"{n}", n))) for n in range(5))
    columns = (Column("name", "name"), Column("n", "n", numeric=True))
    worst = Worst("The worst", (3, 1), ("name",))
    long = Section("long", "All", Table(columns, rows, worst=worst))
    after = Section("after", "After", Facts((("label", "after"),)))

    lines, page = plainly([long, after]), page_of([long, after])

    assert [line for line in lines if line.startswith("name")] == ["name", "name3", "name1"]
    assert lines.index("After") < lines.index("The worst")
    assert all(f"name{n}" in page for n in range(5))


CLAIMS = Section(
    "claims", "Verdict", Claims((Claim("good", "One", "is."), Claim("absent", "Two", "is not.")))
)


def test_claims_come_last_on_the_terminal_and_in_lines_and_first_on_the_page() -> None:
    first = Section("first", "Opening", Facts((("label", "text"),)))
    table = Table(
        (Column("n", "n"),), (TableRow((Cell("a row"),)),), worst=Worst("Worst", (0,), ("n",))
    )
    shown = [CLAIMS, first, Section("rows", "Rows", table)]
    long = "a/" * 100 + "[red]\x1b"
    file = io.StringIO()
    print_sections(shown, Console(file=file, width=40, color_system=None), closing=[long])

    lines, page = file.getvalue().splitlines(), page_of(shown)

    assert lines[0].startswith("label")
    assert lines[-3:] == ["a/" * 100 + "[red]?", "One: is.", "Two: is not."]
    assert any("a row" in line for line in lines[:-3])
    assert plain_lines(shown)[-2:] == ["One: is.", "Two: is not."]
    assert (
        page.index("</header>") < page.index("<strong>One:</strong> is.") < page.index("<dt>label")
    )


def test_claims_are_coloured_by_the_worst_of_them() -> None:
    states = ["good", "absent", "unsure", "bad"]
    for place, state in enumerate(states):
        claims = Claims(tuple(Claim(one, "x", "y.") for one in states[: place + 1]))  # type: ignore[arg-type]
        assert claims.worst == state
    assert '<div class="verdict absent" id="claims">' in page_of([CLAIMS])


def test_a_row_with_too_few_cells_is_refused() -> None:
    with pytest.raises(IntaglioError, match=r"row 0 of a table has 1 cells.*'name', 'n'"):
        Table((Column("name", "name"), Column("n", "n")), (TableRow((Cell("x"),)),))


def test_no_two_sections_of_a_full_report_have_one_key(report: Report, compressed) -> None:
    full = replace(
        report,
        doctor=[],
        attempts=[Attempt("bias", 1.0, True, 24)],
    )

    keys = [section.key for section in sections(full, weight_ranges(compressed.graph), ["a"])]

    assert len(set(keys)) == len(keys) == 10


def walkers_source(name):
    return resources.files("intaglio.report").joinpath(name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["text.py", "html.py"])
def test_the_walkers_name_no_field_of_the_report(name) -> None:
    fields = {field.name for field in dataclasses.fields(ReportData)}

    read = [node for node in ast.walk(ast.parse(walkers_source(name))) if hasattr(node, "attr")]

    assert read
    assert [node.attr for node in read if node.attr in fields] == []


def test_the_template_names_no_field_of_the_report() -> None:
    fields = {field.name for field in dataclasses.fields(ReportData)}

    tree = Environment().parse(walkers_source("page.html.j2").replace("| kind", ""))
    named = {node.attr for node in tree.find_all(nodes.Getattr)}
    named |= {node.name for node in tree.find_all(nodes.Name)}

    assert "section" in named
    assert named & fields == set()


@pytest.mark.slow  # a browser is started
def test_headings_of_a_table_that_is_appended_sort_it_and_no_other(visit, report: Report) -> None:
    page = page_of([*sections(report), CLASSES])
    script = (
        READ
        + """
    const shown_first = names();
    const table = shown("classes");
    const classes = () => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent);
    const seen = { opened: classes() };
    const head = table.querySelector('th[data-key="right"] button');
    head.click(); seen.up = classes();
    head.click(); seen.down = classes();
    table.querySelector('th[data-key="class"] button').click(); seen.text = classes();
    seen.address = location.hash;
    seen.same = JSON.stringify(names()) === JSON.stringify(shown_first);
    report(seen);
    """
    )

    result = visit(page, fragment="#sort-classes=-right", script=script)
    seen = json.loads(Elements(result.dom).probe)

    assert result.console == []
    assert seen["opened"] == ["dog", NASTY, "eel"]
    assert seen["up"] == [NASTY, "dog", "eel"]
    assert seen["down"] == ["dog", NASTY, "eel"]
    assert seen["text"][-2:] == ["dog", "eel"]
    assert seen["address"] == "#sort-classes=class"
    assert seen["same"] is True
