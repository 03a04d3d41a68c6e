"""Genotypes: the text and the cells say the same, and what is wrong is named."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import RequestError
from intaglio.zoo import NASNET_A, PNASNET_5, Genotype
from intaglio.zoo.genotype import OPERATIONS, Branch, CellPlan

NASNET_TEXT = """\
normal: c0 = sep5(h0) + sep3(h1); c1 = sep5(h1) + sep3(h1); c2 = avg3(h0) + h1; \
c3 = avg3(h1) + avg3(h1); c4 = sep3(h0) + h0; keep h1 c0 c1 c2 c3 c4
reduction: c0 = sep5(h0) + sep7(h1); c1 = max3(h0) + sep7(h1); c2 = avg3(h0) + sep5(h1); \
c3 = c1 + avg3(c0); c4 = sep3(c0) + max3(h0); keep c1 c2 c3 c4"""
PNASNET_TEXT = """\
normal: c0 = sep5(h1) + max3(h1); c1 = sep7(h0) + max3(h0); c2 = sep5(h0) + sep3(h0); \
c3 = sep3(c2) + max3(h0); c4 = sep3(h1) + h0; keep c0 c1 c2 c3 c4"""


@st.composite
def cells(draw) -> CellPlan:
    """Draw a cell of up to four sums, all of whose states are kept."""
    states, sums = ["h0", "h1"], []
    for index in range(draw(st.integers(0, 4))):
        sums.append((draw(branches(tuple(states))), draw(branches(tuple(states)))))
        states.append(f"c{index}")
    entering = draw(st.lists(st.sampled_from(["h0", "h1"]), unique=True))
    kept = draw(st.permutations(states[2:] + entering)) or ["h0"]
    return CellPlan(tuple(sums), tuple(kept))


def branches(states: tuple[str, ...]) -> st.SearchStrategy[Branch]:
    state = st.sampled_from(states)
    sizes = st.integers(1, 15).map(lambda half: 2 * half + 1)
    return st.builds(Branch, state) | st.builds(Branch, state, st.sampled_from(OPERATIONS), sizes)


GENOTYPES = st.builds(Genotype, cells(), cells() | st.none())


@given(GENOTYPES)
def test_a_genotype_is_what_its_text_spells(genotype):
    assert Genotype.parse(str(genotype)) == genotype


@settings(max_examples=30)
@given(GENOTYPES)
def test_spaces_and_line_breaks_do_not_count(genotype):
    text = str(genotype)

    for mark in (":", ";", "=", "+"):
        text = text.replace(mark, f" \n {mark}  ")

    assert str(Genotype.parse(f"  {text}\n")) == str(genotype)


@pytest.mark.parametrize(("genotype", "text"), [(NASNET_A, NASNET_TEXT), (PNASNET_5, PNASNET_TEXT)])
def test_the_published_cells_are_those_of_the_papers(genotype, text):
    assert str(genotype) == text
    assert Genotype.parse(text) == genotype


def test_without_a_reduction_the_normal_cell_reduces():
    assert PNASNET_5.reducing is PNASNET_5.normal
    assert NASNET_A.reducing is NASNET_A.reduction


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "write normal: and a cell"),
        ("c0 = h0 + h1; keep c0", "write normal: and a cell"),
        ("reduction: keep h0", "write normal: and a cell"),
        ("normal: keep h0 normal: keep h1", "write normal: and a cell"),
        ("normal: keep h0 reduction: keep h0 reduction: keep h0", "write normal: and a cell"),
        ("normal:", "ends with what it keeps"),
        ("normal: c0 = h0 + h1", "ends with what it keeps, as in keep c0 c1; got 'c0 = h0 \\+ h1'"),
        ("normal: c0 = h0 + h1; keep", "keep at least one state"),
        ("normal: keep h0 h0", "each once"),
        ("normal: keep c0", "'c0' cannot be kept: there are h0, h1"),
        ("normal: c1 = h0 + h1; keep c1", "'c1 = h0 \\+ h1' is no sum: write c0 = "),
        ("normal: c0 = h0; keep c0", "is no sum"),
        ("normal: c0 = h0 + c0; keep c0", "c0 reads 'c0', which is not there yet"),
        ("normal: c0 = h0 + h2; keep c0", "it can read h0, h1"),
        ("normal: c0 = sep4(h0) + h1; keep c0", "there is no sep4"),
        ("normal: c0 = sep1(h0) + h1; keep c0", "there is no sep1"),
        ("normal: c0 = max33(h0) + h1; keep c0", "an odd size from 3 to 31"),
        ("normal: c0 = conv3(h0) + h1; keep c0", "there is no conv3: use one of sep, avg, max"),
        ("normal: c0 = sep(h0) + h1; keep c0", "'sep\\(h0\\)' is no branch"),
        ("normal: c0 = h0 + h1 + h0; keep c0", "'h1 \\+ h0' is no branch"),
        ("normal: c0 = h0 + h1; c1 = h0 + h1; keep c1", "nothing reads or keeps c0"),
        ("normal: keep h0 " + " " * 20_000, "at most 20000 letters"),
        (None, "a text"),
    ],
)
def test_a_wrong_text_is_refused_and_the_statement_named(text, named):
    with pytest.raises(RequestError, match=named):
        Genotype.parse(text)
