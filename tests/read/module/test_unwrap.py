"""Modules as they come: what is taken, what is said of it, and what is refused with a way out."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from intaglio.errors import CaptureError, RequestError
from intaglio.read.module.export import capture
from intaglio.read.source import read
from intaglio.run.float import run_float

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

IMAGE = torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8)


def small() -> nn.Sequential:
    """Return a trained network, in training mode, with a dropout."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(4, 2, 1)
    )


def told(model: object, example: Tensor = IMAGE) -> tuple[Tensor, str]:
    """Return what the captured network makes of the images, and what is said of the module."""
    source = read(model, example)
    return run_float(source.capture(), IMAGE)[0], " ".join(source.notes)


class Starred(nn.Module):
    """A network that takes its image as one of many."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small()

    def forward(self, *inputs: Tensor, scale: float = 1.0) -> Tensor:
        """Return the network's result."""
        return self.net(inputs[0]) * scale


class Optional(Starred):
    """A network with a second argument that may be left out."""

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return the network's result."""
        return self.net(x) if y is None else self.net(x) + y


class Inner(Starred):
    """A network whose part is wrapped."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.DataParallel(small())

    def forward(self, x: Tensor) -> Tensor:
        """Return the network's result."""
        return self.net(x)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (nn.DataParallel(small()), "out of its DataParallel"),
        (AveragedModel(small()), "out of its AveragedModel"),
        (torch.compile(small(), backend="eager"), "out of its OptimizedModule"),
        (
            nn.DataParallel(torch.compile(small(), backend="eager")),
            "DataParallel the network was taken out of",
        ),
        (Starred(), ""),
        (Optional(), ""),
        (Inner(), ""),
    ],
    ids=["parallel", "averaged", "compiled", "both", "starred", "optional", "inner"],
)
def test_the_network_inside_of_a_wrapper_or_an_odd_signature_is_taken(model, words):
    found, said = told(model)

    assert torch.equal(found, small().eval()(IMAGE))
    assert words in said
    assert bool(said) == bool(words)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_real_types_become_float32_on_a_copy_and_that_is_said(kind):
    model = small().to(kind)
    name = str(kind).removeprefix("torch.")

    found, said = told(model, IMAGE.to(kind))

    assert torch.equal(found, small().to(kind).float().eval()(IMAGE))
    assert f"weights of {name} were converted to float32, on a copy" in said
    assert f"example input of {name} was converted" in said
    assert {parameter.dtype for parameter in model.parameters()} == {kind}


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("form", ["module", "program"])
def test_an_exported_program_and_its_module_are_taken_with_any_batch(dynamic, form):
    shapes = ({0: torch.export.Dim("n")},) if dynamic else None
    example = IMAGE if dynamic else IMAGE[:1]
    program = torch.export.export(small().eval(), (example,), dynamic_shapes=shapes)

    found, _ = told(program.module() if form == "module" else program, IMAGE[:1])

    assert torch.equal(found, small().eval()(IMAGE))


def test_stubs_and_float_functional_of_torch_quantization_are_plain_ops():
    class Stubs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = torch.ao.quantization.QuantStub(), torch.ao.quantization.DeQuantStub()
            self.net, self.plus = nn.Conv2d(3, 3, 1), torch.ao.nn.quantized.FloatFunctional()

        def forward(self, x: Tensor) -> Tensor:
            x = self.a(x)
            return self.b(self.plus.add_relu(x, self.net(x)))

    model = Stubs()

    assert torch.equal(told(model)[0], model(IMAGE).detach())


def refusals() -> list[tuple[object, str]]:
    """Return what is no network that could be read, with words of the way out."""
    with torch.device("meta"):
        nowhere = small()
    return [
        (torch.jit.trace(small().eval(), IMAGE), "TorchScript .*load the nn.Module that it was"),
        (torch.jit.script(small()), "ScriptModule"),
        (nn.Sequential(torch.jit.script(nn.ReLU())), "layer '0' is TorchScript"),
        (nn.Sequential(torch.ao.nn.quantized.ReLU6()), "layer '0' is quantized already"),
        (nowhere, "'0.weight' is on the meta device"),
        (nn.LazyConv2d(4, 3), "'weight' has no shape yet: its layer is lazy"),
        (nn.ReLU, r"the class ReLU itself: give a network, ReLU\(\)"),
        (torch.relu, "the function relu: give an nn.Module whose forward"),
        (small().state_dict(), "load_state_dict"),
        (3, "the model is a int: give an nn.Module"),
    ]


@pytest.mark.parametrize("index", range(10))
def test_what_holds_no_float_network_is_refused_with_the_way_out(index):
    model, words = refusals()[index]

    with pytest.raises(RequestError, match=words):
        read(model, IMAGE)
    with pytest.raises(CaptureError, match=words):
        capture(model, IMAGE)


class Keeping(nn.Module):
    """A network whose forward() leaves things behind; `lock` cannot be copied."""

    def __init__(self, lock: object = None) -> None:
        super().__init__()
        self.net, self.lock, self.seen, self.kept = small(), lock, None, {"n": 0}
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the network's result."""
        self.seen, self.last = x.shape, x
        self.kept["n"] += 1
        if torch.jit.is_tracing():
            raise RuntimeError("never")
        return self.net(x)


@pytest.mark.parametrize("lock", [None, threading.Lock()], ids=["copied", "put back"])
@pytest.mark.parametrize("size", [8, 2], ids=["captured", "refused"])
def test_whatever_forward_leaves_behind_is_not_left_in_the_users_module(lock, size):
    model = Keeping(lock)
    model.net[1].eval()
    before = dict(vars(model))
    modes = [module.training for module in model.modules()]

    if size == 8:
        graph = capture(model, IMAGE)
        assert torch.equal(run_float(graph, IMAGE)[0], small().eval()(IMAGE))
    else:
        with pytest.raises(CaptureError):
            capture(model, IMAGE[:, :, :2, :2])

    assert dict(vars(model)) == before
    assert [module.training for module in model.modules()] == modes


def test_a_network_that_has_to_be_converted_and_cannot_be_copied_says_how():
    with pytest.raises(CaptureError, match=r"call .float\(\).cpu\(\) yourself"):
        capture(Keeping(threading.Lock()).double(), IMAGE)
