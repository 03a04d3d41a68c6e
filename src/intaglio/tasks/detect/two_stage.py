"""The task of a detector of two stages, as training sees it: its second stage is in the loss."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from intaglio.errors import RequestError
from intaglio.tasks.detect.detect import Detect
from intaglio.tasks.detect.losses.two_stage import Sampled, stages_loss
from intaglio.tasks.detect.losses.wanted import wanted_of
from intaglio.tasks.task import Labels, Outputs
from intaglio.zoo.faster_rcnn import FasterRcnn


@dataclass(frozen=True, eq=False)
class TwoStageDetect(Detect):
    """The task whose outputs are those of a module's first stage.

    Which regions the second stage looks at depends on the labels, so that it is computed where
    labels are known. `post` is that of the second stage.

    Attributes:
        module: Both stages.
        input_size: Height, width of the images.
        sampled: How many positions count.
    """

    module: FasterRcnn | None = None
    input_size: tuple[int, int] = (0, 0)
    sampled: Sampled = field(default_factory=Sampled)

    def loss(self, outputs: Outputs, labels: Labels, *, smoothing: float = 0.0) -> Tensor:
        """Return the loss of both stages, a mean over images, [].

        Raises:
            RequestError: If there is smoothing.
            DataError: If a box is of no class of the network.
        """
        assert self.module is not None, "there is none without"
        if smoothing:
            raise RequestError(
                f"smoothing = {smoothing:g} spreads a label over all classes, and most regions have"
                " none: train with smoothing = 0"
            )
        post = self.module.postprocess(self.input_size)
        wanted = wanted_of(post.head, self.categories, labels, outputs[0].device)
        return stages_loss(self.module, post, outputs, wanted, self.sampled)


def two_stage_task(module: FasterRcnn, input_size: tuple[int, int], of: Detect) -> TwoStageDetect:
    """Return the task of a module.

    Args:
        module: Both stages.
        input_size: Height, width of the images.
        of: Says the categories, and whose figures are wanted.
    """
    post = module.postprocess(input_size).head
    return TwoStageDetect(post, of.categories, of.kind, module=module, input_size=input_size)
