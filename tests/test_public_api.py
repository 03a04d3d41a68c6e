"""What users import is there, takes what the contract says, and behaves as documented."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import intaglio
import intaglio.read.source
from architectures import images
from forks import python
from intaglio import errors
from intaglio.job.outcome import CHECK_IMAGES
from intaglio.passes.canonicalize import canonicalize
from intaglio.runtimes import LITERT

SURFACE = Path(intaglio.__file__)
READ = "assert read('mobilenet_v2').name == 'mobilenet_v2'"
SHAPE = (1, 3, 10, 10)
X = images(SHAPE, 9)


class Classifier(nn.Module):
    """A small network with an integer classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Hardswish())
        self.classify = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.features(x).mean((2, 3)))


@pytest.fixture(scope="module")
def result() -> intaglio.Result:
    torch.manual_seed(0)
    labels = torch.arange(9) % 4
    return intaglio.compress(Classifier().eval(), X[:1], data=X, evaluate=(X, labels))


def test_every_public_name_exists_and_is_documented():
    assert len(set(intaglio.__all__)) == len(intaglio.__all__)
    for name in intaglio.__all__:
        assert inspect.getdoc(getattr(intaglio, name)), name


def test_there_is_no_other_public_name():
    kinds = {name for name, value in vars(errors).items() if inspect.isclass(value)}

    assert {*intaglio._MODULES, *kinds} == set(intaglio.__all__)
    assert set(intaglio.__all__) <= set(dir(intaglio))
    with pytest.raises(AttributeError, match="module 'intaglio' has no attribute 'compres'"):
        intaglio.compres  # noqa: B018


def test_a_type_checker_sees_every_public_name():
    tree = ast.parse(SURFACE.read_text("utf-8"))

    seen = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("intaglio")
        for alias in node.names
    ]
    assert sorted(seen) == sorted(intaglio.__all__)


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, intaglio; print(*sys.modules)"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    heavy = {"torch", "numpy", "typer", "rich", "pydantic", "pyarrow", "PIL", "ai_edge_litert"}
    assert "intaglio.errors" in ran.stdout.split()
    assert not heavy & set(ran.stdout.split())


def complaints(*codes: str) -> str:
    """Run each code in a process that is fresh as to intaglio; return what was wrong."""
    ran = {code: python(code) for code in codes}
    return "".join(
        f"{code}: {done.stdout}{done.stderr}"
        for code, done in ran.items()
        if done.returncode or done.stdout or done.stderr
    )


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_any_public_name_may_be_the_first_that_is_imported():
    one_of_each = {module: name for name, module in intaglio._MODULES.items()}

    assert not complaints(*(f"from intaglio import {name}" for name in one_of_each.values()))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_tables_are_filled_whatever_was_imported_before():
    assert not complaints(
        "from intaglio import TARGETS; assert 'litert' in list(TARGETS)",
        "from intaglio.targets.target import TARGETS; import intaglio; intaglio.TARGETS['litert']",
        "from intaglio import register_step; from intaglio.methods import STEPS; STEPS['equalize']",
        "from intaglio import evaluate; from intaglio.tasks.task import TASKS; TASKS['classify']",
    )


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_read_is_a_function_and_a_package_whatever_was_imported_before():
    assert not complaints(
        f"import intaglio; read = intaglio.read; {READ}",
        f"import torch; from intaglio import read; {READ};"
        " read(torch.nn.ReLU(), torch.zeros(1, 2)).capture()",
        f"from intaglio import *; {READ}",
        f"import intaglio.read.source; read = intaglio.read; {READ}; read.source.read",
        f"import intaglio.read as read; {READ}; read.graph_of_program",
        f"from intaglio.read.source import read; {READ}; import intaglio; intaglio.read.source",
        f"import intaglio.job.compress; read = intaglio.read; {READ}",
    )


def test_read_shows_what_it_takes():
    assert inspect.signature(intaglio.read) == inspect.signature(intaglio.read.source.read)


def test_compress_takes_what_the_contract_says():
    parameters = inspect.signature(intaglio.compress).parameters

    shown = {name: (value.kind.name, value.default) for name, value in parameters.items()}
    assert shown == {
        "model": ("POSITIONAL_OR_KEYWORD", inspect.Parameter.empty),
        "example_input": ("POSITIONAL_OR_KEYWORD", None),
        "target": ("KEYWORD_ONLY", None),
        "data": ("KEYWORD_ONLY", None),
        "evaluate": ("KEYWORD_ONLY", None),
        "recipe": ("KEYWORD_ONLY", None),
        "options": ("KEYWORD_ONLY", None),
    }


def test_what_nobody_says_is_the_default_of_the_command_line(result):
    recipe = result.recipe

    assert (recipe.target, recipe.scheme, recipe.io, recipe.seed) == ("litert", "w8a8", "float", 0)
    names = {field.name for field in fields(intaglio.Options)}
    assert names >= {"scheme", "io", "seed", "device", "calibrator", "provenance", "progress"}


@pytest.mark.parametrize("size", [1, 2, 4, 5, 9])
def test_the_twin_takes_any_batch_and_equals_itself_image_by_image(result, size):
    whole = result.twin(X)

    parts = torch.cat([result.twin(part) for part in X.split(size)])

    assert whole.shape == (9, 4)
    assert whole.dtype == torch.float32
    assert torch.equal(parts, whole)


def test_the_twin_gives_its_raw_integers(result):
    (integers,) = result.twin.integers(X)
    grid = result.encodings.activations[result.graph.outputs[0]]

    assert integers.dtype == torch.int32
    assert -128 <= int(integers.min()) <= int(integers.max()) <= 127
    assert torch.equal((integers - grid.zero).float() * grid.scale, result.twin(X))


def test_the_twin_leaves_the_images_as_they_are_and_takes_any_layout(result):
    given = X.clone()
    last = X.contiguous(memory_format=torch.channels_last)

    assert torch.equal(result.twin(last), result.twin(given))
    assert torch.equal(given, X)


def test_a_printed_report_is_a_table(result):
    shown = str(result.report)

    assert len(shown.splitlines()) > 15
    for word in ("Top-1", "w8a8 per-channel", "0 mismatches", "features.0"):
        assert word in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_the_report_as_data_has_the_stable_keys(result):
    data = result.report.to_dict()

    top = "intaglio model target runtime scheme data float integer check steps layers kept_float"
    assert set(data) >= {*top.split(), "warnings"}
    assert set(data["float"]) >= {"top1", "top5", "n", "size_bytes", "macs", "params"}
    assert set(data["integer"]) >= {"top1", "agreement", "size_bytes", "logits_sqnr_db", "n"}
    assert data["check"]["mismatches"] == 0
    assert data["check"]["images"] == CHECK_IMAGES
    assert all({"name", "op", "weight_bits", "sqnr_db"} <= set(layer) for layer in data["layers"])


def test_accuracy_that_was_not_measured_has_no_key():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()

    data = intaglio.compress(module, X[:1], data=X).report.to_dict()

    assert not {"top1", "top5", "n"} & {*data["float"], *data["integer"]}
    assert "agreement" not in data["integer"]


def test_a_result_cannot_be_changed(result):
    with pytest.raises(AttributeError):
        result.content = b""


def test_zoo_networks_are_plain_modules():
    for name in ("mobilenet_v2_tf", "mobilenet_v1", "mobilenet_v3_small"):
        assert isinstance(getattr(intaglio.zoo, name)(width=0.25), nn.Module)


def test_capture_gives_a_graph_that_steps_can_be_called_on():
    torch.manual_seed(0)
    module = Classifier().eval()

    graph = intaglio.capture(module, X[:1])

    assert next(node.op for node in graph) == "input"
    assert canonicalize(graph)["fold_batch_norm"] == 1
    lowered = LITERT.lower(graph)
    assert lowered.changes["lower_hard_swish"] == 1


@pytest.mark.slow
def test_importing_starts_no_compiler_and_needs_no_torchvision():
    code = (
        "import sys\n"
        "from intaglio import *\n"
        "found = {'torchvision', 'tensorflow', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(', '.join(found) or None)\n"
    )

    ran = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True)

    assert ran.stderr.decode() == ""
    assert ran.returncode == 0


def test_types_come_with_the_package():
    assert (Path(intaglio.__file__).parent / "py.typed").is_file()
