"""What users bring: weights, programs, data sets, images, recipes, files of other tools."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from benchmarks.fuzz.formats import CHECKSUMS, Format, digest_of
from benchmarks.fuzz.mutations import of_archive, of_bytes, of_toml
from intaglio.cli.source import open_source
from intaglio.data.dataset import FileSource, Item
from intaglio.data.decode import decode
from intaglio.data.images import open_dataset
from intaglio.ir.graph import Graph
from intaglio.read.named import parse_model
from intaglio.recipe.recipe import Recipe, find_recipe, to_toml
from intaglio.store.weights import load_weights

CLASSES = 3


def network() -> nn.Module:
    """Return a small classifier of 16x16 images with random weights."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6()]
    layers += [nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, CLASSES)).eval()


def pixels(size: int = 16, seed: int = 0) -> Image.Image:
    """Return an image of noise on a slope, so that every decoder has something to do."""
    noise = np.random.default_rng(seed).integers(0, 64, (size, size, 3), dtype=np.uint8)
    return Image.fromarray(noise + np.arange(size, dtype=np.uint8)[:, None, None] * 4)


def input_formats(folder: Path) -> list[Format]:
    """Write a sample of each format into a folder of its own; return the formats."""
    formats = [*_weights(folder), *_programs(folder), *_data(folder), *_images(folder)]
    return [*formats, _recipe(folder), _model_text(folder)]


def _place(folder: Path, name: str, file: str) -> Path:
    path = folder / name / file
    path.parent.mkdir(parents=True)
    return path


def _weights(folder: Path) -> list[Format]:
    state = network().state_dict()
    plain = _place(folder, "safetensors", "w.safetensors")
    save_file(state, plain)
    zipped = [_place(folder, name, "w.pth") for name in ("pth", "pth-behind")]
    for path in zipped:
        torch.save({"state_dict": state, "epoch": 3}, path)
    legacy = _place(folder, "pth-legacy", "w.pth")
    torch.save(state, legacy, _use_new_zipfile_serialization=False)
    return [
        Format("weights .safetensors", plain, of_bytes, _weights_reader(plain)),
        Format("weights .pth", zipped[0], of_bytes, _weights_reader(zipped[0]), CHECKSUMS),
        Format("weights .pth, sums made again", zipped[1], of_archive, _weights_reader(zipped[1])),
        Format("weights .pth, legacy", legacy, of_bytes, _weights_reader(legacy)),
    ]


def _weights_reader(path: Path) -> Callable[[], str]:
    target = network()

    def read() -> str:
        with torch.no_grad():
            for value in target.state_dict().values():
                value.zero_()
        load_weights(target, path)
        return digest_of(target.state_dict())

    return read


def _programs(folder: Path) -> list[Format]:
    images = torch.zeros(2, 3, 16, 16)
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(network(), (images,), dynamic_shapes=shapes)
    paths = [_place(folder, name, "net.pt2") for name in ("pt2", "pt2-behind")]
    for path in paths:
        torch.export.save(program, path)
    return [
        Format("program .pt2", paths[0], of_bytes, _program_reader(paths[0]), CHECKSUMS),
        Format("program .pt2, sums made again", paths[1], of_archive, _program_reader(paths[1])),
    ]


def _program_reader(path: Path) -> Callable[[], str]:
    def read() -> str:
        found = open_source(str(path), weights=None, preprocess=None, input_shape=None)
        return digest_of(found.input_shape, graph_digest(found.capture()))

    return read


def graph_digest(graph: Graph) -> str:
    """Return a digest of a graph's nodes and weights."""
    nodes = [
        (n.name, n.op, n.inputs, sorted(n.params.items()), sorted(n.attrs.items()), n.shape)
        for n in graph
    ]
    return digest_of(nodes, graph.inputs, graph.outputs, graph.params)


def _data(folder: Path) -> list[Format]:
    manifest = _place(folder, "csv", "data.csv")
    names = [f"{number}.png" for number in range(6)]
    for name in names:
        pixels().save(manifest.parent / name)
    lines = [f'"{name}",{number % CLASSES}' for number, name in enumerate(names)]
    manifest.write_text("\n".join(["file,class_index", *lines]) + "\n")
    rows = [_encoded("PNG", seed) for seed in range(6)]
    table = {"jpeg": rows, "label": [number % CLASSES for number in range(6)]}
    parquet = _place(folder, "parquet", "data.parquet")
    summed = _place(folder, "parquet-summed", "data.parquet")
    for path in (parquet, summed):
        pyarrow.parquet.write_table(
            pyarrow.table(table), path, row_group_size=4, write_page_checksum=path == summed
        )
    return [
        Format("manifest .csv", manifest, of_bytes, lambda: _listed(manifest)),
        Format("images .parquet", parquet, of_bytes, lambda: _contents(parquet)),
        Format("images .parquet, page sums", summed, of_bytes, lambda: _contents(summed)),
    ]


def _listed(path: Path) -> str:
    return digest_of([(item.name, item.label) for item in open_dataset(path).items])


def _contents(path: Path) -> str:
    parts: list[object] = []
    for item in open_dataset(path, need_labels=True).items:
        with item.source.open() as file:
            parts += [item.name, item.label, file.read()]
    return digest_of(*parts)


def _encoded(kind: str, seed: int = 0, **how: object) -> bytes:
    buffer = io.BytesIO()
    pixels(seed=seed).save(buffer, kind, **how)  # type: ignore[arg-type]
    return buffer.getvalue()


def _images(folder: Path) -> list[Format]:
    formats = []
    kinds = {"JPEG": {}, "PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}, "BMP": {}, "PPM": {}}
    for kind, how in kinds.items():
        path = _place(folder, kind.lower(), "image")
        path.write_bytes(_encoded(kind, **how))
        guard = {"guard": CHECKSUMS} if kind == "PNG" else {}
        formats.append(Format(f"image {kind}", path, of_bytes, _image_reader(path), **guard))
    return formats


def _image_reader(path: Path) -> Callable[[], str]:
    def read() -> str:
        image = decode(Item("image", None, FileSource(str(path))), 3)
        return digest_of(image.size, image.tobytes())

    return read


def _recipe(folder: Path) -> Format:
    path = _place(folder, "recipe", "recipe.toml")
    steps = [{"name": "fold-dead-channels"}, {"name": "round-second-order"}]
    recipe = Recipe(
        name="ours", calibrator="mse", steps=steps, weight_bits={"0": 4}, tuning_images=64, seed=3
    )
    path.write_text(to_toml(recipe))
    return Format(
        "recipe .toml", path, of_toml, lambda: digest_of(find_recipe(str(path)).model_dump_json())
    )


def _model_text(folder: Path) -> Format:
    path = _place(folder, "text", "model.txt")
    path.write_text("package.module:factory(width=0.25, sizes=[1, -2], name='a b', last=None)")

    def read() -> str:
        text = path.read_bytes().decode("utf-8", "surrogateescape")  # as the system gives it
        return digest_of(str(parse_model(text)))

    return Format("MODEL of the command line", path, of_bytes, read)
