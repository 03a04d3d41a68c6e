"""What capture makes of single constructs, what it leaves alone, and what it refuses."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import export

from intaglio.errors import CaptureError, NonFiniteError
from intaglio.ir.text import text
from intaglio.read import graph_of_program
from intaglio.read.module.export import capture
from intaglio.run.float import run_float

EXAMPLE = torch.zeros(1, 3, 8, 8)


class Function(nn.Module):
    """A module of one function."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def ops(function, example: Tensor = EXAMPLE) -> list[str]:
    graph = capture(Function(function), example)
    x = torch.randn(2, *example.shape[1:], generator=torch.Generator().manual_seed(0))
    result = function(x.clone())
    assert all(
        torch.equal(ours, theirs)
        for ours, theirs in zip(
            run_float(graph, x), result if isinstance(result, tuple) else [result], strict=True
        )
    )
    return [node.op for node in graph if node.op not in ("input", "constant")]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: F.dropout(x, 0.0, training=False) + 0, ["add"]),
        (lambda x: 2 - x, ["sub"]),
        (lambda x: -x, ["mul"]),
        (lambda x: torch.add(x, x, alpha=2), ["mul", "add"]),
        (lambda x: x.div(2, rounding_mode="floor"), ["function"]),
        (lambda x: x.clamp(min=-1), ["clamp"]),
        (lambda x: F.relu6(x.clone()), ["clamp"]),
        (lambda x: x.clamp(0.5, -0.5), ["clamp"]),  # bounds the wrong way round: all -0.5
        (lambda x: F.softmax(x, -3), ["softmax"]),
        (lambda x: x.argmax(1) + 1, ["opaque", "opaque"]),
        (lambda x: x.double() * 2, ["opaque", "opaque"]),
        (
            lambda x: F.max_pool2d(x[:, 0], 2),
            ["slice", "reshape", "reshape", "max_pool2d", "reshape"],
        ),
        (lambda x: F.pad(x, (-1, 0, 0, 2)), ["slice", "pad"]),
        (lambda x: F.pad(x, (1, 0), value=2.5), ["pad"]),
        (lambda x: F.interpolate(x, scale_factor=1.5), ["resize"]),
        (lambda x: F.interpolate(x, size=(5, 12), mode="bilinear"), ["resize"]),
        (lambda x: x.mean([2]), ["mean"]),
        (lambda x: x * torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1), ["mul"]),
        (lambda x: x.view(x.size(0), -1), ["reshape"]),
        (lambda x: (x, x), []),
        (lambda x: tuple(x.split(2, 1)), ["slice", "slice"]),
    ],
)
def test_a_construct_becomes_these_ops_and_replays(function, expected):
    assert ops(function) == expected


def test_a_network_of_one_layer_names_it_after_its_op():
    graph = capture(nn.Conv2d(3, 2, 3), EXAMPLE)

    assert text(graph) == (
        "input = input() -> [N,3,8,8]\nconv2d = conv2d(input) -> [N,2,6,6]\nreturn conv2d\n"
    )


def test_a_reused_layer_keeps_one_weight_under_each_name_that_it_has():
    conv = nn.Conv2d(3, 3, 1)

    graph = capture(nn.Sequential(conv, nn.ReLU(), conv), EXAMPLE)

    first, second = (node for node in graph if node.op == "conv2d")
    assert (first.name, second.name) == ("0", "2")
    assert first.params == second.params


def test_dropout_that_stays_on_is_not_dropped():
    graph = capture(Function(lambda x: F.dropout(x, 0.5, training=True)), EXAMPLE)

    assert [node.op for node in graph] == ["input", "opaque"]


def test_a_buffer_that_forward_changes_is_no_output():
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("last", torch.zeros(3, 8, 8))

        def forward(self, x):
            y = x[0].relu()
            self.last.copy_(y)
            return x.relu()

    module = Counting()

    graph = capture(module, EXAMPLE)

    assert len(graph.outputs) == 1
    assert not module.last.any()


def test_capture_changes_nothing_of_the_module():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.ReLU())
    module.train()
    module[1].eval()
    flags = [part.training for part in module.modules()]
    weights = {key: value.clone() for key, value in module.state_dict().items()}

    capture(module, torch.randn(1, 3, 8, 8))

    assert [part.training for part in module.modules()] == flags
    assert all(torch.equal(value, weights[key]) for key, value in module.state_dict().items())
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert not torch.is_grad_enabled() or module[0].weight.grad is None


def test_training_flags_are_restored_when_capture_fails():
    module = Function(lambda x: x.relu() if x.sum() > 0 else x)
    module.train()

    with pytest.raises(CaptureError):
        capture(module, EXAMPLE)

    assert module.training


def test_a_program_with_a_fixed_batch_becomes_symbolic():
    module = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 5)).eval()
    program = export(module, (EXAMPLE,))

    graph = graph_of_program(program)

    x = torch.randn(3, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(run_float(graph, x)[0], module(x))


def test_a_program_exported_in_training_mode_is_refused():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    program = export(module.train(), (EXAMPLE.repeat(2, 1, 1, 1),))

    with pytest.raises(CaptureError, match=r"layer '1' normalizes .* call \.eval\(\) before"):
        graph_of_program(program)


def test_a_failure_prints_and_logs_nothing(capfd):
    with pytest.raises(CaptureError):
        capture(Function(lambda x: x.relu() if x.sum() > 0 else x), EXAMPLE)

    assert capfd.readouterr() == ("", "")


def test_in_place_layers_make_the_same_graph():
    def network(inplace: bool) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU6(inplace))

    assert text(capture(network(True), EXAMPLE)) == text(capture(network(False), EXAMPLE))


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x + y


class Mask(nn.Module):
    def forward(self, x):
        return x[x > 0]


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (TwoInputs(), "one tensor as its input"),
        (Function(lambda x: x.relu() if x.sum() > 0 else x), "control flow"),
        (Mask(), "depends on values"),
        (Function(lambda x: x.view(1, 3, 8, 4)), "itself fails on an input of shape"),
        (Function(lambda x: x[: x.shape[0] // 2]), "batch"),
        (Function(lambda x: x.view(x.shape[0] * 3, 8, 8)), "keep the batch as axis 0"),
        (Function(lambda x: x.transpose(0, 1)), "keep the batch as axis 0"),
        (Function(lambda x: None), "no tensor"),
        (nn.BatchNorm2d(3, track_running_stats=False), "statistics of the batch"),
        (nn.Conv2d(4, 2, 1), "Conv2d itself fails on an input of shape"),
        (Function(lambda *x: x[0].numpy()), "torch.export cannot follow"),
    ],
)
def test_what_cannot_be_captured_is_refused_in_one_line(module, words):
    with pytest.raises(CaptureError, match=words) as refusal:
        capture(module, EXAMPLE)

    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 600


@pytest.mark.parametrize(
    ("example", "words"),
    [
        (torch.zeros(1, 3, 8, 8).long(), "got torch.int64"),
        ([[1.0]], "got list"),
        (torch.zeros(0, 3, 8, 8), r"got the shape \[0, 3, 8, 8\]"),
        (torch.tensor(1.0), r"got the shape \[\]"),
    ],
)
def test_a_wrong_example_is_refused(example, words):
    with pytest.raises(CaptureError, match=words):
        capture(nn.ReLU(), example)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("role", ["0.weight", "1.running_var"])
def test_damaged_weights_are_refused_by_layer(role, bad):
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    module.state_dict()[role].view(-1)[1] = bad

    with pytest.raises(NonFiniteError, match=f"layer '{role[0]}' has 1 NaN") as refusal:
        capture(module, EXAMPLE)

    assert "\n" not in str(refusal.value)


def test_a_setting_beyond_all_layers_is_refused_by_layer():
    with pytest.raises(CaptureError, match=r"node '0' \(conv2d\) has stride = \(1048576, 1\)"):
        capture(nn.Sequential(nn.Conv2d(3, 4, 1, stride=(2**20, 1))), torch.zeros(1, 3, 8, 8))
