"""Ways in which networks write what they compute: axes, windows, writes, weights, constants."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, export
from torch.nn.utils import parametrizations, prune

from intaglio.errors import CaptureError
from intaglio.ir.graph import Graph
from intaglio.read import graph_of_program
from intaglio.read.module.export import capture
from intaglio.run.float import run_float

pytestmark = pytest.mark.filterwarnings("ignore")

IMAGES = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(2))


class Of(nn.Module):
    """A module of one function."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor):
        """Return what the function makes."""
        return self.function(x)


def assert_same(graph: Graph, module: nn.Module) -> None:
    """Hold a graph to its module on several images."""
    assert "opaque" not in {node.op for node in graph}
    with torch.no_grad():
        wanted = module(IMAGES.clone())
    torch.testing.assert_close(run_float(graph, IMAGES)[0], wanted, rtol=1e-4, atol=1e-5)


def attention(x: Tensor) -> Tensor:
    """Return attention of two heads, written as vision transformers write it."""
    batch, width, _, _ = x.shape
    tokens = x.flatten(2).transpose(1, 2).repeat(1, 1, 3)
    query, key, value = tokens.reshape(batch, 64, 3, 2, width // 2).permute(2, 0, 3, 1, 4)
    weights = (query @ key.transpose(-2, -1)).softmax(-1)
    return (weights @ value).transpose(1, 2).reshape(batch, 64, width)


def windows(x: Tensor) -> Tensor:
    """Return windows that are normalised one by one, as a batch of them, and put back."""
    batch, channels, height, width = x.shape
    parts = x.permute(0, 2, 3, 1).view(batch, height // 4, 4, width // 4, 4, channels)
    parts = parts.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, 4, 4, channels)
    parts = parts - parts.mean((1, 2), keepdim=True)
    parts = parts.view(batch, height // 4, width // 4, 4, 4, channels)
    return parts.permute(0, 1, 3, 2, 4, 5).reshape(batch, height, width, channels)


def per_number(x: Tensor) -> Tensor:
    """Return a convolution of every channel by itself, as images of one channel."""
    y = F.conv2d(x.reshape(-1, 1, 8, 8), torch.ones(2, 1, 3, 3), padding=1)
    return F.avg_pool2d(y, 2).reshape(x.shape[0], -1, 4, 4)


def sliced(x: Tensor) -> Tensor:
    """Return channels of which two were added to."""
    y = x.clone()
    y[:, 1:3] += x[:, :2]
    y[:, 0] = 0.5
    return y


def shown(x: Tensor) -> Tensor:
    """Return what two views of one memory make of writes into it."""
    y = x * 2
    view = y[:, :2]
    view.mul_(3).add_(1)
    flat = y.view(y.shape[0], -1)
    flat.clamp_(-2, 2)
    return y + x


def chained(x: Tensor) -> Tensor:
    """Return activations in place, one on the result of another, and what they wrote into."""
    y = x + 1
    z = F.hardswish(F.relu_(y), inplace=True)
    return y + z


def written_through_indices(x: Tensor) -> Tensor:
    """Return channels of which two were replaced by index."""
    y = x.clone()
    y[:, [0, 3]] = x[:, [1, 2]] * 2
    return y


@pytest.mark.parametrize(
    "function",
    [
        attention,
        windows,
        per_number,
        sliced,
        shown,
        chained,
        written_through_indices,
        lambda x: torch.stack([x, x.relu(), x * 2]).sum(0),
        lambda x: torch.stack(x.unbind(1)).mean(0),
        lambda x: x.relu_() + 1,
        lambda x: x.new_full((1, 4, 1, 1), 2.0) * x + torch.zeros_like(x),
        lambda x: torch.linspace(-1, 1, x.shape[-1]).expand_as(x[:, :1]) + x,
        lambda x: torch.cat([x, torch.ones(x.shape[0], 1, *x.shape[2:])], 1),
        lambda x: x * torch.tensor([2.0]).item(),
        lambda x: (x.view(1, 4, 64) if x.shape[0] == 1 else x.view(-1, 4, 64)) * 2,
    ],
)
def test_a_form_makes_what_torch_makes_of_several_images(function):
    assert_same(capture(Of(function), IMAGES), Of(function))


def test_a_module_that_works_with_a_batch_of_one_alone_is_captured():
    graph = capture(Of(lambda x: x.view(1, 4, 64).transpose(0, 1).reshape(1, 256) * 2), IMAGES)

    assert torch.equal(run_float(graph, IMAGES)[0], IMAGES.flatten(1) * 2)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x - x.mean(), "other values for an image where"),
        (lambda x: x / x.abs().max(), "other values for an image where"),
        (lambda x: x.softmax(0), "other values for an image where"),
        (lambda x: x.flatten(2).permute(2, 0, 1), r"the shape \[64, 2, 4\] for two images"),
        (lambda x: x.reshape(-1, 8, 8), r"the shape \[8, 8, 8\] for two images"),
        (lambda x: x.flip(0), "in another order than its images"),
    ],
)
def test_images_that_mix_and_outputs_without_a_batch_are_refused(function, words):
    with pytest.raises(CaptureError, match=words):
        capture(Of(function), IMAGES)


class Standardized(nn.Conv2d):
    """A convolution whose weight is standardized in forward()."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution."""
        spread, mean = torch.var_mean(self.weight, dim=[1, 2, 3], keepdim=True)
        return F.conv2d(x, (self.weight - mean) / (spread + 1e-5).sqrt(), self.bias)


class Gained(nn.Conv2d):
    """A convolution whose weight is multiplied by a gain, which may be a stored number."""

    def __init__(self, *args: int) -> None:
        super().__init__(*args)
        self.gain = nn.Parameter(torch.full((self.out_channels, 1, 1, 1), 0.3))
        self.register_buffer("factor", torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution."""
        return F.conv2d(x, self.weight * self.gain * self.factor.item(), self.bias)


class Merged(nn.Module):
    """A convolution whose weight is made anew of others in every forward(), through `.data`."""

    def __init__(self, *args: int) -> None:
        super().__init__()
        self.made, self.one, self.made_weight = nn.Conv2d(*args), nn.Conv2d(*args), None

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution."""
        self.made_weight = self.one.weight.data.clone().detach() * 2
        self.made.weight.data = self.made_weight.contiguous()
        self.made.bias.data = self.one.bias.data + 1
        return self.made(x)


def pruned() -> nn.Module:
    """Return a convolution half of whose weights are masked."""
    conv = nn.Conv2d(4, 5, 3)
    prune.l1_unstructured(conv, "weight", amount=0.5)
    return conv


WEIGHTED = {
    "old weight norm": lambda: nn.utils.weight_norm(nn.Conv2d(4, 5, 3)),
    "weight norm": lambda: parametrizations.weight_norm(nn.Conv2d(4, 5, 3)),
    "old spectral norm": lambda: nn.utils.spectral_norm(nn.Conv2d(4, 5, 3)),
    "spectral norm": lambda: parametrizations.spectral_norm(nn.Conv2d(4, 5, 3)),
    "standardized": lambda: Standardized(4, 5, 3),
    "masked": pruned,
    "gain": lambda: Gained(4, 5, 3),
    "merged": lambda: Merged(4, 5, 3),
}


@pytest.mark.parametrize("name", WEIGHTED)
def test_a_computed_weight_is_that_of_a_plain_convolution_named_after_its_layer(name):
    torch.manual_seed(3)
    network = nn.Sequential(nn.ReLU(), WEIGHTED[name]()).eval()

    graph = capture(network, IMAGES)

    assert [node.op for node in graph] == ["input", "clamp", "conv2d"]
    assert graph.outputs[0] == ("1.made" if name == "merged" else "1")
    with torch.no_grad():
        assert torch.equal(run_float(graph, IMAGES)[0], network(IMAGES))


@pytest.mark.parametrize("batch", [1, 4, None])
def test_a_program_is_read_with_any_batch(batch):
    network = nn.Sequential(nn.Conv2d(4, 6, 3, 2), nn.ReLU(True), nn.Flatten(), nn.Linear(54, 5))
    network.append(Of(lambda x: x.softmax(1) + x.mean(1, keepdim=True)))
    shapes = None if batch else ({0: Dim("n")},)
    program = export(network.eval(), (torch.randn(batch or 2, 4, 8, 8),), dynamic_shapes=shapes)

    assert_same(graph_of_program(program), network)


def test_a_shape_that_an_eager_run_left_behind_does_no_harm():
    class Anchored(nn.Module):
        shape: object = None

        def forward(self, x: Tensor) -> Tensor:
            if self.shape != x.shape:
                self.shape = x.shape
                self.anchors = torch.arange(float(x.shape[-1])) / x.shape[-1]
            return x + self.anchors

    network = Anchored()
    network(torch.zeros(2, 4, 6, 6))

    graph = capture(network, IMAGES)

    assert network.shape == (2, 4, 6, 6)
    assert_same(graph, Anchored())


def asks(x: Tensor) -> Tensor:
    """Return what an `if` on values chooses."""
    return x.relu() if x.sum() > 0 else x


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (asks, r"depend on values \(layer '1'\) in test_forms.py, line \d+, asks\(\)"),
        (lambda x: x[:, : int(x.max())], r"sizes that depend on values \(layer '1'\)"),
        (lambda x: torch.from_numpy(x.numpy()), r"leave torch for NumPy \(layer '1'\) in test_"),
        (lambda x: x * x.sum().item(), "layer '1' computes with a number that was read from a"),
        (lambda x: x[x > 0], "layer '1' makes a tensor whose size depends on values"),
    ],
)
def test_what_stops_torch_export_is_named_with_its_place(function, words):
    with pytest.raises(CaptureError, match=words) as refusal:
        capture(nn.Sequential(nn.ReLU(), Of(function)), IMAGES)

    assert "\n" not in str(refusal.value)


def test_a_number_that_forward_reads_and_keeps_to_itself_is_no_obstacle():
    def keeping(x: Tensor) -> Tensor:
        x.max().item()
        return x * 2

    assert_same(capture(Of(keeping), IMAGES), Of(keeping))
