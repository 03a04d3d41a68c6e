"""What a user may call a network in Python: which reader takes it, what does not go with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import intaglio
from intaglio.data.preprocess import Preprocess
from intaglio.errors import CaptureError, RequestError, UnknownName, WeightsError
from intaglio.read.module.program import graph_of_program
from intaglio.read.reader import READERS, Reader
from intaglio.read.source import OWN, read
from intaglio.registry import Registry
from intaglio.run.float import run_float
from packages import Install

X = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
TINY_READER = """
    from dataclasses import dataclass

    import torch

    from intaglio.read import reader
    from intaglio.read.module.export import capture


    @dataclass(frozen=True)
    class TinyReader:
        name: str = "{name}"
        description: str = "a .tiny file: how many channels one convolution has"

        def takes(self, model):
            return isinstance(model, str) and model.endswith(".tiny")

        def open(self, model, given):
            with open(model) as file:
                network = torch.nn.Conv2d(3, int(file.read()), 1).eval()
            shape = given.input_shape or (1, 3, 8, 8)
            example = given.example_of(shape)
            preprocess = given.preprocess_over(None)
            return reader.Source(model, lambda: capture(network, example), preprocess, shape)


    reader.READERS.register("{name}")(TinyReader())
"""
FACTORIES = """
from torch import nn


def mixed():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))


def of_features():
    return nn.Linear(6, 2)
"""


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)).eval()


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module in the current directory."""
    (tmp_path / "factories_to_read.py").write_text(FACTORIES)
    monkeypatch.chdir(tmp_path)
    yield "factories_to_read"
    sys.modules.pop("factories_to_read", None)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A saved program for images of 8x8 pixels."""
    path = tmp_path / "net.pt2"
    shapes = ({0: torch.export.Dim("batch")},)
    torch.export.save(torch.export.export(network(), (X,), dynamic_shapes=shapes), path)
    return path


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> Registry[Reader]:
    """The table of readers with ours alone, which packages can add to for one test."""
    table: Registry[Reader] = Registry("reader", group=READERS.group)
    for reader in OWN:
        table.register(reader.name)(reader)
    monkeypatch.setattr("intaglio.read.reader.READERS", table)
    monkeypatch.setattr("intaglio.read.source.READERS", table)
    return table


def test_every_reader_says_what_it_takes():
    for name in READERS:
        assert READERS[name].name == name
        assert READERS[name].description


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (nn.ReLU(), "module"),
        ("net.pt2", "program"),
        ("some/where/NET.PT2", "program"),
        ("a:b.pt2", "program"),
        ("mobilenet_v2", "named"),
        (" mobilenet_v2 (width=0.5)", "named"),
        ("package.module:Class.factory(x='a.pt')", "named"),
        ("mobilnet_v2", None),
        ("net.tiny", None),
        ("C:\\nets\\net.tiny", None),
        ("mobilenet_v2.tiny", None),
        (7, None),
    ],
)
def test_one_reader_of_ours_takes_a_model(model: object, name: str | None):
    takers = [reader.name for reader in OWN if reader.takes(model)]

    assert takers[:1] == ([name] if name else [])


def test_a_module_is_read_with_its_example_input():
    source = read(network(), X)

    assert (source.name, source.input_shape, source.notes) == ("model", (1, 3, 8, 8), ())
    assert torch.equal(run_float(source.capture(), X)[0], network()(X))


def test_a_shape_stands_for_an_example_input():
    source = read(network(), input_shape=(7, 3, 8, 8), preprocess="mean=0.5")

    assert source.input_shape == (1, 3, 8, 8)
    assert source.preprocess == Preprocess(mean=(0.5,))
    assert torch.equal(run_float(source.capture(), X)[0], network()(X))


def test_a_program_is_read_by_its_path_or_its_text(program: Path):
    for model in (program, str(program)):
        source = read(model)

        assert (source.name, source.input_shape) == (str(program), (1, 3, 8, 8))
        assert torch.equal(run_float(source.capture(), X)[0], network()(X))


def test_a_zoo_name_brings_its_shape_and_may_be_given_another():
    source = read("mobilenet_v2_tf(width=0.25)")
    other = read("mobilenet_v2_tf(width=0.25)", torch.zeros(2, 3, 64, 64))

    assert source.input_shape == (1, 3, 224, 224)
    assert source.preprocess.mean == (0.5, 0.5, 0.5)
    assert "random weights" in source.notes[0]
    assert other.input_shape == (1, 3, 64, 64)


def test_a_factory_is_read_with_weights_from_a_file(factories: str, tmp_path: Path):
    save_file(network().state_dict(), tmp_path / "weights.safetensors")

    source = read(f"{factories}:mixed", X, weights=tmp_path / "weights.safetensors")

    assert source.notes == ()
    assert torch.equal(run_float(source.capture(), X)[0], network()(X))


def test_a_seed_gives_random_weights(factories: str):
    first, again, other = (
        run_float(read(f"{factories}:mixed", X, seed=seed).capture(), X)[0] for seed in (1, 1, 2)
    )

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_network_of_features_is_read_as_well(factories: str):
    source = read(f"{factories}:of_features", torch.zeros(3, 6))

    assert source.input_shape == (1, 6)
    assert run_float(source.capture(), torch.zeros(5, 6))[0].shape == (5, 2)


def test_a_preprocess_replaces_the_networks_own_and_a_text_parts_of_it():
    own = read("mobilenet_v2").preprocess

    whole = read("mobilenet_v2", preprocess=Preprocess(crop=200)).preprocess
    part = read("mobilenet_v2", preprocess="crop=200,resize=none").preprocess

    assert whole == Preprocess(crop=200)
    assert part == Preprocess(crop=200, mean=own.mean, std=own.std)


def test_what_does_not_go_together_is_refused(program: Path):
    with pytest.raises(RequestError, match="the module Sequential brings its own weights"):
        read(network(), X, weights="w.safetensors")
    with pytest.raises(RequestError, match="brings its own weights"):
        read(program, weights="w.safetensors")
    with pytest.raises(RequestError, match=r"was exported for images \[1, 3, 8, 8\]"):
        read(program, torch.zeros(1, 3, 9, 9))
    with pytest.raises(RequestError, match=r"input_shape=\(1, 3, 9, 9\) and the example input"):
        read(network(), X, input_shape=(1, 3, 9, 9))


@pytest.mark.parametrize("shape", ["1,3,8,8", (3,), (1, 3, 0, 8), (1, 3, 8.5, 8), ()])
def test_a_shape_that_is_none_is_refused(shape: object):
    with pytest.raises(RequestError, match="is not sizes such as"):
        read(network(), input_shape=shape)


def test_an_example_that_is_none_is_refused():
    for example in (None, X.int(), X[:0]):
        with pytest.raises(CaptureError, match="the example input must be a float32 tensor"):
            read(network(), example)


def test_a_factory_without_a_size_says_what_to_give_in_python(factories: str):
    with pytest.raises(RequestError, match="nothing tells the size of the images") as caught:
        read(f"{factories}:mixed")

    assert "example_input" in caught.value.__notes__[0]


def test_what_is_no_model_is_refused():
    with pytest.raises(UnknownName, match="unknown model 'mobilnet_v2': did you mean mobilenet_v2"):
        read("mobilnet_v2")
    with pytest.raises(WeightsError, match="there is no program file"):
        read(Path("missing.pt2"))
    with pytest.raises(
        RequestError, match=r"the model is the class Conv2d itself: give a network, Conv2d"
    ):
        read(nn.Conv2d)


def test_a_reader_of_a_package_is_found_by_what_it_takes(
    readers: Registry[Reader], install: Install, tmp_path: Path
):
    install("tiny_reader", TINY_READER.format(name="tiny"), "intaglio.readers", "tiny")
    (tmp_path / "net.tiny").write_text("6")

    source = read(tmp_path / "net.tiny")

    assert run_float(source.capture(), X)[0].shape == (4, 6, 8, 8)
    assert "tiny" in list(readers)


def test_two_readers_of_one_file_are_refused_by_name(readers: Registry[Reader], install: Install):
    for name in ("tiny", "tiny2"):
        install(f"{name}_reader", TINY_READER.format(name=name), "intaglio.readers", name)

    with pytest.raises(RequestError, match="is taken by the readers tiny and tiny2"):
        read("net.tiny")


def test_a_broken_reader_is_in_nobodys_way(readers: Registry[Reader], install: Install):
    install("bad_reader", "import not_installed_here\n", "intaglio.readers", "bad")

    assert read("mobilenet_v2(width=0.25)").input_shape == (1, 3, 224, 224)
    with pytest.warns(UserWarning, match="reader 'bad' of the package 'bad_reader 1.5'"):  # noqa: SIM117
        with pytest.raises(UnknownName, match="unknown model 'mobilnet'"):
            read("mobilnet")


@pytest.mark.slow
def test_compress_takes_a_path_and_gives_the_bytes_of_the_module(program: Path):
    by_module = intaglio.compress(network(), X[:1], data=X, recipe="plain")

    by_path = intaglio.compress(program, data=X, recipe="plain")

    assert by_path.report.model == str(program)
    assert by_module.report.model == "model"
    named = intaglio.Options(provenance=intaglio.Provenance(model=str(program)))
    again = intaglio.compress(network(), X[:1], data=X, recipe="plain", options=named)
    assert by_path.content == again.content


@pytest.mark.slow
def test_compress_takes_a_name_with_weights(factories: str, tmp_path: Path):
    model, weights = f"{factories}:mixed", tmp_path / "weights.safetensors"
    save_file(network().state_dict(), weights)

    source = intaglio.read(model, X[:1], weights=weights)

    result = intaglio.compress(source, data=X, recipe="plain")

    assert result.report.model == model
    assert result.report.check.mismatches == 0
    by_module = intaglio.compress(network(), X[:1], data=X, recipe="plain")
    assert torch.equal(result.twin(X), by_module.twin(X))


@pytest.mark.slow
def test_compress_tells_that_weights_are_random_and_draws_them_by_the_seed():
    model = "resnet20_cifar10"
    data = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    seeds = [intaglio.Options(seed=seed) for seed in (3, 3, 4)]

    first, again, other = (
        intaglio.compress(model, data=data, recipe="plain", options=options) for options in seeds
    )

    assert first.content == again.content != other.content
    assert any("random weights" in warning for warning in first.report.warnings)


def test_weights_beside_a_module_are_refused():
    with pytest.raises(RequestError, match="brings its own weights"):
        intaglio.read(network(), X[:1], weights="w.safetensors")


def test_what_was_read_has_its_input_already():
    source = intaglio.read(network(), X[:1])

    with pytest.raises(RequestError, match="leave example_input out"):
        intaglio.compress(source, X[:1], data=X)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_file_that_is_no_network_is_refused_as_what_it_is(tmp_path):
    traced = torch.jit.trace(torch.nn.ReLU(), torch.zeros(1, 3, 8, 8))
    traced.save(str(tmp_path / "best.pt"))
    torch.save({"weight": torch.zeros(1)}, tmp_path / "weights.pth")

    with pytest.raises(RequestError, match="is TorchScript"):
        read(str(tmp_path / "best.pt"))
    with pytest.raises(RequestError, match="weights alone go to --weights"):
        read(str(tmp_path / "weights.pth"))


def test_a_program_for_images_of_any_height_is_refused_by_that_word():
    size = torch.export.Dim
    program = torch.export.export(
        torch.nn.Conv2d(3, 4, 3),
        (torch.zeros(2, 3, 32, 32),),
        dynamic_shapes=({0: size("n"), 2: size.AUTO, 3: size.AUTO},),
    )

    with pytest.raises(CaptureError, match="any height"):
        graph_of_program(program)
