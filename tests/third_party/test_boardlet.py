"""A runtime, a method, a task and a reader that no file of intaglio knows, from end to end."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

import intaglio
from intaglio.cli.main import main
from intaglio.errors import UnknownName, UnsupportedByTarget
from intaglio.host.files import RESULT_FILES
from intaglio.methods import STEPS
from intaglio.ops.exhaustive import missing
from intaglio.read.reader import READERS
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import Recipe
from intaglio.run.float import run_float
from intaglio.runtimes import TARGETS
from intaglio.tasks import TASKS

HERE = Path(__file__).resolve().parent / "installed"
SOURCE = Path(intaglio.__file__).resolve().parent
X = torch.randn(12, 3, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", autouse=True)
def installed() -> Iterator[None]:
    """Put the third party beside the installed packages, as its wheel would; take it away again."""
    tables = (TARGETS, STEPS, TASKS, READERS, RESULT_FILES)
    before = [dict(table._entries) for table in tables]
    sys.path.append(str(HERE))
    yield
    sys.path.remove(str(HERE))
    for table, entries in zip(tables, before, strict=True):
        table._entries.clear()
        table._entries.update(entries)
        table._failures.clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "boardlet"]:
        del sys.modules[name]


class Residual(nn.Module):
    """Strided, depthwise, pointwise, a sum, a mean, a linear layer."""

    def __init__(self, width: int = 8, outputs: int = 4) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.pointwise = nn.Conv2d(width, width, 1)
        self.linear = nn.Linear(width, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.norm(self.first(x)))
        z = nn.functional.relu6(self.pointwise(self.depthwise(y)))
        return self.linear((y + z).mean((2, 3)))


class TwoPoints(nn.Module):
    """A network with two outputs [N, 2]."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.left, self.right = Residual(outputs=8), nn.Linear(8, 2), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.body(x)
        return self.left(y), self.right(y)


def made(module: type[nn.Module] = Residual, seed: int = 0, **arguments: int) -> nn.Module:
    torch.manual_seed(seed)
    network = module(**arguments).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_var.uniform_(0.3, 2.0)
            layer.running_mean.normal_(0.0, 0.3)
    return network


def test_the_runtime_goes_through_plan_twin_file_check_and_report(tmp_path):
    result = intaglio.compress(made(), X[:1], target="boardlet", data=X, recipe="plain")

    check = result.report.check
    assert (check.mismatches, check.images) == (0, 8)
    assert check.values_compared > 8 * 1000
    assert result.report.scheme == "w7a7 per-channel"
    assert list(result.files) == ["model.board"]
    assert {layer.activation_bits for layer in result.report.layers} == {7}
    assert result.report.integer.logits_sqnr_db > 25.0
    result.save(tmp_path / "out")
    again = intaglio.load(tmp_path / "out")
    assert torch.equal(again.twin(X), result.twin(X))
    assert "boardlet 0.1" in (tmp_path / "out" / "report.html").read_text()
    with again.target.open(again.files) as runner:
        assert torch.equal(runner(X)[0], again.twin(X))


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    width=st.integers(1, 9),
    spread=st.floats(-3.0, 3.0),
    per_tensor=st.booleans(),
)
def test_twin_and_interpreter_agree_to_the_bit_on_any_network(seed, width, spread, per_tensor):
    network = made(seed=seed, width=width)
    images = X * 10.0**spread
    options = Options(scheme="w7a7-per-tensor" if per_tensor else "w7a7")
    try:
        result = intaglio.compress(
            network, X[:1], target="boardlet", data=images, recipe="plain", options=options
        )
    except UnsupportedByTarget:
        return  # scales that the board cannot shift

    assert result.report.check.mismatches == 0
    with result.target.open(result.files) as runner:
        assert torch.equal(runner(images)[0], result.twin(images))


def test_a_file_of_another_network_is_seen_by_the_check():
    first = intaglio.compress(made(), X[:1], target="boardlet", data=X, recipe="plain")
    second = intaglio.compress(made(seed=1), X[:1], target="boardlet", data=X, recipe="plain")

    counts = first.target.check(second.files, first.twin, [X[:2]])

    assert counts.mismatches > 0
    assert counts.worst


def test_an_op_that_the_board_lacks_is_refused_by_the_user_s_layer():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Tanh())

    with pytest.raises(UnsupportedByTarget, match=r"boardlet cannot hold layer '1' \(tanh\)"):
        intaglio.compress(network, X[:1], target="boardlet", data=X, recipe="plain")


def test_a_scheme_of_8_bits_is_none_of_the_board_s():
    with pytest.raises(UnknownName, match=r"'w8a8' cannot be held by target boardlet.*w7a7"):
        intaglio.compress(made(), X[:1], target="boardlet", data=X, options=Options(scheme="w8a8"))


def test_the_search_and_the_doctor_know_nothing_of_the_board_and_work():
    recipe = Recipe(name="auto", search=True, judged_share=0.3, minutes=5.0)
    result = intaglio.compress(made(), X[:1], target="boardlet", data=X, recipe=recipe)

    assert result.report.attempts
    assert result.report.check.mismatches == 0
    assert result.report.doctor is not None


def test_the_commands_take_the_runtime_and_the_reader(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.widths").write_text("6 8")
    for number in range(8):
        place = tmp_path / "images" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(place / f"{number}.png")
    prepared = ("--preprocess", "mean=0.5,std=0.5")
    asked = ("--data", "images", *prepared, "--target", "boardlet", "--recipe", "plain")

    codes = [
        main(["compress", "net.widths", *asked, "--eval", "images", "--out", "out"]),
        main(["check", "out", "--data", "images"]),
        main(["evaluate", "out", "--eval", "images"]),
        main(["evaluate", "out/model.board", "--eval", "images", "--json"]),
        main(["inspect", "net.widths", "--target", "boardlet"]),
        main(["doctor", "net.widths", "--data", "images", *prepared, "--target", "boardlet"]),
    ]

    told = capsys.readouterr()
    assert codes == [0] * 6, told.err
    assert "0 mismatches" in told.out
    assert "boardlet 0.1" in told.out


def test_the_method_is_a_step_of_recipes():
    recipe = Recipe(name="clipped", steps=[{"name": "clip-weights", "share": 0.5}])

    plain = intaglio.compress(made(), X[:1], data=X, recipe="plain")
    clipped = intaglio.compress(made(), X[:1], data=X, recipe=recipe)

    assert [step.name for step in clipped.report.steps].count("clip-weights") == 1
    assert clipped.report.check.mismatches == 0
    # it alters the network, so that the outputs are judged against the one that was given
    (real,) = run_float(intaglio.capture(made(), X[:1]), X[:8])
    lost = real - clipped.twin(X[:8])
    sqnr = 10 * torch.log10(real.square().sum() / lost.square().sum())
    assert clipped.report.integer.logits_sqnr_db == pytest.approx(float(sqnr), abs=0.01)
    assert clipped.report.integer.logits_sqnr_db < plain.report.integer.logits_sqnr_db - 3.0


def test_the_task_gives_the_figures_of_its_networks_and_a_section_of_the_report(tmp_path):
    network = made(TwoPoints)
    with torch.no_grad():
        points = torch.stack(network(X), 1)

    result = intaglio.compress(
        network, X[:1], target="boardlet", data=X, evaluate=(X, points), recipe="plain"
    )

    plain = result.report.to_dict()
    assert plain["task"] == "points"
    assert plain["float"]["near"] == 100.0
    assert 0.0 <= plain["integer"]["near"] <= 100.0
    lost = plain["float"]["near"] - plain["integer"]["near"]
    assert "Points within a tenth" in str(result.report)
    assert f"Points lost  {lost:.2f} %" in str(result.report)
    result.save(tmp_path / "out")
    assert "Points lost" in (tmp_path / "out" / "report.html").read_text()
    assert "Points lost" in str(intaglio.load(tmp_path / "out").report)


def test_nothing_of_the_third_party_is_imported_before_its_name_is_asked_for():
    code = (
        f"import sys; sys.path.append({str(HERE)!r})\n"
        "import intaglio\n"
        "from intaglio.runtimes import TARGETS\n"
        "before = 'boardlet' in sys.modules\n"
        "TARGETS['boardlet']\n"
        "sys.exit(before or 'boardlet.target' not in sys.modules)\n"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_file_of_the_package_names_the_third_party():
    for file in SOURCE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert "boardlet" not in text, file
        assert "clip-weights" not in text, file


def test_the_interpreter_shares_no_code_with_the_twin():
    tree = ast.parse((HERE / "boardlet" / "interpreter.py").read_text())
    used = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }

    assert used == {"__future__", "base64", "json", "typing", "numpy", "numpy.typing"}


def test_the_tables_of_the_board_are_held_to_the_rule_of_ours():
    kernels = TARGETS["boardlet"].kernels
    absent = missing("kernels of boardlet", kernels, {})

    assert "kernels of boardlet: 'tanh' is missing; add it, or refuse it with a reason" in absent
    assert not any("'conv2d'" in line for line in absent)
