"""One of two processes, as torchrun would start it: does everything once and writes what it found.

    python one_of_two.py FOLDER

The second ends in the middle of a run, without a word; the first then writes what it is told.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

TESTS = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TESTS))

from intaglio.errors import DataError, PartnerLost  # noqa: E402
from intaglio.methods.learn import processes as module  # noqa: E402
from intaglio.methods.learn.processes import Processes, joined_processes  # noqa: E402
from intaglio.methods.learn.sharded import measured_by_parts  # noqa: E402
from intaglio.tasks import CLASSIFY, VALUES  # noqa: E402
from methods.learn.numbered import Numbered, scores, two_values  # noqa: E402
from methods.learn.small_net import trained  # noqa: E402


def reduced(processes: Processes) -> dict[str, Tensor]:
    """Return sums, lowest and highest of several types."""
    rank = processes.rank
    own = torch.tensor([1.0 + rank, -2.0 * rank], dtype=torch.float32)
    turned = torch.arange(6.0).reshape(2, 3).t() * (rank + 1)
    far = torch.tensor([2.0**40, 2.0**-10][rank : rank + 1], dtype=torch.float64)
    found = {
        "sum": processes.summed(own),
        "sum of turned": processes.summed(turned).contiguous(),
        "sum in float64": processes.summed(far),
        "sum of integers": processes.summed(torch.tensor([2**40 + rank])),
        "lowest": processes.lowest(own),
        "highest": processes.highest(own),
        "total": torch.tensor(processes.total(3 + rank)),
    }
    return {**found, "own": own}


def gradients(processes: Processes) -> dict[str, Tensor]:
    """Return summed gradients of parameters that have some in both processes, in one, in none."""
    both, first, none = (nn.Parameter(torch.zeros(2, 3)) for _ in range(3))
    double = nn.Parameter(torch.zeros(4, dtype=torch.float64))
    more = [nn.Parameter(torch.zeros(7)) for _ in range(5)]
    both.grad = torch.full((2, 3), 1.0 + processes.rank).t().contiguous().t()
    double.grad = torch.arange(4.0, dtype=torch.float64) + processes.rank
    first.grad = torch.ones(2, 3) if processes.is_first else None
    for number, parameter in enumerate(more):
        parameter.grad = torch.full((7,), float(number + 10 * processes.rank))
    usual, module.PIECE = module.PIECE, 10

    processes.sum_gradients([both, first, none, double, *more])

    module.PIECE = usual
    assert none.grad is None
    return {
        "gradient of both": both.grad.contiguous(),
        "gradient of first": first.grad,
        "gradient in float64": double.grad,
        "gradients in pieces": torch.stack([parameter.grad for parameter in more]),
    }


def agreed(processes: Processes) -> list[object]:
    """Return values of each type that the first process says, where the other says others."""
    rank = processes.rank
    return [
        processes.agreed(0.1 + rank),
        processes.agreed(2**62 + 1 - rank),
        processes.agreed("ä \n'" if rank == 0 else ""),
        processes.agreed(rank == 0),
    ]


def gathered(processes: Processes) -> dict[str, Tensor]:
    """Return tensors of which the first process has three of different types, the other one."""
    base = torch.arange(6.0)
    own = (
        [base.reshape(2, 3).t(), torch.tensor([True, False]), torch.tensor(3)]
        if processes.is_first
        else [base.half()[2:]]
    )
    parts = processes.gathered(own)
    nothing = processes.gathered([base] if not processes.is_first else [])
    assert [len(part) for part in nothing] == [0, 1]
    return {
        f"gathered {rank} {number}": value
        for rank, part in enumerate(parts)
        for number, value in enumerate(part)
    }


def measured(processes: Processes) -> list[object]:
    """Return figures over images whose count does not divide, and those that were looked at."""
    found: list[object] = []
    for count, unreadable in ((1, ()), (10, ()), (23, (3, 8, 9, 20))):
        samples = Numbered(frozenset(unreadable))
        figures = measured_by_parts(
            scores,
            samples,
            indices=range(count),
            task=CLASSIFY,
            names=["scores"],
            processes=processes,
            batch=4,
        )
        found.append([figures, samples.asked])
    samples = Numbered(with_targets=True)
    values = {"task": VALUES, "names": ["a", "b"], "processes": processes, "batch": 5}
    found.append([measured_by_parts(two_values, samples, indices=range(17), **values), []])
    try:
        measured_by_parts(two_values, Numbered(frozenset({4})), indices=[4], **values)
    except DataError as error:
        found.append(str(error))
    return found


def main(folder: Path) -> None:
    """Do everything, then lose the second process."""
    tensors, said = dict[str, Tensor](), dict[str, object]()
    try:
        done(folder, tensors, said)
    except PartnerLost as error:
        said["lost"] = str(error)
    write(folder, 0, tensors, said)
    os._exit(0)  # as the command line ends behind such a loss


def done(folder: Path, tensors: dict[str, Tensor], said: dict[str, object]) -> None:
    """Do everything together; the second process ends here, and the first loses it."""
    with joined_processes(wait=timedelta(seconds=60)) as processes:
        tensors |= {**reduced(processes), **gradients(processes), **gathered(processes)}
        for dtype in (torch.float32, torch.float64):
            state = trained(processes, dtype)
            tensors.update({f"{dtype} {name}": value for name, value in state.items()})
        said |= {
            "rank": processes.rank,
            "agreed": agreed(processes),
            "measured": measured(processes),
        }
        processes.barrier()
        if not processes.is_first:
            write(folder, processes.rank, tensors, said)
            os._exit(3)
        processes.barrier()


def write(folder: Path, rank: int, tensors: dict[str, Tensor], said: dict[str, object]) -> None:
    """Write what a process found."""
    save_file(
        {name: value.detach().clone() for name, value in tensors.items()},
        folder / f"{rank}.safetensors",
    )
    (folder / f"{rank}.json").write_text(json.dumps(said), encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
