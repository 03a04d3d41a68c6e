"""Networks that end in unequal parts, the whole way: each part is as good as by itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import intaglio
from architectures import images
from intaglio.calibrate.float_islands import SUM, TAIL
from intaglio.runtimes import TARGETS
from intaglio.runtimes.litert.format.layout import to_file
from intaglio.runtimes.litert.interpreter.runtime import open_interpreter, run_file

X = images((1, 3, 32, 32), 32)


class Decoded(nn.Module):
    """A head that ends in boxes in pixels beside scores in 0..1, in one tensor [N, 7, 64]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 4, 1)
        self.box, self.score = nn.Conv2d(16, 4, 1), nn.Conv2d(16, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.silu(self.stem(x))
        boxes, scores = self.box(y).flatten(2) * 160.0, self.score(y).flatten(2).sigmoid()
        return torch.cat([boxes, scores], 1)


class Distributions(nn.Module):
    """Boxes as means of distributions over 16 bins (DFL), beside scores: [N, 7, 64]."""

    def __init__(self, *, decoded: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 4, 1)
        self.bins, self.score = nn.Conv2d(16, 64, 1), nn.Conv2d(16, 3, 1)
        self.mean, self.decoded = nn.Conv2d(16, 1, 1, bias=False), decoded
        self.mean.weight.data = torch.arange(16.0).reshape(1, 16, 1, 1)
        self.register_buffer("centres", torch.rand(1, 2, 64) * 8)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.stem(x))
        bins = self.bins(y).reshape(-1, 4, 16, 64).transpose(2, 1)
        boxes = self.mean(bins.softmax(1)).reshape(-1, 4, 64)
        if self.decoded:
            before, after = boxes.chunk(2, 1)
            boxes = torch.cat([self.centres - before, self.centres + after], 1) * 8.0
        return torch.cat([boxes, self.score(y).flatten(2).sigmoid()], 1)


def seeded(kind: type[nn.Module], **settings: bool) -> nn.Module:
    torch.manual_seed(3)
    return kind(**settings).eval()


def plainly(module: nn.Module, target: str = "litert", **wishes: str) -> intaglio.Result:
    options = intaglio.Options(**wishes)
    return intaglio.compress(module, X[:1], target=target, data=X, recipe="plain", options=options)


def sqnr_db(real: Tensor, found: Tensor) -> float:
    """Return how far a part's deviation from its mean stands above the error."""
    noise = (real - found).double().square().sum()
    return float(10 * torch.log10((real - real.mean()).double().square().sum() / noise))


@pytest.mark.parametrize(
    ("target", "wishes"),
    [
        *((target, {}) for target in TARGETS),
        ("litert", {"scheme": "w8a8-per-tensor"}),
        ("litert", {"io": "int8"}),
        *((target, {"io": "uint8"}) for target in TARGETS),
        ("litert", {"calibrator": "percentile-99.99"}),
    ],
)
def test_boxes_beside_scores_are_each_as_good_as_alone(target, wishes):
    module = seeded(Decoded)

    result = plainly(module, target, **wishes)

    real, found = module(X).detach(), result.twin(X)
    assert sqnr_db(real[:, :4], found[:, :4]) > 25
    assert sqnr_db(real[:, 4:], found[:, 4:]) > 25
    assert result.report.check.mismatches == 0
    ((name, why),) = [(kept.name, kept.why) for kept in result.report.kept_float]
    assert [name] == result.graph.outputs
    assert "parts of very different ranges" in why
    assert result.recipe.keep_float is None  # nobody asked for it


def test_what_is_joined_in_float_has_the_bits_of_the_file():
    result = plainly(seeded(Decoded))

    found = run_file(open_interpreter(result.content, result.target), to_file(X[:1]))[0]

    assert (to_file(result.twin(X[:1])) == found).all()  # one product each, and moves


def test_parts_alike_are_joined_in_integers():
    module = seeded(Decoded)
    module.box.weight.data /= 160.0
    module.box.bias.data /= 160.0

    assert plainly(module).report.kept_float == []


@pytest.mark.parametrize("decoded", [False, True])
def test_means_of_distributions_stay_in_float_and_what_is_computed_from_them_need_not(decoded):
    module = seeded(Distributions, decoded=decoded)

    result = plainly(module)

    real, found = module(X).detach(), result.twin(X)
    assert sqnr_db(real[:, :4], found[:, :4]) > 25
    assert sqnr_db(real[:, 4:], found[:, 4:]) > 25
    check, whys = result.report.check, [kept.why for kept in result.report.kept_float]
    assert check.mismatches == 0
    assert whys[:2] == [TAIL, SUM]
    assert (check.border_values is not None) is decoded  # distances become integers again


def test_a_result_with_a_tail_in_float_is_loaded_again(tmp_path):
    result = plainly(seeded(Decoded))
    result.save(tmp_path / "out")

    again = intaglio.load(tmp_path / "out")

    assert torch.equal(again.twin(X), result.twin(X))
    assert again.report.kept_float == result.report.kept_float
