"""Images that are taken while those before them are used."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

from intaglio.data.samples import Samples, Taken


def taken_ahead(
    samples: Samples, indices_of_step: Iterator[Sequence[int]]
) -> Generator[Taken, None, None]:
    """Yield what `samples` gives for each list of indices, in order."""
    for indices in indices_of_step:
        yield samples.take(indices)
