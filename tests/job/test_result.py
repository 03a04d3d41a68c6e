"""A result saved and loaded is the same result; damaged and foreign folders are named."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import intaglio
from architectures import images
from intaglio.errors import NonFiniteError, OutputError, RequestError, UnsupportedByTarget
from intaglio.host.files import RESULT_FILES
from intaglio.host.sums import write_sums
from intaglio.recipe.recipe import find_recipe
from mutants import mutants

SHAPE = (1, 3, 12, 12)
X = images(SHAPE, 5)
OF_OTHERS = {
    "train.json",
    "weights.safetensors",
    "state.safetensors",
    "surgery.json",
    "network.pt2",
    "synthetic.safetensors",
}
"""Files that training, surgery and runs without images alone leave."""
OF_DETECTORS = {
    name for name in RESULT_FILES if name.startswith(("core", "postprocess", "detect", "boxes"))
}
FILES = set(RESULT_FILES) - OF_OTHERS - OF_DETECTORS
"""Of a network that was not trained."""


class Small(nn.Module):
    """A strided and a gated layer, and two outputs, one of them a softmax that stays float."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.gate = nn.Conv2d(8, 8, 1)
        self.classify = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.relu(self.first(x))
        x = x * torch.sigmoid(self.gate(x))
        return x, self.classify(x.mean((2, 3))).softmax(1)


def compressed(**options: str) -> intaglio.Result:
    torch.manual_seed(0)
    target = options.pop("target", "litert")
    chosen = intaglio.Options(**options)  # type: ignore[arg-type]
    return intaglio.compress(
        Small().eval(), X[:1], target=target, data=X, recipe="plain", options=chosen
    )


@pytest.fixture(scope="module")
def result() -> intaglio.Result:
    return compressed()


@pytest.fixture(scope="module")
def pristine(result: intaglio.Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("saved") / "out"
    result.save(place)
    return place


@pytest.fixture
def saved(pristine: Path, tmp_path: Path) -> Path:
    """Return a copy of a saved result, to be damaged."""
    return Path(shutil.copytree(pristine, tmp_path / "out"))


def load_resealed(saved: Path) -> intaglio.Result:
    """Load a damaged result whose sums are of the damaged files: as a hostile one would be."""
    write_sums(saved)
    return intaglio.load(saved)


def assert_same_result(again: intaglio.Result, result: intaglio.Result) -> None:
    assert again.content == result.content
    assert again.report.to_dict() == result.report.to_dict()
    assert (again.target, again.io) == (result.target, result.io)
    for kind in ("activations", "weights"):
        mine, theirs = getattr(again.encodings, kind), getattr(result.encodings, kind)
        assert list(mine) == list(theirs)
        assert all(mine[name].same_grid(theirs[name]) for name in theirs)
    for found, expected in zip(again.twin.integers(X), result.twin.integers(X), strict=True):
        assert torch.equal(found, expected)


def test_what_is_saved_loads_as_the_same_result(result, pristine):
    again = intaglio.load(pristine)

    assert_same_result(again, result)
    said = {key: value for key, value in result.recipe.ran.items() if value is not None}
    assert again.recipe == result.recipe.model_copy(update={"ran": said})


@pytest.mark.parametrize(
    "options",
    [
        {"io": "int8"},
        {"io": "uint8"},
        {"target": "litert-reference"},
        {"scheme": "w8a8-per-tensor"},
    ],
    ids=lambda options: next(iter(options.values())),
)
def test_results_of_other_options_load_too(options, tmp_path):
    result = compressed(**options)
    result.save(tmp_path / "out")

    assert_same_result(intaglio.load(str(tmp_path / "out")), result)


def test_the_folder_holds_exactly_the_files_of_the_contract(pristine):
    assert {path.name for path in pristine.iterdir()} == FILES
    assert [path.name for path in pristine.parent.iterdir()] == ["out"]  # nothing hidden is left


def test_the_same_result_saved_again_has_the_same_bytes(result, pristine, tmp_path):
    intaglio.load(pristine).save(tmp_path / "again")

    # report.json rounds what it shows, report.html is made of that, and is among the sums
    for name in FILES - {"report.html", "SHA256SUMS"}:
        assert (tmp_path / "again" / name).read_bytes() == (pristine / name).read_bytes(), name


def test_the_recipe_in_the_folder_is_a_recipe(pristine):
    recipe = find_recipe(str(pristine / "recipe.toml"))

    assert (recipe.name, recipe.calibrator, recipe.scheme) == ("plain", "minmax", "w8a8")
    assert (recipe.target, recipe.io, recipe.seed) == ("litert", "float", 0)


def test_an_older_result_is_replaced_as_a_whole_where_asked_for(result, saved):
    (saved / "model.tflite").write_bytes(b"old")

    with pytest.raises(OutputError, match=r"a result of intaglio \(model, w8a8 .*replace=True"):
        result.save(saved)
    result.save(saved, replace=True)

    assert {path.name for path in saved.iterdir()} == FILES
    assert (saved / "model.tflite").read_bytes() == result.content


def test_damage_is_noticed_before_anything_is_read(saved):
    content = (saved / "graph.safetensors").read_bytes()
    (saved / "graph.safetensors").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    with pytest.raises(RequestError, match=r"damaged: graph\.safetensors is not what SHA256SUMS"):
        intaglio.load(saved)


def test_a_result_of_an_older_version_loads_with_a_warning(result, saved):
    (saved / "SHA256SUMS").unlink()

    with pytest.warns(UserWarning, match="has no SHA256SUMS: it is of an older version"):
        again = intaglio.load(saved)

    assert_same_result(again, result)


def test_a_result_whose_files_were_being_moved_is_incomplete(saved):
    (saved / ".intaglio-moving-0123ab").mkdir()
    assert intaglio.load(saved)  # all were moved

    (saved / "SHA256SUMS").unlink()
    (saved / "report.json").unlink()
    with pytest.raises(RequestError, match="is incomplete: a run was stopped"):
        intaglio.load(saved)


def test_a_foreign_folder_is_refused_and_left_as_it_is(result, tmp_path):
    (tmp_path / "thesis.doc").write_text("years of work")

    with pytest.raises(OutputError, match="not a result of intaglio"):
        result.save(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]


def test_a_file_in_the_place_is_refused_and_left_as_it_is(result, tmp_path):
    (tmp_path / "out").write_text("a file")

    with pytest.raises(OutputError, match="is a file"):
        result.save(tmp_path / "out")

    assert (tmp_path / "out").read_text() == "a file"


@pytest.mark.parametrize("name", sorted(FILES - {"report.html", "model.tflite", "SHA256SUMS"}))
def test_a_truncated_file_is_named(saved, name):
    path = saved / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with pytest.raises(RequestError, match=name.replace(".", r"\.")) as caught:
        load_resealed(saved)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(FILES - {"report.html", "SHA256SUMS"}))
def test_a_missing_file_is_named(saved, name):
    (saved / name).unlink()

    with pytest.raises(RequestError, match=name.replace(".", r"\.")):
        load_resealed(saved)


@pytest.mark.parametrize("text", ["[]", "{}", "nonsense", "[" * 100_000, '{"activations": 3}'])
def test_encodings_that_are_none_are_named(saved, text):
    (saved / "encodings.json").write_text(text)

    with pytest.raises(RequestError, match=r"encodings\.json"):
        load_resealed(saved)


def change_encodings(saved: Path, change: Callable[[dict], object]) -> None:
    path = saved / "encodings.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file["activations"].pop("gate"), "has no grid for 'gate'"),
        (lambda file: file["weights"].pop("gate"), "has no grid for 'gate'"),
        (
            lambda file: file["activations"].update(other=file["activations"]["gate"]),
            "names, unlike the graph, 'other'",
        ),
        (
            lambda file: file["activations"].update({"a\nb": file["activations"]["gate"]}),
            r"names, unlike the graph, 'a\\nb'",
        ),
        (
            lambda file: file["weights"].update(gate=file["weights"]["classify"]),
            r"'gate' has 5 scales along axis 0 of a weight \[8, 8, 1, 1\]",
        ),
        (lambda file: file["weights"]["gate"].update(axis=9), "symmetric, narrow, axis 9"),
        (lambda file: file["weights"]["gate"].update(axis=1), "one along axis 0"),
        (
            lambda file: file["weights"]["gate"].update(symmetric=False),
            "'gate' has the grid 8 bits",
        ),
        (lambda file: file["weights"]["gate"].update(bits=9), "weights have 2 to 8 bits"),
        (lambda file: file["activations"]["gate"].update(bits=16), "values have 2 to 8 bits"),
        (lambda file: file["activations"]["gate"].update(narrow=True), "8 bits, signed, narrow"),
        (
            lambda file: file["activations"]["gate"].update(
                axis=0, scale=[1.0] * 8, zero_point=[0] * 8
            ),
            "and one scale",
        ),
    ],
)
def test_encodings_that_do_not_fit_the_graph_are_named(saved, change, said):
    change_encodings(saved, change)

    with pytest.raises(RequestError, match=rf"encodings\.json: .*{said}"):
        load_resealed(saved)


@pytest.mark.parametrize("name", ["graph.json", "encodings.json", "report.json"])
def test_every_mutant_of_a_file_is_refused_or_is_a_result_that_runs(saved, name):
    path = saved / name
    for document in mutants(json.loads(path.read_text()), 25, seed=1):
        path.write_text(json.dumps(document))
        with contextlib.suppress(RequestError):  # any other error fails the test
            again = load_resealed(saved)
            assert str(again.report)
            again.twin(X[:1])


RECIPES = (
    *("seed = 1" + "0" * 30, "limit = 0", "minutes = nan", "io = 'int4'", "keep_float = [1]"),
    *("a = " + "[" * 100_000, "a = " + "{b=" * 50_000, "x." * 130_000 + "y = 1", "[[steps]]"),
    *(
        "ran." + "x." * 400 + "y = 1",
        "steps." + "x." * 400 + "y = 1",
        '"a\\nb" = 1',
        "seed = 1e400",
    ),
    *(
        "seed = 0x" + "F" * 6000,
        "seed = 1" + "0" * 5000,
        "ran.t = 12:00:00",
        "[weight_bits]\na = 1.5",
    ),
)


@pytest.mark.parametrize("line", RECIPES, ids=lambda line: line[:20])
def test_a_recipe_that_is_none_is_refused_in_one_line(saved, line):
    path = saved / "recipe.toml"
    path.write_text(f"name = 'plain'\n{line}\n")

    with pytest.raises(RequestError) as refusal:
        load_resealed(saved)

    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 500


def test_a_recipe_that_is_huge_or_no_file_is_refused(saved):
    path = saved / "recipe.toml"
    path.write_text("#" * 300_000)
    with pytest.raises(RequestError, match=r"recipe\.toml: .* 300000 bytes, more than 262144"):
        load_resealed(saved)

    path.unlink()
    path.mkdir()
    with pytest.raises(RequestError, match=r"recipe\.toml is missing"):
        intaglio.load(saved)


def test_a_layer_that_reads_a_value_without_a_grid_is_named(saved):
    change_encodings(saved, lambda file: file["activations"].pop("first"))
    change_encodings(saved, lambda file: file["weights"].pop("first"))
    path = saved / "report.json"
    content = json.loads(path.read_text())
    content["kept_float"].append({"name": "first", "why": "because"})
    path.write_text(json.dumps(content))

    with pytest.raises(
        RequestError, match=r"encodings\.json: '.*' has a grid and the value 'first'"
    ):
        load_resealed(saved)


@pytest.mark.parametrize("change", [0.5, 2.0, 1e-30, 1e30])
def test_grids_that_no_kernel_can_hold_are_refused_with_their_layer(saved, change):
    def scaled(file: dict) -> None:
        for name in ("first", "gate"):
            file["activations"][name]["scale"] *= change

    change_encodings(saved, scaled)

    with contextlib.suppress(UnsupportedByTarget):
        load_resealed(saved).twin(X[:1])


def test_images_with_nan_are_refused_by_the_twin(result):
    with pytest.raises(NonFiniteError, match="NaN in 'x', whose values are to become integers"):
        result.twin(X * torch.nan)


def test_a_folder_that_is_no_result_is_named(tmp_path):
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(RequestError, match=f"{place} is not a result of intaglio"):
            intaglio.load(place)


def test_a_result_for_a_target_that_does_not_exist_is_refused(saved):
    path = saved / "report.json"
    path.write_text(path.read_text().replace('"target": "litert"', '"target": "litrt"'))

    with pytest.raises(RequestError, match="unknown target 'litrt': did you mean litert"):
        load_resealed(saved)
