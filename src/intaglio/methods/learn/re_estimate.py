"""Statistics of batch norms, measured again."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from intaglio.methods.learn.learner import Learner


def re_estimate(learner: Learner, batches: Iterable[Tensor]) -> list[str]:
    """Set the statistics of batch norms to the means over batches; return what is told of it."""
    learner.train(True)
    with torch.no_grad():
        for images in batches:
            learner(images)
    return []
