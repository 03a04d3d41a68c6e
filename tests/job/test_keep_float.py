"""Layers kept in float, the whole way: asked for, reported, repeated, and worth it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import intaglio
from architectures import images
from intaglio.errors import RequestError, UnknownName
from intaglio.recipe.recipe import Recipe, find_recipe, to_toml
from intaglio.runtimes import TARGETS
from runtimes.litert.checked import check_file

SHAPE = (1, 3, 16, 16)
X = images(SHAPE, 12)


class Residual(nn.Module):
    """x + f(x)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.activation = nn.Hardswish()
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.mix(self.activation(self.spatial(x)))


def network(outlier: float = 1.0) -> nn.Module:
    """Return a small network; the first channel of layer "4"'s weight is `outlier` times as large.

    Layer "5" takes it back, so that the float function hardly depends on it.
    """
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU6(),
        Residual(8),
        nn.Conv2d(8, 8, 1),
        nn.Conv2d(8, 8, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    ).eval()
    with torch.no_grad():
        module[4].weight[0] *= outlier
        module[4].bias[0] *= outlier
        module[5].weight[:, 0] /= outlier
    return module


def compressed(*kept: str, target: str = "litert", module: nn.Module | None = None, **options):
    recipe = options.pop("recipe", "plain")
    # random weights give outputs that hardly vary
    chosen = intaglio.Options(keep_float=kept, min_sqnr=0.0, **options)
    module = module or network()
    return intaglio.compress(module, X[:1], target=target, data=X, recipe=recipe, options=chosen)


@pytest.mark.parametrize("target", list(TARGETS))
@pytest.mark.parametrize("kept", [("0",), ("3.spatial",), ("8",), ("3.add",), ("3",), ("4", "5")])
def test_a_network_with_layers_in_float_is_exact_in_its_integers(kept, target):
    result = compressed(*kept, target=target)

    check, named = (
        result.report.check,
        {entry.name: entry.why for entry in result.report.kept_float},
    )
    assert check.mismatches == 0
    assert check.values_compared > 1000
    assert any(why == "asked for (keep_float)" for why in named.values())
    rows = {row.name: row for row in result.report.layers}
    assert all(
        rows[name].activation_bits is rows[name].weight_bits is None
        for name in named
        if name in rows
    )
    # random weights: what is left of the outputs is warned of, and nothing else
    assert not [said for said in result.report.warnings if "SQNR" not in said]
    if kept == ("8",):
        assert check.border_values is None
    else:
        assert check.border_equal >= 0.99 * check.border_values


def test_the_report_names_what_was_asked_for_and_its_company():
    result = compressed("0", "3")

    assert [(entry.name, entry.why) for entry in result.report.kept_float] == [
        (result.graph.inputs[0], "a layer in float reads it: the file takes float32"),
        ("0.pad", "asked for (keep_float)"),
        ("0", "asked for (keep_float)"),
        ("3.spatial", "asked for (keep_float)"),
        ("3.activation.constant", "a layer in float reads it"),
        ("3.activation.gate", "asked for (keep_float)"),
        ("3.activation.product", "asked for (keep_float)"),
        ("3.mix", "asked for (keep_float)"),
        ("3.add", "asked for (keep_float)"),
    ]
    text = str(result.report)
    assert "Kept in float: 3.mix: asked for (keep_float)" in text
    assert "behind layers in float" in text.replace("\n", " ")


@pytest.mark.slow
def test_a_layer_that_8_bits_hurt_is_better_kept_in_float():
    module, scheme = network(outlier=3000.0), "w8a8-per-tensor"

    hurt = compressed(module=module, scheme=scheme)
    kept = compressed("4", "5", module=module, scheme=scheme)
    elsewhere = compressed("3.spatial", module=module, scheme=scheme)

    assert hurt.report.integer.logits_sqnr_db < 10
    assert elsewhere.report.integer.logits_sqnr_db < 10
    assert kept.report.integer.logits_sqnr_db > 25
    assert kept.report.check.mismatches == 0


def test_the_sqnr_is_that_of_the_output_also_where_it_is_float():
    result = compressed("8")

    (row,) = [row for row in result.report.layers if row.name == result.graph.outputs[0]]
    assert row.activation_bits is None
    assert result.report.integer.logits_sqnr_db == row.sqnr_db > 20


@pytest.mark.parametrize("kept", [("0", "3.mix"), ("8",), ("3",)])
def test_a_saved_result_is_loaded_with_its_layers_in_float(tmp_path, kept):
    result = compressed(*kept)
    result.save(tmp_path / "out")

    again = intaglio.load(tmp_path / "out")

    assert again.recipe.keep_float == list(kept)
    assert again.report.kept_float == result.report.kept_float
    assert torch.equal(again.twin(X), result.twin(X))
    assert check_file(again.content, again.twin, [X[:2]]).mismatches == 0
    (output,) = again.twin.integers(X[:2])
    assert output.dtype == (torch.float32 if kept == ("8",) else torch.int32)


def test_the_recipe_that_is_written_repeats_the_run(tmp_path):
    result = compressed("3.mix", "8")
    path = tmp_path / "recipe.toml"
    path.write_text(to_toml(result.recipe), encoding="utf-8")

    again = compressed(recipe=find_recipe(str(path)))

    assert 'keep_float = ["3.mix", "8"]' in path.read_text(encoding="utf-8")
    assert again.content == result.content


@pytest.mark.slow
def test_the_callers_layers_go_before_the_recipes():
    recipe = Recipe(keep_float=["8"])

    assert compressed("4", recipe=recipe).recipe.keep_float == ["4"]
    assert compressed(recipe=recipe).recipe.keep_float == ["8"]
    assert compressed().recipe.keep_float is None


def test_an_unknown_layer_is_refused_before_any_image_is_read():
    def untouched():
        raise AssertionError("an image was read")
        yield

    with pytest.raises(UnknownName, match=r"unknown layer '3.mic': did you mean 3.mix"):
        intaglio.compress(
            network(),
            X[:1],
            data=untouched(),
            recipe="plain",
            options=intaglio.Options(keep_float=("3.mic",)),
        )


def test_keeping_every_layer_is_refused_with_both_keys():
    with pytest.raises(RequestError, match=r"keep_float names all 6 layers.*scheme"):
        compressed("0", "3", "4", "5", "8")


@pytest.mark.parametrize("io", ["int8", "uint8"])
def test_a_file_of_integers_still_takes_float_images_where_the_first_layer_is_float(io):
    result = compressed("0", io=io)

    assert result.report.check.mismatches == 0
    assert "the file takes float32" in result.report.kept_float[0].why


def not_composed(graph):
    """Stand for a pass that makes nothing of a softmax, which then has no integer form."""
    return 0


def test_a_layer_without_an_integer_form_stays_in_float_only_where_that_is_allowed(monkeypatch):
    monkeypatch.setattr("intaglio.runtimes.litert.lower.lower.lower_softmax", not_composed)
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Softmax(1), nn.Conv2d(8, 4, 1)).eval()

    with pytest.raises(RequestError, match=r"cannot hold layer '1' \(softmax\)"):
        compressed(module=module)
    result = compressed(module=module, allow_float=True)

    (kept,) = result.report.kept_float
    assert kept.why.startswith("no integer form of softmax: ")
    assert result.report.check.mismatches == 0
    assert result.recipe.keep_float == ["1"]


def test_a_softmax_between_layers_is_composed_of_integer_ops():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Softmax(1), nn.Conv2d(8, 4, 1)).eval()

    result = compressed(module=module)

    assert not result.report.kept_float
    assert result.report.check.mismatches == 0
