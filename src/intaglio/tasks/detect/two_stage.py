"""The task of a detector of two stages, as training sees it: its second stage is in the loss."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from intaglio.errors import RequestError
from intaglio.tasks.detect.detect import Detect
from intaglio.tasks.detect.losses.two_stage import Sampled, Stages, stages_loss
from intaglio.tasks.detect.losses.wanted import wanted_of
from intaglio.tasks.task import Labels, Outputs


@dataclass(frozen=True, eq=False)
class TwoStageDetect(Detect):
    """The task whose outputs are those of a module's first stage.

    Which regions the second stage looks at depends on the labels, so that it is computed where
    labels are known. `post` is that of the second stage.

    Attributes:
        stages: Both.
        sampled: How many positions count.
    """

    stages: Stages | None = None
    sampled: Sampled = field(default_factory=Sampled)

    def loss(self, outputs: Outputs, labels: Labels, *, smoothing: float = 0.0) -> Tensor:
        """Return the loss of both stages, a mean over images, [].

        Raises:
            RequestError: If there is smoothing.
            DataError: If a box is of no class of the network.
        """
        assert self.stages is not None, "there is none without"
        if smoothing:
            raise RequestError(
                f"smoothing = {smoothing:g} spreads a label over all classes, and most regions have"
                " none: train with smoothing = 0"
            )
        head = self.stages.post.head
        wanted = wanted_of(head, self.categories, labels, outputs[0].device)
        return stages_loss(self.stages, outputs, wanted, self.sampled)


def two_stage_task(stages: Stages, of: Detect) -> TwoStageDetect:
    """Return the task of both stages of a detector.

    Args:
        stages: Both.
        of: Says the categories, and whose figures are wanted.
    """
    return TwoStageDetect(stages.post.head, of.categories, of.kind, stages=stages)
