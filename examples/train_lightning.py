"""The trainable network inside a LightningModule: your own loop, and a checked file at its end.

    pip install lightning
    python examples/train_lightning.py

Lightning trains; intaglio makes the network before, and twin and file of what was trained after.
"""

from __future__ import annotations

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import intaglio
from intaglio.job.quantize import prepare_network, quantize_network
from intaglio.job.recorder import Recorder
from intaglio.methods.steps.state import Quantized
from intaglio.recipe.recipe import find_recipe
from intaglio.recipe.settings import settle
from intaglio.targets.runtime import About

TARGET = "litert"


def quantized(network: nn.Module, images: Tensor, scheme: str) -> Quantized:
    """Return a network whose grids are those of calibration: what training starts from."""
    settings = settle(find_recipe("plain"), TARGET, intaglio.Options(scheme=scheme))
    graph = intaglio.capture(network, images[:1])
    prepared, settings = prepare_network(graph, settings, Recorder())
    return quantize_network(prepared, settings, images, Recorder(), device="cpu").state


class Classifier(lightning.LightningModule):
    """A classifier in training with its integers in it."""

    def __init__(self, state: Quantized, lr: float) -> None:
        """Make the trainable network of a quantized one."""
        super().__init__()
        target = intaglio.TARGETS[TARGET]
        self.lr = lr
        self.network = intaglio.trainable(
            state.graph,
            state.prepared.current_norms(),
            intaglio.Deployment(state.plan, state.encodings, target),
        )

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Return the loss of a batch."""
        images, labels = batch
        return nn.functional.cross_entropy(self.network(images)[0], labels)

    def on_train_epoch_start(self) -> None:
        """Let batch norms keep their statistics in the last epoch: the twin has them folded."""
        if self.current_epoch == self.trainer.max_epochs - 1:
            self.network.freeze_norms()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return torch.optim.SGD(self.parameters(), lr=self.lr, momentum=0.9, nesterov=True)


def main() -> None:
    """Train for two epochs, and compare the file with its twin."""
    torch.manual_seed(0)
    network = intaglio.zoo.mobilenet_v2(width=0.25, num_classes=10, small_input=True).eval()
    images, labels = torch.randn(128, 3, 32, 32), torch.arange(128) % 10
    module = Classifier(quantized(network, images, "w8a8"), lr=0.001)
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False
    )
    trainer.fit(module, DataLoader(TensorDataset(images, labels), batch_size=32, shuffle=True))

    target = intaglio.TARGETS[TARGET]
    graph, encodings = module.network.eval().read_out()
    twin = intaglio.build_twin(graph, encodings, target)
    files = target.write(graph, encodings, "float", About())
    counts = target.check(files, twin, [images[:4]])
    print(f"{counts.mismatches} mismatches in {counts.values_compared:,} values")


if __name__ == "__main__":
    main()
