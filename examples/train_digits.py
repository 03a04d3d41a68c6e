"""Train the network of `make demo` and write its checkpoint.

    python examples/train_digits.py [FILE]

FILE is src/intaglio/demo/digits.safetensors when it is left out. It takes about two minutes on
one core. The same versions on the same kind of processor give the same bytes; another processor
may sum in another order and end at other weights of the same quality.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from intaglio.demo.digits import Part, build_network, load_digits

CHECKPOINT = Path(__file__).resolve().parent.parent / "src/intaglio/demo/digits.safetensors"
SEED = 0
EPOCHS = 12
BATCH = 32
LARGEST_SHIFT = 2  # pixels, of 32
LEARNING_RATE = 4e-3


def main() -> None:
    """Train, report the accuracy on the held-out digits, write the checkpoint."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else CHECKPOINT
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)
    began = time.perf_counter()
    digits, network = load_digits(), build_network()
    train(network, digits.train)
    right = accuracy(network, digits.held_out)
    seconds = time.perf_counter() - began
    save_file(weights(network), path)
    print(f"{len(digits.train.labels)} digits, {EPOCHS} epochs, {seconds:.0f} s")
    print(f"held out: {right:.1f} % of {len(digits.held_out.labels)}")
    print(f"written: {path}, {path.stat().st_size} bytes")


def train(network: nn.Module, part: Part) -> None:
    """Train in place with AdamW, one learning-rate cycle, shifted images, softened labels."""
    steps = -(-len(part.labels) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=EPOCHS * steps
    )
    network.train()
    for epoch in range(EPOCHS):
        total = 0.0
        for rows in torch.randperm(len(part.labels)).split(BATCH):
            scores = network(shifted(part.images[rows]))
            loss = F.cross_entropy(scores, part.labels[rows], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(rows)
        print(f"epoch {epoch + 1}: loss {total / len(part.labels):.3f}")
    network.eval()


def shifted(images: Tensor) -> Tensor:
    """Return [N, C, H, W] moved by up to LARGEST_SHIFT pixels, one random shift for the batch."""
    margin = LARGEST_SHIFT
    left, top = torch.randint(0, 2 * margin + 1, (2,)).tolist()
    height, width = images.shape[2:]
    padded = F.pad(images, (margin, margin, margin, margin), value=-1.0)  # background
    return padded[:, :, top : top + height, left : left + width]


def accuracy(network: nn.Module, part: Part) -> float:
    """Return the percentage of right answers."""
    with torch.no_grad():
        answers = network(part.images).argmax(1)
    return 100.0 * float((answers == part.labels).float().mean())


def weights(network: nn.Module) -> dict[str, Tensor]:
    """Return the state dict without the batch counters, which nothing reads."""
    state = network.state_dict()
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


if __name__ == "__main__":
    main()
