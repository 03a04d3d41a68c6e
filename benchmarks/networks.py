"""The networks that benchmarks measure, with the weights and images of the data pack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from benchmarks.places import DATA, IMAGENET, WEIGHTS
from intaglio.data.images import batches, draw, open_dataset
from intaglio.data.preprocess import Preprocess, parse_preprocess
from intaglio.read.named import build_model, parse_model
from intaglio.store.weights import load_weights
from intaglio.zoo.resnet_cifar import ResNetCifar


@dataclass(frozen=True)
class Subject:
    """A network to measure.

    Attributes:
        model: As on the command line.
        weights: File in the data pack, or None: random weights under seed 0.
        calibration, judged: Data sets.
        preprocess: Text for --preprocess.
    """

    model: str
    weights: Path | None
    calibration: Path
    judged: Path
    preprocess: str

    def build(self) -> tuple[nn.Module, Preprocess, tuple[int, ...]]:
        """Return the module in eval mode, what is done to images, and its input shape."""
        built = build_model(parse_model(self.model))
        if self.weights is not None:
            load_weights(built.module, self.weights)
        assert built.preprocess is not None
        assert built.input_shape is not None
        preprocess = parse_preprocess(self.preprocess, built.preprocess)
        return built.module, preprocess, built.input_shape

    def images(self, data: Path, limit: int | None, seed: int = 0) -> Iterator[Tensor]:
        """Yield batches of images of a data set."""
        _, preprocess, shape = self.build()
        chosen = draw(open_dataset(data), limit, seed)
        for batch in batches(chosen, preprocess, shape, batch_size=16):
            yield batch.images


def imagenet(model: str, weights: str | None) -> Subject:
    """Return a network that takes the data pack's photographs."""
    path = WEIGHTS / f"{weights}.safetensors" if weights else None
    return Subject(model, path, IMAGENET / "calib.csv", IMAGENET / "val227.csv", "resize=none")


CIFAR = DATA / "cifar10_jpeg"
V2 = imagenet("mobilenet_v2_tf", "mobilenet_v2_1.0_224_tf")
V2_TV = imagenet("mobilenet_v2", "mobilenet_v2_1.0_224_tv_dequant")
V1_075 = imagenet("mobilenet_v1_tf(width=0.75)", "mobilenet_v1_0.75_224_tf")
V1_025 = imagenet("mobilenet_v1_tf(width=0.25)", "mobilenet_v1_0.25_224_tf")
V3_LARGE = imagenet("mobilenet_v3_large", None)
V3_SMALL = imagenet("mobilenet_v3_small", None)
RESNET20 = Subject(
    "resnet20_cifar10",
    WEIGHTS / "resnet20_cifar10.safetensors",
    CIFAR / "train.parquet",
    CIFAR / "test.parquet",
    "resize=none",
)


@dataclass(frozen=True)
class Deeper(Subject):
    """The same with 9 blocks a stage, which the zoo has no name for."""

    def build(self) -> tuple[nn.Module, Preprocess, tuple[int, ...]]:
        """Return ResNet-56 in eval mode, what is done to images, and its input shape."""
        built = build_model(parse_model(RESNET20.model))
        module = ResNetCifar(blocks_per_stage=9, num_classes=10)
        assert self.weights is not None
        assert built.preprocess is not None
        assert built.input_shape is not None
        load_weights(module, self.weights)
        return module.eval(), built.preprocess, built.input_shape


RESNET56 = Deeper(
    "resnet56_cifar10",
    WEIGHTS / "resnet56_cifar10.safetensors",
    RESNET20.calibration,
    RESNET20.judged,
    RESNET20.preprocess,
)
ALL = (V1_075, V1_025, V2, V3_LARGE, V3_SMALL, RESNET20)
