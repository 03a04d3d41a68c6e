"""A small classifier with batch norms, quantized without an image, and games on it."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from intaglio.job.data_free import run_without_images
from intaglio.job.quantize import prepare_network
from intaglio.job.recorder import Recorder
from intaglio.methods.datafree.game import made
from intaglio.methods.datafree.gdfq import TrainGdfq
from intaglio.methods.datafree.state import Game
from intaglio.methods.datafree.zaq import TrainZaq
from intaglio.methods.steps.state import Context, Quantized
from intaglio.numerics.scheme import parse_scheme
from intaglio.read.module.export import capture
from intaglio.recipe.recipe import find_recipe
from intaglio.recipe.settings import Settings
from intaglio.runtimes import LITERT

CLASSES, SIZE = 4, 9
FAST: dict[str, Any] = {"batch": 8, "width": 8, "latent": 6, "steps": 6, "warmup": 2}
"""Settings with which a game takes a moment."""


class Residual(nn.Module):
    """Two convolutions with batch norms, and a sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(x + norm(conv(x)))."""
        return torch.relu(x + self.norm(self.conv(x)))


def classifier(*, norms: bool = True, end: nn.Module | None = None) -> nn.Module:
    """Return two stages, a sum, a pool and a classifier; norms have followed images of noise."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8) if norms else nn.Identity(),
            nn.ReLU(),
            Residual(8) if norms else nn.Identity(),
            nn.Conv2d(8, 12, 3, stride=2, padding=1),
            nn.BatchNorm2d(12) if norms else nn.Identity(),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(12, CLASSES),
            end or nn.Identity(),
        )
        module.train()
        for _ in range(20):
            module(torch.randn(16, 3, SIZE, SIZE))
        with torch.no_grad():  # answers that differ from image to image
            module[9].weight.mul_(8.0)
    return module.eval()


class TwoHeads(nn.Module):
    """A network whose two outputs are no classes."""

    def __init__(self) -> None:
        super().__init__()
        self.body = classifier()[:7]
        self.first, self.second = nn.Conv2d(12, 2, 1), nn.Conv2d(12, 5, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return two maps."""
        x = self.body(x)
        return self.first(x), self.second(x)


@functools.cache
def cached_state(scheme: str) -> Quantized:
    """Return the classifier in integers."""
    return quantized(classifier(), scheme)


def quantized(module: nn.Module, scheme: str = "w4a4", size: int = SIZE) -> Quantized:
    """Return a network in integers, made without an image."""
    captured = capture(module, torch.zeros(1, 3, size, size))
    recipe = find_recipe("datafree")
    settings = Settings(
        recipe, LITERT, scheme=parse_scheme(scheme), calibrator=recipe.calibrator, io="float",
        seed=0,
    )  # fmt: skip
    recorder = Recorder()
    prepared, settings = prepare_network(captured, settings, recorder)
    return run_without_images(prepared, settings, recorder, preprocess=None).state


def context(**given: Any) -> Context:
    """Return a context without images."""
    return Context(None, LITERT, **given)


def zaq(**given: Any) -> TrainZaq:
    """Return a short game of ZAQ."""
    return TrainZaq(**{**FAST, "student_steps": 2, "lr": 1e-4, "norm_weight": 1.0, **given})


def gdfq(**given: Any) -> TrainGdfq:
    """Return a short game of GDFQ."""
    return TrainGdfq(**{**FAST, "lr": 1e-4, "optimizer": "sgd", **given})


def game_of(step: TrainZaq | TrainGdfq, state: Quantized | None = None) -> Game:
    """Return a game before its first turn."""
    state = state or cached_state("w4a4")
    return made(state, context(), step.match(state, context()))


def digest(tensors: Mapping[str, Any]) -> str:
    """Return what two states have in common that are equal in every byte."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        if isinstance(tensors[name], Tensor):
            found.update(name.encode())
            found.update(tensors[name].detach().contiguous().numpy().tobytes())
    return found.hexdigest()


def numbers_of(state: Quantized) -> dict[str, Tensor]:
    """Return all that a network in integers is made of."""
    weights = {f"{name} weight": grid for name, grid in state.encodings.weights.items()}
    grids = {**state.encodings.activations, **weights}
    scales = {f"scale {name}": grid.scale for name, grid in grids.items()}
    zeros = {f"zero {name}": grid.zero_point for name, grid in grids.items()}
    return {**state.graph.params, **scales, **zeros}


class Stop(Exception):
    """A run that is killed."""


@dataclass
class StopsAfter:
    """Progress that kills the run when so many turns were played."""

    turns: int
    seen: int = 0
    said: list[str] = field(default_factory=list)
    curves: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    def begin(self, step: str, total: int | None) -> None:
        """Do nothing."""

    def advance(self, count: int) -> None:
        """Count turns; kill."""
        self.seen += count // FAST["batch"]
        if self.seen >= self.turns:
            raise Stop

    def end(self) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Keep it."""
        self.said.append(text)

    def chart(self, step: int, values: Mapping[str, float]) -> None:
        """Keep them."""
        self.curves.append((step, dict(values)))


def saved_in(place: Path) -> bool:
    """Return whether a run was saved there."""
    return (place / "state.safetensors").is_file()
