"""What networks draw while they train (dropout), by seed, step and process alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from intaglio.methods.learn.processes import Processes

DROPOUT = 2
"""Tells these numbers from others of the same seed and step."""


@contextmanager
def own_draws(device: str) -> Iterator[None]:
    """Give a block torch's generators; what was to be drawn from them is drawn behind it.

    Layers draw from nowhere else.
    """
    place = torch.device(device)
    devices = [place] if place.type == "cuda" else []
    with torch.random.fork_rng(devices):
        yield


def seed_draws(seed: int, step: int, processes: Processes) -> None:
    """Let all that is drawn from here on be that of a step.

    So a run that goes on where it was killed needs no state of the generators.
    """
    drawn = np.random.SeedSequence([seed, step, processes.rank, DROPOUT]).generate_state(1)
    torch.manual_seed(int(drawn[0]))
