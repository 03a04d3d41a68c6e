"""Networks without weights, and inputs that are no images: a whole run, saved and read back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import intaglio


class Transposed(nn.Module):
    """A network that only moves values."""

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, H, W, C] of [N, C, H, W]."""
        return x.permute(0, 2, 3, 1)


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (nn.ReLU(), (3, 8, 8)),
        (nn.Identity(), (3, 8, 8)),
        (nn.Upsample(scale_factor=2), (3, 8, 8)),
        (Transposed(), (3, 8, 8)),
        (nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 3)), (20,)),
        (nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 3)), (5, 20)),
        (nn.Sequential(nn.Flatten(), nn.Linear(96, 3)), (2, 3, 4, 4)),
    ],
    ids=["relu", "identity", "upsample", "permute", "rank 2", "rank 3", "rank 5"],
)
@pytest.mark.parametrize("recipe", ["plain", "auto"])
def test_a_run_ends_in_an_equal_file_a_report_and_a_folder(network, shape, recipe, tmp_path):
    torch.manual_seed(0)
    data = torch.randn(40, *shape)

    wishes = intaglio.Options(task="values")

    made = intaglio.compress(
        network.eval(), data[:1], data=data, recipe=recipe, evaluate=data[:8], options=wishes
    )
    made.save(tmp_path / "out")
    again = intaglio.load(tmp_path / "out")

    assert made.report.check.mismatches == 0
    assert "mismatch" in str(made.report) or "equal" in str(made.report)
    assert (tmp_path / "out/report.html").stat().st_size > 0
    assert made.report.to_dict()["check"]["values_compared"] > 0
    assert torch.equal(again.twin(data[:3]), made.twin(data[:3]))
    graph = intaglio.capture(network, data[:1])
    assert isinstance(intaglio.diagnose(graph, [data]).findings, tuple)
    assert intaglio.inspect(graph).to_dict()
