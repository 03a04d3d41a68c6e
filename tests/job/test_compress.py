"""The main job: real networks on real images, same seed same bytes, and what is refused."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import intaglio
from architectures import architectures, captured, images
from intaglio.data.images import batches, draw, open_dataset
from intaglio.data.preprocess import Preprocess
from intaglio.errors import (
    DataError,
    NonFiniteError,
    RequestError,
    UnknownName,
)
from intaglio.job.of_graph import compress_graph
from intaglio.job.outcome import CHECK_IMAGES
from intaglio.recipe.recipe import Recipe
from intaglio.run.twin import quantize_input
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.format.layout import to_file
from intaglio.runtimes.litert.interpreter.runtime import (
    not_delegated,
    open_interpreter,
    partitions,
    run_file,
)
from intaglio.store.weights import load_weights
from intaglio.zoo import ZOO, names

SHAPE = (1, 3, 16, 16)
X = images(SHAPE, 12)


def network() -> nn.Module:
    """Return the same small trained-like network each time, in eval mode."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU6(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Hardswish(),
        nn.Conv2d(8, 5, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ).eval()


@functools.cache
def plainly() -> intaglio.Result:
    """Return what comes out without any wish; compressed once, and never changed."""
    return compressed()


def compressed(data=X, **options) -> intaglio.Result:
    recipe = options.pop("recipe", "plain")
    chosen = intaglio.Options(**options)
    return intaglio.compress(network(), X[:1], data=data, recipe=recipe, options=chosen)


def assert_one_partition_and_exact(result: intaglio.Result) -> None:
    interpreter = open_interpreter(result.content, LITERT)
    assert partitions(interpreter) == 1
    assert not_delegated(interpreter) == []
    # random weights: what is left of the outputs is warned of, and nothing else
    assert not [
        said for said in result.report.warnings if "SQNR" not in said and "more outputs" not in said
    ]
    assert result.report.check.mismatches == 0
    assert result.report.check.images == CHECK_IMAGES


@pytest.mark.parametrize("name", [one for one in names() if f"zoo.{one}" in architectures()])
def test_every_zoo_network_is_one_delegate_partition_and_exact(name):
    source = captured(f"zoo.{name}").source

    data = images((1, 3, 64, 64), CHECK_IMAGES)
    # random weights give outputs that hardly vary
    wishes = intaglio.Options(min_sqnr=0.0, max_drop=100.0)
    result = compress_graph(source, data=data, recipe="plain", options=wishes)

    assert_one_partition_and_exact(result)


def of_pack(path: Path, preprocess: Preprocess, size: int, count: int) -> tuple[Tensor, Tensor]:
    """Return images [count, 3, size, size] and their labels."""
    dataset = draw(open_dataset(path), count, 0)
    (batch,) = batches(dataset, preprocess, (1, 3, size, size), batch_size=count)
    return batch.images, batch.labels


@pytest.mark.slow
def test_mobilenet_v2_with_real_weights_on_real_images(data_pack):
    module = intaglio.zoo.mobilenet_v2_tf()
    load_weights(module, data_pack / "weights/mobilenet_v2_1.0_224_tf.safetensors")
    preprocess = Preprocess(crop=224, mean=(0.5,) * 3, std=(0.5,) * 3)
    data, _ = of_pack(data_pack / "imagenet/calib.csv", preprocess, 224, 16)
    judged = of_pack(data_pack / "imagenet/val227.csv", preprocess, 224, 16)

    result = intaglio.compress(module.eval(), data[:1], data=data, evaluate=judged, recipe="plain")

    assert_one_partition_and_exact(result)
    assert len(result.content) <= 4.05e6
    assert result.report.float.n == 16
    assert (
        result.report.float.figures["top1"] >= 60.0
    )  # 80.3 of 650; three standard errors of 16 are 30
    assert result.report.integer.agreement >= 75.0


@pytest.mark.slow
def test_resnet20_with_real_weights_on_real_images(data_pack):
    module = intaglio.zoo.resnet20_cifar10()
    load_weights(module, data_pack / "weights/resnet20_cifar10.safetensors")
    preprocess = ZOO["resnet20_cifar10"].preprocess
    data, _ = of_pack(data_pack / "cifar10_jpeg/train.parquet", preprocess, 32, 16)
    judged = of_pack(data_pack / "cifar10_jpeg/test.parquet", preprocess, 32, 100)

    result = intaglio.compress(module.eval(), data[:1], data=data, evaluate=judged, recipe="plain")

    assert_one_partition_and_exact(result)
    assert (
        result.report.float.figures["top1"] >= 69.0
    )  # 81.0 of 10,000; three standard errors of 100 are 12
    assert result.report.integer.agreement >= 90.0


def test_the_same_seed_gives_the_same_bytes():
    first, second = compressed(seed=3), compressed(seed=3)

    assert first.content == second.content
    assert first.report.check.values_compared == second.report.check.values_compared


@pytest.mark.parametrize(("io", "kind", "higher"), [("int8", np.int8, 0), ("uint8", np.uint8, 128)])
def test_integer_ends_give_the_integers_behind_the_float_ends(io, kind, higher):
    real, whole = compressed(io="float"), compressed(io=io)
    name = real.graph.outputs[0]
    interpreters = [open_interpreter(made.content, LITERT) for made in (real, whole)]
    grid = real.encodings.activations

    for image in X.split(1):
        (float_out,) = run_file(interpreters[0], to_file(image))
        centered = quantize_input(image, grid[real.graph.inputs[0]], LITERT)
        integers = to_file(real.twin.raw(real.graph.inputs[0], centered) + higher).astype(kind)
        (int_out,) = run_file(interpreters[1], integers)

        assert int_out.dtype == kind
        steps = int_out.astype(np.float32) - np.float32(grid[name].zero + higher)
        assert np.array_equal(steps * grid[name].step, float_out)
        assert np.array_equal(float_out, real.twin(image).numpy())


@pytest.mark.parametrize(
    "data",
    [list(X.split(5)), [(part, "labels") for part in X.split(12)], iter(X.split(1))],
    ids=["batches", "pairs", "iterator"],
)
def test_data_of_any_form_gives_the_same_grids(data):
    found = compressed(data=data).encodings.activations

    for name, grid in plainly().encodings.activations.items():
        # convolutions of fewer images at once may add in another order
        assert float(found[name].step) == pytest.approx(float(grid.step), rel=1e-5)


def test_data_is_gone_through_once_and_all_of_it_is_seen():
    taken: list[int] = []

    def stream() -> Iterator[Tensor]:
        for number, part in enumerate(X.split(4)):
            taken.append(number)
            yield part

    result = compressed(data=stream())

    assert taken == [0, 1, 2]
    assert result.report.data.images == 12


def test_the_module_is_left_as_it_was():
    module = network()
    module.train()
    module[4].eval()
    flags = [part.training for part in module.modules()]
    state = {key: value.clone() for key, value in module.state_dict().items()}

    intaglio.compress(module, X[:1], data=X, recipe="plain")

    assert [part.training for part in module.modules()] == flags
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())


def test_a_module_in_training_mode_gives_the_same_file():
    module = network().train()

    assert intaglio.compress(module, X[:1], data=X, recipe="plain").content == plainly().content


def test_the_per_tensor_scheme_has_one_scale_a_weight():
    result = compressed(scheme="w8a8-per-tensor")

    assert result.report.scheme == "w8a8 per-tensor"
    assert result.report.check.mismatches == 0
    assert {grid.scale.ndim for grid in result.encodings.weights.values()} == {0}
    assert {grid.scale.ndim for grid in plainly().encodings.weights.values()} == {1}


def test_moving_average_ranges_lie_within_min_max():
    by_option = compressed(calibrator="moving-average")
    by_recipe = compressed(recipe="plain-moving-average")
    widest = plainly().encodings.activations

    assert by_option.content == by_recipe.content
    assert by_option.recipe.calibrator == by_recipe.recipe.calibrator == "moving-average"
    for name, grid in by_option.encodings.activations.items():
        assert float(grid.step) <= float(widest[name].step) * (1 + 1e-4)  # nudged by some ulp
    assert float(by_option.encodings.activations["input"].step) < float(widest["input"].step)


def test_a_softmax_at_the_end_is_reported_as_float():
    module = nn.Sequential(network(), nn.Softmax(1)).eval()

    result = intaglio.compress(module, X[:1], data=X, recipe="plain")

    assert [kept.name for kept in result.report.kept_float] == result.graph.outputs
    assert "softmax" in result.report.kept_float[0].why
    torch.testing.assert_close(result.twin(X).sum(1), torch.ones(12))


def test_the_report_tells_the_steps_and_what_they_changed():
    steps = {step.name: step for step in plainly().report.steps}

    assert list(steps)[:3] == ["capture", "fold and fuse", "lower"]
    assert {"calibrate", "encode", "write", "check"} <= set(steps)
    assert steps["fold and fuse"].changed["fold_batch_norm"] == 1
    assert steps["lower"].changed["lower_hard_swish"] == 1
    assert all(step.seconds >= 0 for step in steps.values())


class Recorder:
    """A progress that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str | int] = []

    def begin(self, name: str, total: int | None) -> None:
        self.told.append(name)

    def advance(self, count: int) -> None:
        self.told.append(count)

    def end(self) -> None:
        self.told.append("end")


def test_progress_is_told_of_every_step_and_batch():
    recorder = Recorder()

    compressed(data=X.split(5), progress=recorder)

    start = recorder.told.index("calibrate")
    assert recorder.told[start : start + 5] == ["calibrate", 5, 5, 2, "end"]


def test_the_recipe_says_what_was_run():
    recipe = compressed(seed=7, io="int8", scheme="w8a8-per-tensor").recipe

    assert (recipe.seed, recipe.io, recipe.scheme) == (7, "int8", "w8a8-per-tensor")
    assert (recipe.name, recipe.target, recipe.calibrator) == ("plain", "litert", "minmax")


def never() -> Iterator[Tensor]:
    raise AssertionError("data was opened")
    yield X


@pytest.mark.parametrize("recipe", ["auto", "workflow", Recipe(name="own", search=True)])
def test_a_search_without_data_is_refused_and_says_what_to_do(recipe):
    with pytest.raises(
        RequestError, match=r"'(auto|workflow|own)' judges .* give data .* 'datafree'"
    ):
        intaglio.compress(network(), X[:1], recipe=recipe)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"target": "litrt"}, "unknown target 'litrt': did you mean litert"),
        ({"recipe": "plian"}, "unknown recipe 'plian': did you mean plain"),
        ({"options": intaglio.Options(scheme="w8a16")}, "scheme 'w8a16' cannot be held by target"),
        ({"options": intaglio.Options(scheme="w8a17")}, "unknown scheme 'w8a17'"),
        ({"options": intaglio.Options(calibrator="minmx")}, "calibrator 'minmx': did you mean"),
    ],
)
def test_unknown_names_are_refused_before_data_is_opened(arguments, said):
    with pytest.raises(UnknownName, match=said):
        intaglio.compress(network(), X[:1], data=never(), **arguments)


def test_a_layer_that_the_target_cannot_hold_is_refused_before_data_is_opened():
    class Gated(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.where(x > 0, x, x * x)

    module = nn.Sequential(nn.Conv2d(3, 4, 3), Gated()).eval()

    with pytest.raises(RequestError, match=r"litert cannot hold .*layers?:? '1'"):
        intaglio.compress(module, X[:1], data=never())


@pytest.mark.parametrize("data", [[], X[:0], iter([X[:0]])])
def test_empty_data_is_refused(data):
    with pytest.raises(DataError, match="empty"):
        compressed(data=data)


def test_data_of_another_size_is_refused():
    with pytest.raises(DataError, match=r"batch 0 of data is \(12, 3, 8, 8\)"):
        compressed(data=X[:, :, :8, :8])


@pytest.mark.parametrize("calibrator", ["minmax", "moving-average"])
def test_a_network_whose_activations_overflow_is_refused_by_layer(calibrator):
    module = network()
    with torch.no_grad():
        module[3].weight.fill_(3e38)

    with pytest.raises(NonFiniteError, match=r"'3'.*NaN or infinity on the calibration images"):
        intaglio.compress(module, X[:1], data=X, options=intaglio.Options(calibrator=calibrator))


def test_accuracy_of_a_network_with_two_outputs_is_refused():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network()

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y = self.body(x)
            return y, y + 1.0

    labels = torch.zeros(12, dtype=torch.int64)

    with pytest.raises(RequestError, match="one output"):
        intaglio.compress(Two().eval(), X[:1], data=X, evaluate=(X, labels), recipe="plain")


def test_evaluation_counts_both_networks_on_the_same_images():
    module = network()
    with torch.no_grad():
        module[-3].bias -= module(X).mean(0)  # no class has a head start
        labels = module(X).argmax(1)

    result = intaglio.compress(module, X[:1], data=X, evaluate=(X, labels), recipe="plain")

    report = result.report
    assert (report.float.figures, report.float.n) == ({"top1": 100.0, "top5": 100.0}, 12)
    hits = int((result.twin(X).argmax(1) == labels).sum())
    assert report.integer.figures["top1"] == report.integer.agreement
    assert report.integer.agreement == pytest.approx(100 * hits / 12)


def test_the_caller_comes_before_the_recipe_and_the_recipe_before_the_default():
    from_file = Recipe(scheme="w8a8-per-tensor", io="int8", seed=7, target="litert-reference")
    model = network()

    by_recipe = intaglio.compress(model, X[:1], data=X, recipe=from_file)
    options = intaglio.Options(scheme="w8a8", io="float", seed=0)
    by_caller = intaglio.compress(
        model, X[:1], target="litert", data=X, recipe=from_file, options=options
    )

    said = by_recipe.recipe
    assert (said.scheme, said.io, said.seed) == ("w8a8-per-tensor", "int8", 7)
    assert by_recipe.target.name == "litert-reference"
    said = by_caller.recipe
    assert (said.scheme, said.io, said.seed) == ("w8a8", "float", 0)
    assert by_caller.target.name == "litert"


def test_an_unknown_io_is_refused():
    with pytest.raises(UnknownName, match="io 'int4'"):
        intaglio.compress(network(), X[:1], data=X, options=intaglio.Options(io="int4"))
