"""A small network with batch norms, trained for a few steps by one process or by a part of several.

One process uses torch's own batch norm, so that what several reach is held against that.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intaglio.methods.learn.processes import Processes
from intaglio.run.norm_over_processes import Running, batch_norm_over

BATCH, STEPS, CLASSES = 9, 20, 5
"""Nine images do not divide by two: parts of five and four."""


class Norm(nn.BatchNorm2d):
    """A batch norm over the parts of all processes."""

    def __init__(self, channels: int, processes: Processes) -> None:
        super().__init__(channels)
        self.processes = processes

    def forward(self, x: Tensor) -> Tensor:
        """Return x, normalized."""
        running = Running(self.running_mean, self.running_var, self.momentum, self.eps)
        summed = self.processes.summed
        return batch_norm_over(x, self.weight, self.bias, running, summed=summed)


def small_net(processes: Processes, dtype: torch.dtype) -> nn.Module:
    """Return the network, the same for all; torch's batch norms where the process is alone."""
    torch.manual_seed(0)

    def norm() -> nn.Module:
        return nn.BatchNorm2d(8) if processes.count == 1 else Norm(8, processes)

    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),
        norm(),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2, groups=4, bias=False),
        norm(),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, CLASSES),
    )
    return network.to(dtype)


def trained(processes: Processes, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return what the network holds after 20 steps of SGD, each on the same nine images."""
    network = small_net(processes, dtype)
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    generator = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        images = torch.randn(BATCH, 3, 10, 10, generator=generator, dtype=torch.float64) + 1.0
        labels = torch.randint(CLASSES, (BATCH,), generator=generator)
        part = processes.part(BATCH)
        own = labels[part]
        whole = processes.total(len(own))
        optimizer.zero_grad()
        loss = F.cross_entropy(network(images[part].to(dtype)), own)
        (loss * (len(own) / whole)).backward()
        processes.sum_gradients(network.parameters())
        optimizer.step()
    return {name: value for name, value in network.state_dict().items() if value.ndim}
