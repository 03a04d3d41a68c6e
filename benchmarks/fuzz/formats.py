"""A format under test: a valid file, what is done to it, and what reading it gives."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.fuzz.mutations import Mutation
from intaglio.errors import RequestError


class ChildEnded(RequestError):
    """A refusal because the file ended the child process in which native code had it."""


NONE, CHECKSUMS, MUST_REFUSE = "none", "checksums", "sha256"


def nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Format:
    """One row of the table.

    Attributes:
        name: As on the command line.
        place: The file that is damaged; a valid one lies there.
        mutation: What is done to it.
        read: Reads it as users do; returns a digest of all that was read.
        guard: What can notice a changed number: NONE, CHECKSUMS, or MUST_REFUSE where each changed
            byte has to be refused.
        prepare: What is done between writing a mutant and reading it.
    """

    name: str
    place: Path
    mutation: Mutation
    read: Callable[[], str]
    guard: str = NONE
    prepare: Callable[[], None] = nothing


def digest_of(*parts: object) -> str:
    """Return a digest of texts, bytes, tensors and mappings to them."""
    state = hashlib.sha256()
    for part in parts:
        state.update(_bytes(part) + b"\0")
    return state.hexdigest()


def _bytes(part: object) -> bytes:
    if isinstance(part, Mapping):
        return digest_of(*(x for key in sorted(part) for x in (key, part[key]))).encode()
    if isinstance(part, Tensor):
        value = part.detach().contiguous()
        raw = value.reshape(-1).view(torch.uint8) if value.numel() else value
        return f"{value.dtype} {tuple(value.shape)}".encode() + raw.numpy().tobytes()
    return part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
