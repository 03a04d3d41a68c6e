"""Surgery: what pays stays, what does not is undone, and the price list says what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import intaglio
from intaglio.errors import RequestError, UnknownName
from intaglio.job.operated import PROGRAM

SHORT = intaglio.TrainOptions(epochs=1, batch=16)
SHAPE = (3, 16, 16)


def images(count: int, seed: int) -> Tensor:
    return torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(seed))


def unequal() -> nn.Sequential:
    """Return a network that is as good as any, two of whose depthwise channels are huge.

    What follows divides by as much: to float32 nothing is amiss, to one scale a weight all is.
    """
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1, groups=16),
        nn.ReLU(),
        nn.Conv2d(16, 24, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(24, 5),
    ).eval()
    with torch.no_grad():
        network[2].weight[:2] *= 500.0
        network[2].bias[:2] *= 500.0
        network[4].weight[:, :2] /= 500.0
    return network


def gated() -> nn.Module:
    """Return a network with ReLU6, and hard-swishes that it cannot do without."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.Hardswish(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    ).eval()


@pytest.fixture(scope="module")
def equalized() -> intaglio.SurgeryResult:
    network = unequal()
    test = images(30, 2)
    return intaglio.surgery(
        network, data=images(100, 1), evaluate=(test, network(test).argmax(1)), options=SHORT
    )


def by_change(result: intaglio.SurgeryResult) -> dict[str, dict[str, object]]:
    return {row["change"]: row for row in result.record["steps"]}


def test_unequal_channels_are_found_made_equal_and_the_price_list_says_so(
    equalized: intaglio.SurgeryResult,
) -> None:
    rows = by_change(equalized)

    before, after = rows["nothing"], rows["equalize"]
    assert after["exact"]
    assert after["kept"]
    assert before["worst_depthwise_range"] > 10 * after["worst_depthwise_range"]
    sqnr = [row["judged"]["integer_sqnr_db"] for row in (before, after)]
    assert sqnr[1] > sqnr[0] + 10.0
    assert before["float_top1"] == after["float_top1"] == 100.0
    assert after["judged"]["float_sqnr_db"] > 80.0  # float32 rounding is left, no more
    assert after["n"] == 30
    assert "fine_tuning" not in after


def test_fine_tuning_alone_is_a_row_of_its_own(equalized: intaglio.SurgeryResult) -> None:
    row = by_change(equalized)["fine-tune"]

    assert row["nodes"] == 0
    assert row["fine_tuning"]["steps"] > 0
    assert "before_fine_tuning" not in row


def test_the_program_the_twin_and_the_file_are_the_network_that_is_left(
    equalized: intaglio.SurgeryResult, tmp_path: Path
) -> None:
    equalized.save(tmp_path / "out")

    again = intaglio.load(tmp_path / "out")
    x = images(8, 5)
    assert torch.equal(again.twin(x), equalized.result.twin(x))
    assert again.report.check.mismatches == 0
    program = intaglio.read(tmp_path / "out" / PROGRAM).capture()
    torch.testing.assert_close(
        intaglio.run_float(program, x)[0], unequal()(x), rtol=1e-3, atol=1e-4
    )


def test_the_weights_fit_the_user_s_module_and_make_the_same_network_of_it(
    equalized: intaglio.SurgeryResult, tmp_path: Path
) -> None:
    equalized.save(tmp_path / "out")
    network = unequal()

    network.load_state_dict(load_file(tmp_path / "out" / "weights.safetensors"))

    assert network[2].weight.abs().amax() < unequal()[2].weight.abs().amax() / 10
    x = images(8, 5)
    program = intaglio.read(tmp_path / "out" / PROGRAM).capture()
    torch.testing.assert_close(network(x), intaglio.run_float(program, x)[0], rtol=1e-4, atol=1e-5)


def test_a_change_that_does_not_pay_is_undone_and_leaves_nothing_behind(tmp_path: Path) -> None:
    network = gated()
    result = intaglio.surgery(network, data=images(80, 1), options=SHORT)

    rows = by_change(result)
    swish = rows["replace-hard-swish"]
    assert not swish["exact"]
    assert not swish["kept"]
    assert swish["why"].startswith("undone: ")
    assert swish["before_fine_tuning"].keys() >= {"integer_agreement", "n"}
    assert swish["fine_tuning"]["steps"] > 0
    (tmp_path / PROGRAM).write_bytes(result.program)
    left = intaglio.read(tmp_path / PROGRAM).capture()
    assert any(node.op == "hard_swish" for node in left)
    assert rows["replace-relu6"]["nodes"] == 1


def test_a_network_without_any_of_the_parts_is_refused() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(784, 3)).eval()

    with pytest.raises(RequestError, match=r"finds nothing to change: .* no depthwise convolution"):
        intaglio.surgery(plain, data=images(40, 1))


def test_an_unknown_form_and_too_few_images_are_refused() -> None:
    with pytest.raises(UnknownName, match="unknown form 'qv': known: qf"):
        intaglio.surgery(unequal(), data=images(40, 1), to="qv")
    with pytest.raises(RequestError, match="5 images are too few"):
        intaglio.surgery(unequal(), data=images(5, 1))
