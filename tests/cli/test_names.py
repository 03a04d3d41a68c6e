"""The names that the command line knows without torch are those of the package's tables."""

from __future__ import annotations

import json

import pytest

from cli.scripts import make_names
from cli.tiny import intaglio
from intaglio.calibrate import CALIBRATORS
from intaglio.cli.names import MODELS, TABLES, refuse_unknown_names
from intaglio.cli.options import CompressRequest, InspectRequest, ListRequest
from intaglio.cli.train_options import TrainRequest
from intaglio.errors import UnknownName
from intaglio.methods.train.qat import METHODS
from intaglio.recipe.recipe import RECIPES
from intaglio.registry import Registry
from intaglio.runtimes import TARGETS
from intaglio.tasks import TASKS
from intaglio.zoo import names

REAL: dict[str, Registry] = {
    "recipe": RECIPES,
    "target": TARGETS,
    "calibrator": CALIBRATORS,
    "method": METHODS,
    "task": TASKS,
}


@pytest.mark.slow
def test_the_file_of_names_is_current():
    written = json.loads(make_names.FILE.read_text("utf-8"))

    assert written == make_names.content(), "run: python docs/make_names.py"


def test_every_network_of_the_zoo_is_in_the_file_of_names():
    assert [row["name"] for row in MODELS] == list(names()), "run: python docs/make_names.py"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_a_table_of_names_is_the_real_one_without_its_things(table: Registry):
    real = REAL[table.kind]

    assert list(table) == list(real), "run: python docs/make_names.py"
    assert (table.kind, table.group) == (real.kind, real.group)


@pytest.mark.parametrize("kind", REAL)
def test_an_unknown_name_is_refused_in_the_words_of_the_real_table(kind: str):
    with pytest.raises(UnknownName) as early:
        refuse_unknown_names(TrainRequest("mobilenet_v2", "images", **{kind: "minmx"}))
    with pytest.raises(UnknownName) as late:
        REAL[kind]["minmx"]

    assert str(early.value) == str(late.value)


def test_what_is_not_said_or_a_file_is_no_unknown_name():
    for request in (
        CompressRequest("mobilenet_v2"),
        CompressRequest("mobilenet_v2", recipe="my.toml", target="litert", calibrator="mse"),
        InspectRequest("mobilenet_v2", target="litert-reference"),
        ListRequest(),
    ):
        refuse_unknown_names(request)


def test_an_unknown_recipe_is_refused_before_the_network_is_looked_for(
    capsys: pytest.CaptureFixture,
):
    assert intaglio("compress", "no_such_network", "--recipe", "accurat") == 2

    assert "unknown recipe 'accurat': did you mean accurate" in capsys.readouterr().err
