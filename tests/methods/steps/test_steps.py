"""The table of steps: what a step needs is asked for before any work."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from intaglio.errors import RequestError, UnknownName
from intaglio.methods import STEPS
from intaglio.methods.steps.steps import NUMBERS, is_altered, refuse_unmet, register_step


@pytest.fixture
def learner(monkeypatch):
    """A step that needs everything; the table forgets it afterwards."""
    monkeypatch.setattr(STEPS, "_entries", dict(STEPS._entries))

    @register_step("learner", NUMBERS, needs=("images", "labels", "stream", "task"))
    @dataclass(frozen=True)
    class Learner:
        """Learn."""

        def __call__(self, state, context):
            return state

    return {"name": "learner"}


@pytest.mark.parametrize("missing", ["images", "labels", "stream", "task"])
def test_a_need_that_is_not_met_is_refused_with_what_to_give(learner, missing):
    has = {"images", "labels", "stream", "task"} - {missing}
    how = {
        "images": "--data DIR",
        "labels": "a folder for each",
        "stream": r"Context\(stream=...\)",
        "task": "compress gives the task",
    }

    with pytest.raises(RequestError, match=f"'learner' needs '{missing}'.*{how[missing]}"):
        refuse_unmet([{"name": "fold-dead-channels"}, learner], has)


def test_needs_that_are_met_are_not_refused(learner):
    refuse_unmet([learner], {"images", "labels", "stream", "task"})
    refuse_unmet([{"name": "fold-dead-channels"}], set())
    refuse_unmet([], set())


def test_an_unknown_step_is_named():
    with pytest.raises(UnknownName, match=r"unknown step 'brec'.*brecq"):
        refuse_unmet([{"name": "brec"}], {"images"})


def test_a_need_that_nothing_can_meet_is_a_mistake_of_the_step():
    with pytest.raises(ValueError, match=r"step 'odd' needs \['pictures'\]"):
        register_step("odd", NUMBERS, needs=("pictures",))


def test_the_steps_that_alter_the_function_say_so():
    altering = ["drop-squeeze-excite", "equalize-implied"]
    altering += ["replace-hard-swish", "replace-relu6", "replace-silu"]
    assert [name for name in STEPS if STEPS[name].alters] == altering
    assert is_altered([{"name": "equalize"}, {"name": "replace-relu6"}])
    assert not is_altered([{"name": "equalize"}])
