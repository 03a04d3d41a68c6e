"""Quantization-aware training as a step of a recipe, on the images that recipes tune on."""

from __future__ import annotations

from dataclasses import dataclass, field

from intaglio.data.tensor_samples import TensorSamples
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.learn.processes import Processes
from intaglio.methods.steps.state import Context, Quantized
from intaglio.methods.steps.steps import NUMBERS, register_step
from intaglio.methods.train.ground import Ground
from intaglio.methods.train.qat import quantized_epochs, train_quantized

TUNING = TrainOptions(epochs=20.0, batch=32, lr=1e-3, distill=1.0, freeze=0.0, flip=True)
"""For some hundred images: the float network teaches, since labels would be learned by heart."""


@register_step("train", NUMBERS, needs=("images", "task"))
@dataclass(frozen=True)
class Train:
    """Quantization-aware training, taught by the float network.

    Attributes:
        method: How grids follow: lsq, exact, ...
        options: Of the run; its seed is the recipe's.
    """

    method: str = "lsq"
    options: TrainOptions = field(default=TUNING)

    def __call__(self, state: Quantized, context: Context) -> Quantized:
        """Return the network after training on the tuning images."""
        options = self.options.model_copy(update={"seed": context.seed})
        return train_quantized(
            state, _ground(state, context), options, target=context.target, method=self.method
        ).state

    def epochs_within(self, minutes: float, state: Quantized, context: Context) -> float:
        """Return how many epochs fit into some minutes, by the pace of the first few steps."""
        options = self.options.model_copy(update={"seed": context.seed, "minutes": minutes})
        return quantized_epochs(
            state, _ground(state, context), options, target=context.target, method=self.method
        )


def _ground(state: Quantized, context: Context) -> Ground:
    images = context.tuning_images
    assert context.task is not None, "the step needs it"
    return Ground(
        TensorSamples(images, context.labels, tuple(images.shape[1:])),
        context.task,
        state.reference,
        processes=Processes(device=context.device),
        progress=context.progress,
    )
