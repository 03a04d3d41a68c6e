"""A reader of the third party: `.widths` files hold the widths of a chain of convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from intaglio.errors import RequestError
from intaglio.read.module.export import capture
from intaglio.read.reader import READERS, Given, Source


def chain(widths: list[int], seed: int) -> nn.Module:
    """Return the network that a list of widths means."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for before, width in zip([3, *widths], widths, strict=False):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
        pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 4)]
        return nn.Sequential(*layers, *pooled).eval()


@dataclass(frozen=True)
class Widths:
    """Takes paths that end in .widths."""

    name: str = "widths"
    description: str = "widths of a chain of convolutions"

    def takes(self, model: object) -> bool:
        """Whether it is such a path."""
        return isinstance(model, str) and model.endswith(".widths")

    def open(self, model: object, given: Given) -> Source:
        """Return the source."""
        try:
            widths = [int(word) for word in Path(str(model)).read_text().split()]
        except (OSError, ValueError) as error:
            raise RequestError(f"{model}: no widths in it ({error})") from error
        shape = given.input_shape or (1, 3, 8, 8)
        network = chain(widths, given.seed)
        return Source(
            name=Path(str(model)).stem,
            capture=lambda: capture(network, given.example_of(shape)),
            preprocess=given.preprocess_over(None),
            input_shape=shape,
        )


READERS.register("widths")(Widths())
