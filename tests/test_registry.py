"""Tables: double names are refused, unknown ones explained, and packages add theirs when asked."""

from __future__ import annotations

import os
import subprocess
import sys
import types
import warnings

import pytest

from intaglio.errors import RequestError, UnknownName
from intaglio.methods.steps.steps import STEPS
from intaglio.read.reader import READERS
from intaglio.registry import Registry
from intaglio.targets.target import TARGETS
from intaglio.tasks.task import TASKS
from packages import Install

GROUP = "intaglio.things"
TINY = """
    from table_of_things import THINGS

    THINGS.register("tiny")("a tiny thing")
"""
BROKEN = """
    from table_of_things import THINGS

    THINGS.register("broken")("a thing")
    import not_installed_here
"""


@pytest.fixture
def things(monkeypatch: pytest.MonkeyPatch) -> Registry[str]:
    """A table with the entry "ours", which packages can import and add to."""
    table: Registry[str] = Registry("thing", group=GROUP)
    table.register("ours")("our thing")
    module = types.ModuleType("table_of_things")
    monkeypatch.setitem(sys.modules, "table_of_things", module)
    module.THINGS = table
    return table


def refusal(table: Registry[str], name: str) -> str:
    with pytest.raises(RequestError) as caught:
        table[name]
    return str(caught.value)


def test_a_name_is_registered_once():
    table: Registry[int] = Registry("thing")
    table.register("a")(1)

    with pytest.raises(ValueError, match=r"^thing 'a' is registered twice$"):
        table.register("a")(2)

    assert table["a"] == 1


def test_names_come_in_order_and_unknown_ones_with_their_neighbours():
    table: Registry[int] = Registry("thing")
    for name in ("round", "square"):
        table.register(name)(1)

    assert list(table) == ["round", "square"]
    assert "round" in table
    assert "squre" not in table
    with pytest.raises(UnknownName, match=r"^unknown thing 'squre': did you mean square\?$"):
        table["squre"]
    with pytest.raises(UnknownName, match=r"^unknown thing 'x': known: round, square$"):
        table["x"]


@pytest.mark.parametrize(
    ("table", "group"),
    [
        (TARGETS, "intaglio.runtimes"),
        (STEPS, "intaglio.methods"),
        (TASKS, "intaglio.tasks"),
        (READERS, "intaglio.readers"),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_what_packages_can_add(table: Registry[object], group: str):
    assert table.group == group


def test_a_package_is_imported_when_its_entry_is_asked_for_and_not_before(
    things: Registry[str], install: Install
):
    install("tiny_package", TINY, GROUP, "tiny")

    assert things["ours"] == "our thing"
    assert "tiny" in things
    assert "tiny_package" not in sys.modules

    assert things["tiny"] == "a tiny thing"
    assert "tiny_package" in sys.modules


def test_a_package_is_imported_when_the_table_is_gone_through(
    things: Registry[str], install: Install
):
    install("tiny_package", TINY, GROUP, "tiny")

    assert list(things) == ["ours", "tiny"]
    assert things["tiny"] == "a tiny thing"


def test_a_package_is_imported_once(things: Registry[str], install: Install):
    install("tiny_package", TINY, GROUP, "tiny")

    for _ in range(3):
        assert list(things) == ["ours", "tiny"]
        assert things["tiny"] == "a tiny thing"


def test_a_package_that_was_imported_already_is_no_second_entry(
    things: Registry[str], install: Install
):
    install("tiny_package", TINY, GROUP, "tiny")
    __import__("tiny_package")

    assert things["tiny"] == "a tiny thing"
    assert list(things) == ["ours", "tiny"]


def test_one_module_may_add_several_entries(things: Registry[str], install: Install):
    code = 'from table_of_things import THINGS\nfor n in "abc": THINGS.register(n)(n * 2)\n'
    install("several", code, GROUP, "a", "b", "c")

    assert (things["b"], things["a"]) == ("bb", "aa")
    assert list(things) == ["a", "b", "c", "ours"]


def test_a_package_may_ask_for_our_entries_while_it_is_imported(
    things: Registry[str], install: Install
):
    code = """
        from table_of_things import THINGS

        THINGS.register("tiny")(THINGS["ours"] + " and more")
        assert len(list(THINGS)) == 2
    """
    install("asking", code, GROUP, "tiny")

    assert things["tiny"] == "our thing and more"


def test_an_unknown_name_is_answered_with_names_of_packages_which_are_not_imported(
    things: Registry[str], install: Install
):
    install("tiny_package", TINY, GROUP, "tiny")
    install("broken_package", BROKEN, GROUP, "broken")

    assert refusal(things, "tinny") == "unknown thing 'tinny': did you mean tiny?"
    assert refusal(things, "x") == "unknown thing 'x': known: broken, ours, tiny"
    assert not {"tiny_package", "broken_package"} & set(sys.modules)


def test_a_broken_package_is_an_error_for_who_asks_for_it(things: Registry[str], install: Install):
    install("broken_package", BROKEN, GROUP, "broken")

    assert things["ours"] == "our thing"
    first = refusal(things, "broken")

    for words in (
        "thing 'broken' of the package 'broken_package 1.5'",
        "entry point broken = broken_package of intaglio.things",
        "ModuleNotFoundError: No module named 'not_installed_here'",
    ):
        assert words in first
    assert refusal(things, "broken") == first  # half of its module ran: its entry does not count


def test_a_broken_package_is_left_out_of_the_list_with_a_warning(
    things: Registry[str], install: Install
):
    install("broken_package", BROKEN, GROUP, "broken")
    install("tiny_package", TINY, GROUP, "tiny")

    with pytest.warns(UserWarning, match="left out: thing 'broken' of the package") as told:
        names = list(things)

    assert names == ["ours", "tiny"]
    assert len(told) == 1
    assert told[0].filename == __file__


def test_a_package_that_does_not_register_its_name_is_broken(
    things: Registry[str], install: Install
):
    install("forgetful", TINY, GROUP, "tidy")

    assert "importing it does not register that name" in refusal(things, "tidy")


def test_a_package_cannot_replace_an_entry_of_ours(things: Registry[str], install: Install):
    code = 'from table_of_things import THINGS\nTHINGS.register("ours")("theirs")\n'
    install("greedy", code, GROUP, "ours")

    assert things["ours"] == "our thing"
    with pytest.warns(
        UserWarning,
        match="'ours' is registered twice: by intaglio or your own code, then by the package"
        " 'greedy 1.5'",
    ):
        assert list(things) == ["ours"]
    assert things["ours"] == "our thing"


def test_a_package_that_takes_a_name_of_ours_along_is_broken(
    things: Registry[str], install: Install
):
    code = TINY + '    THINGS.register("ours")("theirs")\n'
    install("greedy", code, GROUP, "tiny")

    assert "thing 'ours' is registered twice: by intaglio" in refusal(things, "tiny")
    assert things["ours"] == "our thing"


def test_two_packages_with_one_name_are_refused_by_both_names(
    things: Registry[str], install: Install
):
    install("first_package", TINY, GROUP, "tiny")
    install("second_package", TINY, GROUP, "tiny")

    message = refusal(things, "tiny")

    assert message.startswith("thing 'tiny' is registered twice: by the packages")
    assert "'first_package 1.5'" in message
    assert "'second_package 1.5'" in message
    with pytest.warns(UserWarning, match="registered twice"):
        assert list(things) == ["ours"]
    assert not {"first_package", "second_package"} & set(sys.modules)


def test_a_table_without_a_group_takes_nothing_of_packages(install: Install):
    install("tiny_package", TINY, GROUP, "tiny")
    table: Registry[int] = Registry("thing")

    assert "tiny" not in table
    assert list(table) == []


def test_a_step_of_a_package_is_found_by_its_name(
    install: Install, monkeypatch: pytest.MonkeyPatch
):
    code = """
        from dataclasses import dataclass

        from intaglio.methods.steps.steps import NUMBERS, register_step

        @register_step("nothing-at-all", NUMBERS, needs=())
        @dataclass(frozen=True)
        class Nothing:
            "Do nothing."
            def __call__(self, state, context):
                return state
    """
    install("idle", code, "intaglio.methods", "nothing-at-all")
    monkeypatch.setattr(STEPS, "_entries", dict(STEPS._entries))

    assert STEPS["nothing-at-all"].description == "Do nothing"


@pytest.mark.slow
def test_importing_intaglio_imports_no_package(install: Install):
    groups = ("runtimes", "methods", "tasks", "readers")
    for group in groups:
        install(f"loud_{group}", "raise SystemExit('imported')", f"intaglio.{group}", "loud")
    code = (
        "import sys, intaglio, intaglio.cli.main\n"
        "print([name for name in sys.modules if name.startswith('loud')])"
    )

    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )

    assert (ran.stderr, ran.stdout) == ("", "[]\n")


def test_no_warning_where_nothing_is_wrong(things: Registry[str], install: Install):
    install("tiny_package", TINY, GROUP, "tiny")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(things) == ["ours", "tiny"]
