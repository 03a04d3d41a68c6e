"""Recipes by name and from TOML: what is written reads back, what is unknown is named."""

from __future__ import annotations

import os
import tomllib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intaglio.calibrate import CALIBRATORS
from intaglio.errors import RequestError, UnknownName
from intaglio.recipe.recipe import RECIPES, Recipe, find_recipe, refuse_contradictions, to_toml

TEXT = st.text(st.characters(exclude_categories=["Cs"]))  # no lone surrogates: TOML has none
NUMBER = st.integers(-(2**63), 2**63 - 1)
VALUE = st.none() | TEXT | NUMBER | st.floats(allow_nan=False) | st.booleans()
ODD = [
    'say "x"',
    "back\\slash",
    "new\nline\r\ttab\x00\x1f\x7f\x85",
    "naïve 網路 😀",
    "[ran]",
    "\u2028",
]
RECIPE = st.builds(
    Recipe,
    name=TEXT | st.sampled_from(ODD),
    description=TEXT,
    calibrator=st.sampled_from(list(CALIBRATORS)),
    target=st.none() | TEXT,
    scheme=st.none() | TEXT,
    io=st.sampled_from([None, "float", "int8", "uint8"]),
    seed=st.none() | NUMBER,
    limit=st.none() | st.integers(1, 2**63 - 1),
    ran=st.dictionaries(TEXT | st.sampled_from(ODD), VALUE, max_size=4),
)


def without_none(recipe: Recipe) -> Recipe:
    said = {key: value for key, value in recipe.ran.items() if value is not None}
    return recipe.model_copy(update={"ran": said})


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(RECIPE)
def test_what_is_written_reads_back(tmp_path, recipe):
    path = tmp_path / "recipe.toml"
    path.write_bytes(to_toml(recipe).encode("utf-8"))

    again = find_recipe(str(path))

    assert again == without_none(recipe)
    kinds = [{key: type(value) for key, value in one.ran.items()} for one in (again, recipe)]
    assert kinds[0].items() <= kinds[1].items()
    assert to_toml(again) == to_toml(without_none(recipe))


@pytest.mark.parametrize("text", ODD)
def test_odd_names_are_toml(text):
    assert tomllib.loads(to_toml(Recipe(name=text)))["name"] == text


def test_a_file_name_that_is_no_utf8_is_written_as_an_escape():
    name = os.fsdecode(b"caf\xe9")

    content = to_toml(Recipe(ran={"data": name})).encode("utf-8")

    assert tomllib.loads(content.decode("utf-8"))["ran"]["data"] == r"caf\udce9"


def test_what_is_none_is_not_written():
    assert to_toml(Recipe()) == 'name = "plain"\ndescription = ""\ncalibrator = "minmax"\n'


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_named_recipe_names_a_calibrator_that_exists(name):
    recipe = find_recipe(name)

    assert recipe.name == name
    assert recipe.description
    assert recipe.calibrator in CALIBRATORS


def test_an_unknown_recipe_offers_the_nearest():
    with pytest.raises(UnknownName, match=r"unknown recipe 'plian': did you mean plain"):
        find_recipe("plian")


def written(tmp_path, content: str | bytes):
    path = tmp_path / "own.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_a_file_may_leave_everything_out(tmp_path):
    assert find_recipe(written(tmp_path, "")) == Recipe()


def test_an_unknown_key_is_named_with_the_known_ones(tmp_path):
    path = written(tmp_path, 'name = "own"\ncalibartor = "minmax"\n')

    with pytest.raises(UnknownName, match=r"own\.toml: unknown key 'calibartor'.*calibrator"):
        find_recipe(path)


def test_an_unknown_calibrator_offers_the_nearest(tmp_path):
    with pytest.raises(UnknownName, match="'min-max': did you mean minmax"):
        find_recipe(written(tmp_path, 'calibrator = "min-max"\n'))


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ("seed = 0.5", "seed"),
        ('limit = "many"', "limit"),
        ('search = true\nladder = "rope"', "ladder"),
        ("io = 8", "io"),
        ("name = 3", "name"),
        ("[ran]\nmodel = [1]", "ran.model"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_key(tmp_path, content, key):
    with pytest.raises(RequestError, match=rf"own\.toml: key '{key}") as caught:
        find_recipe(written(tmp_path, content))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["name = ", "name", b"name = '\xff'", 'name = "a"\nname = "b"'])
def test_a_file_that_is_no_toml_is_named(tmp_path, content):
    with pytest.raises(RequestError, match=r"own\.toml: cannot be read as a recipe"):
        find_recipe(written(tmp_path, content))


@pytest.mark.parametrize("number", [str(2**63), str(-(2**63) - 1), "0x" + "f" * 5000])
@pytest.mark.parametrize(
    "content",
    [
        "limit = {}",
        "keep_float = [[{}]]",
        "weight_bits = {{limit = {}}}",
        "[[steps]]\nname = 'allocate-bits'\nlimit = {}",
        "[ran]\nlimit = {}",
    ],
)
def test_a_whole_number_beyond_64_bits_is_refused_by_key(tmp_path, content, number):
    (tmp_path / "own.toml").write_text(content.format(number))

    with pytest.raises(
        RequestError, match=r"key '(limit|keep_float)' has a whole number beyond 64"
    ):
        find_recipe(str(tmp_path / "own.toml"))


@pytest.mark.parametrize("depth", [100, 400, 1000, 20_000])
@pytest.mark.parametrize("pair", ["[ ]", "{a= }", "[{a= }]"])
def test_nesting_of_any_depth_is_refused_and_no_crash(tmp_path, depth, pair):
    opening, closing = pair.split(" ")
    text = f"[[steps]]\nname = 'equalize'\ndeviations = {opening * depth}1{closing * depth}\n"
    (tmp_path / "own.toml").write_text(text)

    with pytest.raises(RequestError, match=r"nested too deeply|should be a valid number"):
        find_recipe(str(tmp_path / "own.toml"))


def test_a_file_that_is_missing_or_a_folder_is_named(tmp_path):
    (tmp_path / "folder.toml").mkdir()

    for name in ("missing.toml", "folder.toml"):
        with pytest.raises(RequestError, match=f"{name}: cannot be read"):
            find_recipe(str(tmp_path / name))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"search": True, "steps": [{"name": "equalize"}]}, "'search' and 'steps' contradict"),
        ({"search": True, "weight_bits": {"a": 4}}, "'search' and 'weight_bits' contradict"),
        ({"minutes": 3.0}, "'minutes' is for a search, but 'search' is false"),
        ({"ladder": "workflow"}, "'ladder' is for a search, but 'search' is false"),
        (
            {"search": True, "ladder": "workflow", "calibrator": "mse"},
            "ladder 'workflow' tries calibrators of its own, and contradicts calibrator 'mse'",
        ),
        (
            {"search": True, "ladder": "workflow", "allow_float": False},
            "ladder 'workflow' leaves layers in float .* contradicts allow_float = false",
        ),
        (
            {"steps": [{"name": "correct-bias"}, {"name": "equalize"}]},
            "'equalize' changes the float network and comes behind 'correct-bias'",
        ),
        (
            {"weight_bits": {"a": 4}, "steps": [{"name": "allocate-bits"}]},
            "'allocate-bits' and 'weight_bits' both decide bits",
        ),
        (
            {"steps": [{"name": "round-second-order", "sweeps": "many"}]},
            "step 'round-second-order', setting 'sweeps': .* got 'many'",
        ),
    ],
)
def test_a_recipe_that_contradicts_itself_is_refused_with_both_keys_named(values, said):
    with pytest.raises(RequestError, match=said):
        refuse_contradictions(Recipe(name="mine", **values))


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"name": "equalise"}, "unknown step 'equalise': did you mean equalize"),
        ({}, "unknown step ''"),
        (
            {"name": "round-second-order", "sweep": 3},
            "unknown setting 'sweep' of step 'round-second-order': known are ridge",
        ),
    ],
)
def test_an_unknown_step_or_setting_is_refused_with_what_there_is(step, said):
    with pytest.raises(UnknownName, match=said):
        refuse_contradictions(Recipe(steps=[step]))


def test_a_setting_that_is_a_table_is_written_as_one_and_read_back(tmp_path):
    options = {"epochs": 7.3, "flip": True, "schedule": "cosine"}
    steps = [{"name": "train", "options": options, "method": "fixed"}, {"name": "correct-bias"}]
    recipe = Recipe(name="mine", steps=steps, ran={"model": "net"})

    written_text = to_toml(recipe)

    assert '[steps.options]\nepochs = 7.3\nflip = true\nschedule = "cosine"\n' in written_text
    assert find_recipe(written(tmp_path, written_text)).steps == steps


def test_steps_bits_and_wishes_are_written_and_read_back(tmp_path):
    recipe = Recipe(
        name="mine",
        steps=[{"name": "fold-dead-channels"}, {"name": "round-second-order", "ridge": 0.5}],
        weight_bits={"features.1.conv": 4, "head": 8},
        keep_float=["a.b"],
        judged_share=0.2,
        tuning_images=77,
        task="values",
        max_drop=0.0,
        min_sqnr=0.0,
        allow_float=False,
    )
    path = tmp_path / "mine.toml"
    path.write_text(to_toml(recipe), encoding="utf-8")

    assert find_recipe(str(path)) == recipe
