"""Images that are taken while those before them are used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from intaglio.data.samples import Samples, Taken


def taken_ahead(samples: Samples, lists: Iterator[Sequence[int]]) -> Iterator[Taken]:
    """Yield what `samples` gives for each list of indices, in order."""
    for indices in lists:
        yield samples.take(indices)
