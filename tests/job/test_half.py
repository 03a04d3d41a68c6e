"""Networks in float16: their files, what does not fit, and that no image is needed."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from torch import nn

import intaglio
from architectures import images
from intaglio.errors import MismatchError, NonFiniteError, RequestError, UnknownName
from intaglio.host.sums import write_sums
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.half import rows_rounded_to_half
from intaglio.runtimes import LITERT, LITERT_REFERENCE, TARGETS
from intaglio.targets.runtime import About, CheckCounts, Deviation, require_match

SHAPE = (1, 3, 16, 16)
X = images(SHAPE, 12)
LABELS = torch.arange(12) % 4
FLOAT16, FLOAT32 = schema.TensorType.FLOAT16, schema.TensorType.FLOAT32


class Varied(nn.Module):
    """Every layer that stores numbers, of each kind that the delegate could refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, 2, 1)
        self.slope = nn.PReLU(16)
        self.norm = nn.BatchNorm2d(16)
        self.depthwise = nn.Conv2d(16, 16, 3, 1, 1, groups=16)
        self.grouped = nn.Conv2d(16, 32, 3, 1, 1, groups=2, bias=False)
        self.wider = nn.ConvTranspose2d(32, 16, 2, 2)
        self.constant = nn.Parameter(torch.randn(1, 16, 1, 1))
        self.last = nn.Linear(16, 4)
        nn.init.uniform_(self.slope.weight, 0.1, 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return class scores, [N, 4]."""
        x = self.norm(torch.relu(self.slope(self.first(x))))
        x = torch.relu(self.depthwise(x)) * self.constant + self.constant
        return self.last(self.wider(self.grouped(x)).mean((2, 3)))


def varied() -> nn.Module:
    torch.manual_seed(0)
    return Varied().eval()


def plain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    ).eval()


def half(module: nn.Module, data: torch.Tensor | None = None, **more: object) -> intaglio.Result:
    options = intaglio.Options(scheme="fp16", **more)
    return intaglio.compress(module, X[:1], data=data, options=options)


def planted(*numbers: float) -> nn.Sequential:
    network = plain()
    with torch.no_grad():
        network[0].weight.view(-1)[: len(numbers)] = torch.tensor(numbers)
    return network


def stored_types(content: bytes) -> list[int]:
    """Return the types of the tensors whose numbers are in a file."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    held = [buffer.data is not None and len(buffer.data) > 0 for buffer in model.buffers]
    return [tensor.type for tensor in model.subgraphs[0].tensors if held[tensor.buffer]]


@pytest.mark.parametrize("target", [LITERT, LITERT_REFERENCE], ids=lambda target: target.name)
def test_every_kind_of_layer_is_stored_as_float16_and_runs_near_its_twin(
    target: intaglio.Target,
) -> None:
    options = intaglio.Options(scheme="fp16")

    result = intaglio.compress(varied(), X[:1], target=target.name, data=X, options=options)

    types = stored_types(result.content)
    assert types.count(FLOAT16) >= len(result.encodings.halves or ()) == 8
    assert types.count(FLOAT32) == 5  # biases
    assert result.report.check is not None
    # float32 sums in another order: 1e-6 of the largest value is usual
    assert (result.report.check.relative_deviation or 0.0) < 1e-4
    counts = target.check(result.files, result.twin, [X[:2]])
    if target is LITERT:
        assert (counts.partitions, counts.builtin) == (1, [])
    assert counts.deviation is not None


def test_the_twin_is_the_float_network_with_its_weights_rounded() -> None:
    network = plain()
    result = half(network)
    rounded = plain()
    with torch.no_grad():
        for param in rounded.parameters():
            if param.ndim > 1:  # biases stay float32
                param.copy_(rows_rounded_to_half(param.flatten(1)).reshape(param.shape))

    with torch.no_grad():
        # the same float32 arithmetic up to the order of sums
        torch.testing.assert_close(result.twin(X), rounded(X), rtol=1e-4, atol=1e-6)


def test_the_file_is_half_as_large_as_the_float32_file_of_the_same_network() -> None:
    built = intaglio.read("mobilenet_v1_tf(width=0.25)")

    result = intaglio.compress(built, options=intaglio.Options(scheme="fp16"))

    real = LITERT.write(result.graph, Encodings({}, {}), "float", About())[LITERT.file_name]
    # beside its 470,000 numbers a file has records of layers: 2 % of this one
    assert 49.0 < 100.0 * len(result.content) / len(real) < 53.0


@pytest.mark.slow
def test_records_are_less_than_a_hundredth_of_a_mobilenet() -> None:
    result = intaglio.compress("mobilenet_v2", options=intaglio.Options(scheme="fp16"))

    real = LITERT.write(result.graph, Encodings({}, {}), "float", About())[LITERT.file_name]
    assert 49.0 < 100.0 * len(result.content) / len(real) < 51.0


def test_a_layer_beyond_65504_is_stored_in_float32_and_named() -> None:
    result = half(planted(1e5))

    kept = result.report.kept_float
    assert [entry.name for entry in kept] == ["0"]
    assert "1 of 216 numbers of its weight are beyond 65504" in kept[0].why
    assert any("layer '0' stays in float32" in warning for warning in result.report.warnings)
    rows = {row.name: row for row in result.report.halves or ()}
    assert (rows["0"].stored, rows["0"].overflow, rows["0"].largest) == ("float32", 1, 1e5)
    assert rows["4"].stored == "float16"
    graph = result.graph
    assert float(graph.param(graph["0"], "weight").max()) == 1e5


def test_a_bias_beyond_65504_is_float32_as_all_are_and_its_layer_is_not() -> None:
    network = plain()
    with torch.no_grad():
        network[4].bias[0] = -1e6

    result = half(network)

    assert result.report.kept_float == []
    graph = result.graph
    assert float(graph.param(graph["4"], "bias").min()) == -1e6
    halves = result.encodings.halves
    assert halves is not None
    assert graph["4"].params["weight"] in halves
    assert graph["4"].params["bias"] not in halves


def test_subnormals_and_what_becomes_0_are_counted_and_stay_float16() -> None:
    result = half(planted(1e-6, -2e-6, 1e-9))

    row = (result.report.halves or [])[0]
    assert (row.subnormal, row.zeros, row.stored) == (2, 1, "float16")
    weight = result.graph.param(result.graph["0"], "weight").reshape(-1)
    assert weight[2] == 0.0
    assert result.report.kept_float == []
    assert "2 subnormal, 1 become 0" in str(result.report)


def test_layers_that_share_numbers_with_one_in_float32_stay_too() -> None:
    class Twice(nn.Module):
        """One convolution, used twice."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """Return [N, 3, H, W]."""
            return self.conv(torch.tanh(self.conv(x)))

    network = Twice().eval()
    with torch.no_grad():
        network.conv.weight[0, 0, 0, 0] = 1e5

    result = half(network)

    assert len(result.report.kept_float) == 2
    assert not result.encodings.halves


def test_a_layer_that_the_user_names_keeps_its_numbers() -> None:
    result = half(plain(), keep_float=("0",))

    assert [entry.why for entry in result.report.kept_float] == ["asked for (keep_float)"]
    assert torch.equal(result.graph.param(result.graph["0"], "weight"), plain()[0].weight)
    assert result.report.warnings == []


def test_weights_that_are_no_numbers_are_refused_by_name() -> None:
    with pytest.raises(NonFiniteError, match="layer '0'"):
        half(planted(float("nan")))


def test_without_data_nothing_is_opened_and_the_report_says_so() -> None:
    report = half(plain()).report

    assert report.data == "none"
    assert report.check is not None
    assert (report.check.images, report.check.made_up) == (2, True)
    assert "2 images of noise" in " ".join(str(report).split())
    assert report.to_dict()["verdict"]["bits"] == "not promised"
    assert report.doctor is None
    assert report.attempts == []


def test_images_measure_and_no_more_than_are_needed_are_taken() -> None:
    taken = []

    def stream() -> object:
        for number in range(100):
            taken.append(number)
            yield X[:10]

    result = half(plain(), data=stream())

    assert len(taken) == 7
    report = result.report.to_dict()
    assert report["data"]["images"] == 64
    assert "left_out" not in report["data"]
    assert report["integer"]["sqnr_db"][0] > 40.0
    assert "made_up" not in report["check"]


def test_evaluation_compares_both_networks_without_images_to_calibrate_with() -> None:
    options = intaglio.Options(scheme="fp16")

    report = intaglio.compress(plain(), X[:1], evaluate=(X, LABELS), options=options).report

    assert report.integer.n == 12
    assert report.integer.agreement is not None
    assert report.integer.logits_sqnr_db == report.integer.sqnr_db[0]
    assert report.to_dict()["integer"]["top1"] == report.to_dict()["float"]["top1"]


def test_a_saved_result_comes_back_and_is_checked_again(tmp_path: Path) -> None:
    result = half(planted(1e5, 1e-6), data=X)
    result.save(tmp_path / "out")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = intaglio.load(tmp_path / "out")

    assert loaded.encodings == result.encodings
    assert torch.equal(loaded.twin(X), result.twin(X))
    assert loaded.report.to_dict() == result.report.to_dict()
    found = LITERT.check(loaded.files, loaded.twin, [X[:2]], where=str(tmp_path / "model.tflite"))
    assert found.deviation is not None
    assert not found.deviation.is_absurd
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Numbers in float16" in page


def test_a_result_with_numbers_that_float16_does_not_hold_is_damaged(tmp_path: Path) -> None:
    out = tmp_path / "out"
    half(plain(), keep_float=("0",)).save(out)
    content = json.loads((out / "encodings.json").read_text(encoding="utf-8"))
    content["halves"].append("0.weight")
    (out / "encodings.json").write_text(json.dumps(content), encoding="utf-8")
    write_sums(out)

    with pytest.raises(RequestError, match=r"'0\.weight' is stored as float16"):
        intaglio.load(out)


def test_the_recipe_that_was_written_makes_the_same_file(tmp_path: Path) -> None:
    result = half(plain())
    result.save(tmp_path / "out")

    again = intaglio.compress(plain(), X[:1], recipe=str(tmp_path / "out" / "recipe.toml"))

    assert again.content == result.content


def test_a_file_of_another_network_is_absurdly_far_off() -> None:
    result, other = half(plain()), half(planted(5.0, 5.0, 5.0))

    counts = LITERT.check(other.files, result.twin, [X[:2]])

    with pytest.raises(MismatchError, match="please report the network"):
        require_match(counts, LITERT.runtime)


def test_nan_is_absurd_and_no_deviation_is_not() -> None:
    require_match(CheckCounts(deviation=Deviation()), "runtime")
    with pytest.raises(MismatchError):
        require_match(CheckCounts(deviation=Deviation(float("nan"), float("nan"), 1)), "runtime")


@pytest.mark.parametrize(
    ("recipe", "more", "said"),
    [
        ("auto", {}, "recipe 'auto' searches"),
        ("accurate", {}, "recipe 'accurate' is for integers"),
        ("plain-moving-average", {}, "recipe 'plain-moving-average' is for integers"),
        (None, {"calibrator": "mse"}, "--calibrator mse"),
        (None, {"io": "int8"}, "--io int8"),
        (None, {"allow_float": True}, "--allow-float"),
        (None, {"minutes": 1.0}, "--minutes"),
        (None, {"keep_float": ("1",)}, "unknown layer '1'"),
        (None, {"keep_float": ("3",)}, "layer '3' stores no numbers"),
    ],
)
def test_what_has_no_meaning_in_float16_is_refused_by_name(
    recipe: str | None, more: dict[str, object], said: str
) -> None:
    options = intaglio.Options(scheme="fp16", **more)

    with pytest.raises(RequestError, match=said):
        intaglio.compress(plain(), X[:1], recipe=recipe, options=options)


def test_training_and_the_doctor_refuse_it_by_name() -> None:
    with pytest.raises(RequestError, match="scheme 'fp16' has no grids that training"):
        intaglio.train(plain(), data=(X, LABELS), scheme="fp16")
    with pytest.raises(RequestError, match="scheme 'fp16' has no integers"):
        intaglio.diagnose(intaglio.capture(plain(), X[:1]), None, scheme="fp16")


def test_the_widest_scheme_is_one_of_integers() -> None:
    for name in ("litert", "litert-reference"):
        assert TARGETS[name].widest_bits == 8
        assert TARGETS[name].widest_scheme.name == "w8a8"
        assert TARGETS[name].weight_bits == {8, 4, 2}


def test_a_target_without_it_refuses_it() -> None:
    with pytest.raises(UnknownName, match="fp16-per-tensor"):
        intaglio.compress(plain(), X[:1], options=intaglio.Options(scheme="fp16-per-tensor"))
