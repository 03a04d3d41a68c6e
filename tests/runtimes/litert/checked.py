"""A file and its twin compared as a target does it, for tests that have the bytes alone."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from intaglio.run.twin import Twin
from intaglio.targets.runtime import CheckCounts


def check_file(content: bytes, twin: Twin, batches: Iterable[Tensor]) -> CheckCounts:
    """Return what the target of the twin finds in a file of this process."""
    return twin.target.check({twin.target.file_name: content}, twin, batches)
