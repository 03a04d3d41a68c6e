"""Training from end to end in Python."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import intaglio
from intaglio.data.part import Unlabelled
from intaglio.data.tensor_samples import TensorSamples
from intaglio.errors import DataError, RequestError
from intaglio.job.training import by_user_names, wished
from intaglio.methods.learn.processes import Processes
from intaglio.recipe.recipe import Recipe, TrainTable
from intaglio.report.layers import measure_layers

SHAPE = (1, 3, 8, 8)
FAST = intaglio.TrainOptions(epochs=4, batch=16, lr=0.05)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(72, 3),
    ).eval()


def colours(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return noisy images in three colours, and which colour it is."""
    labels = torch.arange(count) % 3
    noise = torch.randn(count, *SHAPE[1:], generator=torch.Generator().manual_seed(seed))
    return noise + 2.0 * nn.functional.one_hot(labels, 3)[:, :, None, None], labels


DATA, OTHER = colours(96, 1), colours(60, 2)


def trained(**more: object) -> intaglio.TrainResult:
    words = {"data": DATA, "evaluate": OTHER, "options": FAST, **more}
    around = {field.name for field in fields(intaglio.TrainRun)}
    run = intaglio.TrainRun(**{name: words.pop(name) for name in around & words.keys()})
    return intaglio.train(network(), run=run, **words)


@pytest.fixture(scope="module")
def in_integers() -> intaglio.TrainResult:
    return trained()


def test_the_integer_network_learns_and_is_that_of_the_file(
    in_integers: intaglio.TrainResult,
) -> None:
    result, record = in_integers.result, in_integers.record

    assert record["start"]["top1"] < 60 < 90 < record["final"]["top1"]
    assert record["final"]["top1"] == result.report.integer.figures["top1"]
    assert result.report.check.mismatches == 0
    right = result.twin(OTHER[0]).argmax(1) == OTHER[1]
    assert 100 * right.double().mean() == pytest.approx(record["final"]["top1"])


def test_the_start_is_what_compressing_with_the_same_recipe_gives(
    in_integers: intaglio.TrainResult,
) -> None:
    recipe = in_integers.recipe.model_copy(update={"train": None})

    plain = intaglio.compress(
        network(), torch.zeros(SHAPE), data=DATA[0], evaluate=OTHER, recipe=recipe
    )

    assert in_integers.record["start"]["top1"] == pytest.approx(
        plain.report.integer.figures["top1"], abs=5
    )


def test_the_users_module_takes_the_weights_and_computes_the_trained_float_network() -> None:
    found = trained(scheme="float")
    module = network()

    module.load_state_dict(dict(found.weights))

    with torch.no_grad():
        right = module(OTHER[0]).argmax(1) == OTHER[1]
    assert 100 * right.double().mean() == pytest.approx(found.record["final"]["top1"])
    assert found.record["start"]["top1"] < found.record["final"]["top1"]
    assert found.result is None


def test_the_users_module_is_not_changed() -> None:
    module = network()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}

    intaglio.train(module, data=DATA, options=FAST, scheme="w4a4")

    assert all(torch.equal(before[name], now) for name, now in module.state_dict().items())


def test_a_tied_tensor_is_the_same_under_both_names() -> None:
    tied = torch.zeros(3, 3)
    own = {"first": tied, "second": tied, "counter": torch.tensor(7)}

    found = by_user_names({"first": torch.ones(3, 3), "not the user's": tied}, own)

    assert torch.equal(found["second"], found["first"])
    assert int(found["counter"]) == 7
    assert set(found) == set(own)


def test_out_keeps_the_state_until_the_result_is_saved(tmp_path: Path) -> None:
    kept = tmp_path / ".out.intaglio-training"

    found = trained(out=tmp_path / "out", evaluate=None)
    assert [path.name for path in kept.iterdir()] == ["state.safetensors"]
    again = trained(out=tmp_path / "out", evaluate=None, resume=True)
    again.save(tmp_path / "out")

    assert not kept.exists()
    assert intaglio.load(tmp_path / "out").content == found.result.content
    stored = load_file(tmp_path / "out" / "weights.safetensors")
    assert all(torch.equal(stored[name], tensor) for name, tensor in found.weights.items())
    assert (found.record["start"], found.record["final"]) == ({}, {})


@pytest.mark.parametrize("change", [{"scheme": "w8a8-per-tensor"}, {"method": "exact"}])
def test_another_run_is_not_gone_on_with(tmp_path: Path, change: dict[str, str]) -> None:
    trained(out=tmp_path / "out", evaluate=None)

    with pytest.raises(RequestError, match="the training that is to go on was another one"):
        trained(out=tmp_path / "out", evaluate=None, resume=True, **change)


def test_images_alone_are_enough_for_the_float_networks_lessons() -> None:
    found = trained(data=DATA[0], options=FAST.model_copy(update={"distill": 1.0}))

    assert found.record["held_out"]["last"] <= 0  # minus the distance
    with pytest.raises(DataError, match="there are no labels to learn from"):
        trained(data=DATA[0])


def test_labels_that_are_none_of_the_networks_are_refused_before_any_work() -> None:
    with pytest.raises(DataError, match=r"class index 3 is out of range: .* 3 classes"):
        trained(data=(DATA[0], DATA[1] + 1))


@pytest.mark.parametrize(("method", "precision"), [("lsq", "fp16"), ("exact", "bf16")])
def test_training_in_half_precision_ends_in_a_file_that_equals_its_twin(
    method: str, precision: str
) -> None:
    found = trained(method=method, options=FAST.model_copy(update={"precision": precision}))

    assert found.result.report.check.mismatches == 0
    assert found.record["final"]["top1"] > 90
    first = found.record["events"][0]
    assert first["step"] == 0
    assert first["what"].startswith(f"trains in {precision}: ")
    assert {tensor.dtype for tensor in found.weights.values()} <= {torch.float32, torch.int64}


def test_a_precision_that_the_device_has_not_is_refused_before_the_data_is_looked_at() -> None:
    options = FAST.model_copy(update={"precision": "bf16"})

    with pytest.raises(RequestError, match="device 'meta' cannot train in bf16"):
        trained(data=None, options=options, processes=Processes(device="meta"))


def test_the_recipes_table_is_overridden_word_by_word() -> None:
    table = TrainTable(epochs=9.0, lr=0.5, seed=4, method="exact")
    run = intaglio.TrainRun(recipe=Recipe(train=table))

    minutes = intaglio.TrainOptions(minutes=2.0)
    found = wished(run, scheme=None, method=None, options=minutes)
    other = wished(run, scheme=None, method="lsq", options=None)

    assert (found.options.epochs, found.options.minutes, found.options.lr) == (None, 2.0, 0.5)
    assert (found.method, found.options.seed) == ("exact", 4)
    assert (other.method, other.options.epochs, other.settings.seed) == ("lsq", 9.0, 4)


@pytest.mark.parametrize(
    ("scheme", "recipe"),
    [
        (None, ("plain", "mse")),
        ("w8a8-per-tensor", ("plain", "mse")),
        ("w4a8", ("accurate", "mse")),
        ("w8a4-per-tensor", ("accurate-per-tensor", "mse")),
    ],
)
def test_training_at_low_bits_starts_from_a_recipe_with_steps(
    scheme: str | None, recipe: tuple[str, str]
) -> None:
    run = intaglio.TrainRun()

    settings = wished(run, scheme=scheme, method=None, options=None).settings

    assert (settings.recipe.name, settings.calibrator) == recipe


def test_unlabelled_samples_are_the_same_images() -> None:
    samples = TensorSamples(*DATA, SHAPE[1:])

    taken = Unlabelled(samples).take([5, 2])

    assert taken.labels is None
    assert torch.equal(taken.images, DATA[0][[5, 2]])
    assert (taken.indices, len(Unlabelled(samples))) == ((5, 2), 96)


def test_layers_are_measured_against_the_weights_that_were_trained(
    in_integers: intaglio.TrainResult,
) -> None:
    result = in_integers.result

    again = measure_layers(result.graph, result.twin, [DATA[0][:8]])

    inner = {row.name: row.sqnr_db for row in again if row.name not in result.graph.outputs}
    told = {row.name: row.sqnr_db for row in result.report.layers}
    assert {name: told[name] for name in inner} == inner
