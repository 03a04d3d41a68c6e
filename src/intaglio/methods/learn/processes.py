"""Several processes that train one network together, each on its part of every batch.

They are started by torchrun, which says in the environment of each who it is. Apart from the
command line this is the one file that may read the environment, in `joined_processes` alone.

Gradients are summed here, after the backward pass and in few large pieces, in place of by torch's
DistributedDataParallel. That divides by the number of processes, which is wrong where parts differ
in size (the last batch, images that cannot be read); it renames what the network saves; and it sums
during the backward pass, in which batch norms sum too. What it gains by that is little for networks
of a few million weights.

A loss is a mean over images, so that each process multiplies its own by its share of the batch,
*before* the backward pass:

    whole = processes.total(len(images))
    (loss * (len(images) / whole)).backward()
    processes.sum_gradients(parameters)

The gradients are then those of the whole batch, whatever the parts. A mean that is weighted after
the backward pass would not be: a batch norm over all processes mixes their gradients inside of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from safetensors.torch import load, save
from torch import Tensor, nn

from intaglio.errors import PartnerLost, RequestError, cause

WAIT = timedelta(minutes=10)
"""How long a process waits for another before it takes it for dead."""
PIECE = 2**24
"""Numbers of gradients that are summed at a time, at least (where there are as many)."""
NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun sets; any of the first three says that there are several processes."""

Plain = TypeVar("Plain", bool, int, float, str)


@dataclass(frozen=True)
class Processes:
    """The processes of a run, as one of them sees them.

    What is summed, agreed on or gathered is asked for by all processes alike and in the same order:
    each waits for the others there. Alone, nothing is waited for.

    Attributes:
        rank: Which this one is, from 0; the first alone writes and tells.
        count: How many there are.
        device: Where this one computes.
    """

    rank: int = 0
    count: int = 1
    device: str = "cpu"

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and tells."""
        return self.rank == 0

    def part(self, size: int) -> slice:
        """Return which of `size` items in a row are this process's: as many for all, or one less.

        The first processes have one more where it does not come out even. Alone: all of them.
        """
        each, more = divmod(size, self.count)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))

    def summed(self, values: Tensor) -> Tensor:
        """Return the sum over all processes, the same in each; alone: the values themselves.

        Any shape, the same in all; in the type that is given, which float64 keeps exact enough for
        sums over many images. No gradient goes through it.
        """
        return self._reduced(values, dist.ReduceOp.SUM)

    def lowest(self, values: Tensor) -> Tensor:
        """Return the lowest over all processes, number by number; alone: the values themselves."""
        return self._reduced(values, dist.ReduceOp.MIN)

    def highest(self, values: Tensor) -> Tensor:
        """Return the highest over all processes, number by number; alone: the values themselves."""
        return self._reduced(values, dist.ReduceOp.MAX)

    def total(self, count: int) -> int:
        """Return the sum of a count over all processes; the device is not waited for."""
        return count if self.count == 1 else int(self.summed(torch.tensor(count)))

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients by their sums over all processes.

        One that no process has stays None; one that only some have counts as 0 in the others.

        Args:
            parameters: The same in all processes, in the same order.
        """
        if self.count == 1:
            return
        listed = list(parameters)
        has = torch.tensor([parameter.grad is not None for parameter in listed], dtype=torch.int64)
        some = self.summed(has).tolist()
        moved = [parameter for parameter, holders in zip(listed, some, strict=True) if holders]
        for piece in _pieces(moved):
            gradients = [_gradient(parameter) for parameter in piece]
            flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
            self._reduce(flat, dist.ReduceOp.SUM)
            sizes = [gradient.numel() for gradient in gradients]
            for gradient, total in zip(gradients, torch.split(flat, sizes), strict=True):
                gradient.copy_(total.view(gradient.shape))

    def agreed(self, value: Plain) -> Plain:
        """Return the first process's value, in each; numbers to the last bit."""
        if self.count == 1:
            return value
        own = json.dumps(value).encode() if self.is_first else b""
        return type(value)(json.loads(self._bytes(own)[0]))

    def gathered(self, tensors: Sequence[Tensor]) -> list[list[Tensor]]:
        """Return the tensors of each process by rank, on the CPU, the same in all processes.

        Alone: its own, where they are.

        Args:
            tensors: Any number, of any types and shapes, which may differ from process to process.
        """
        if self.count == 1:
            return [list(tensors)]
        own = {str(number): _apart(tensor) for number, tensor in enumerate(tensors)}
        found = [load(data) for data in self._bytes(save(own))]
        return [[part[str(number)] for number in range(len(part))] for part in found]

    def barrier(self) -> None:
        """Wait until all processes are here."""
        self.total(0)

    def _reduced(self, values: Tensor, how: dist.ReduceOp.RedOpType) -> Tensor:
        if self.count == 1:
            return values
        found = values.detach().clone(memory_format=torch.contiguous_format)
        self._reduce(found, how)
        return found

    def _reduce(self, values: Tensor, how: dist.ReduceOp.RedOpType) -> None:
        with self._others():
            dist.all_reduce(values, op=how)

    def _bytes(self, own: bytes) -> list[bytes]:
        """Return the bytes that each process gave, by rank; their numbers may differ."""
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.count)]
        with self._others():
            dist.all_gather(sizes, torch.tensor([len(own)]))
            longest = max(int(size) for size in sizes)
            given = torch.zeros(longest, dtype=torch.uint8)
            if own:
                given[: len(own)] = torch.frombuffer(bytearray(own), dtype=torch.uint8)
            found = [torch.empty_like(given) for _ in range(self.count)]
            if longest:
                dist.all_gather(found, given)
        pairs = zip(found, sizes, strict=True)
        return [part[: int(size)].numpy().tobytes() for part, size in pairs]

    @contextmanager
    def _others(self) -> Iterator[None]:
        """Say what it means when the others cannot be reached."""
        try:
            yield
        except RuntimeError as error:
            raise PartnerLost(
                f"process {self.rank} (of {self.count}, from 0) lost the others: one of them has"
                " ended, or did not answer in time. What it said first is the reason"
                f" ({cause(error)})"
            ) from error


ALONE = Processes()


@contextmanager
def joined_processes(
    device: str = "cpu", *, environment: Mapping[str, str] = os.environ, wait: timedelta = WAIT
) -> Iterator[Processes]:
    """Join the processes that torchrun has started, until the end of the `with`; or be alone.

    They talk by NCCL about what is on GPUs, one GPU for each process of a machine, and by Gloo
    about all else. When one dies, the others raise as soon as Gloo sees its end, torchrun ends
    them, or `wait` is over, whichever is first.

    Args:
        device: Where to compute: "cpu" or "cuda"; alone any other as well.
        environment: What torchrun has set (NAMES).
        wait: How long another process may take to answer.

    Raises:
        RequestError: If a part of what torchrun sets is missing or is no number, the machine has
            no GPU for this process, or the others do not come.
        PartnerLost: Behind it this process does well to end by os._exit.
    """
    start = _start(environment)
    if start is None or start.count == 1:
        yield Processes(device=device)
        return
    processes = Processes(start.rank, start.count, _own_device(device, start))
    _join(start, processes.device, wait)
    try:
        yield processes
    except PartnerLost:
        # Gloo may abort the process where it takes down what it shared with one that is gone
        raise
    except BaseException:
        # NCCL might wait here for sums that the others never get to; the end of the process ends it
        if processes.device == "cpu":
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()


@dataclass(frozen=True)
class _Start:
    """What torchrun says.

    Attributes:
        rank, count: Of all processes.
        local: Which it is on its machine, from 0.
        address: Of the first process, "host:port".
    """

    rank: int
    count: int
    local: int
    address: str


def _start(environment: Mapping[str, str]) -> _Start | None:
    """Return what torchrun has set; None where it has not."""
    given = [name for name in NAMES if name in environment]
    if not set(given) & set(NAMES[:3]):
        return None
    if missing := [name for name in NAMES if name not in given]:
        raise RequestError(
            f"the environment has {', '.join(given)}, as in one of several processes, but not"
            f" {', '.join(missing)}: start them with torchrun, which sets all, or unset those"
        )
    rank, count, local, port = (
        _count(environment, name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT")
    )
    if rank >= count:
        raise RequestError(
            f"the environment has RANK={rank} and WORLD_SIZE={count}: ranks are from 0 to"
            " WORLD_SIZE - 1. Start the processes with torchrun"
        )
    host = environment["MASTER_ADDR"]
    return _Start(rank, count, local, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def _count(environment: Mapping[str, str], name: str) -> int:
    text = environment[name]
    if not (text.isascii() and text.isdigit()):
        raise RequestError(
            f"the environment has {name}={text}, which is no number from 0: start the processes"
            " with torchrun"
        )
    return int(text)


def _join(start: _Start, device: str, wait: timedelta) -> None:
    try:
        dist.init_process_group(
            "gloo" if device == "cpu" else "cpu:gloo,cuda:nccl",
            init_method=f"tcp://{start.address}",
            rank=start.rank,
            world_size=start.count,
            timeout=wait,
        )
    except (RuntimeError, ValueError) as error:
        raise RequestError(
            f"process {start.rank} (of {start.count}, from 0) could not join the others at"
            f" {start.address}: {cause(error)}"
        ) from error


def _own_device(device: str, start: _Start) -> str:
    """Return the device of a process, the current one from now on."""
    if device == "cpu":
        return device
    if not device.startswith("cuda"):
        raise RequestError(f"several processes compute on cpu or cuda, not on {device}")
    if start.local >= torch.cuda.device_count():
        raise RequestError(
            f"process {start.local} (from 0) of this machine has no GPU of its own, there are"
            f" {torch.cuda.device_count()}: start at most as many, or compute on cpu"
        )
    torch.cuda.set_device(start.local)
    return f"cuda:{start.local}"


def _pieces(parameters: Sequence[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Yield the parameters in few pieces, each of one type."""
    for dtype in dict.fromkeys(parameter.dtype for parameter in parameters):
        piece, size = list[nn.Parameter](), 0
        for parameter in (found for found in parameters if found.dtype == dtype):
            piece.append(parameter)
            size += parameter.numel()
            if size >= PIECE:
                yield piece
                piece, size = [], 0
        if piece:
            yield piece


def _gradient(parameter: nn.Parameter) -> Tensor:
    """Return the gradient of a parameter, 0 where it had none."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _apart(tensor: Tensor) -> Tensor:
    """Return a copy on the CPU that shares memory with no other."""
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
