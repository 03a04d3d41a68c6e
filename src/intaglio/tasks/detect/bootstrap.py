"""How sure a difference of two average precisions is: the same pictures, drawn again and again.

Average precision is no mean over pictures, so that its error has no formula. Source: the bootstrap
of Efron and Tibshirani 1993 (An Introduction to the Bootstrap, chapters 6 and 8), the pictures
drawn with replacement, for both networks the same: what is easy or hard in a picture for both
cancels out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intaglio.boxes.detections import Detections
from intaglio.data.truth import Truth
from intaglio.errors import RequestError
from intaglio.tasks.detect.average_precision import MEASURES, Measure, figures_by_weight
from intaglio.tasks.detect.hits import Floats, hits


def bootstrap_error(
    real: Sequence[Detections],
    found: Sequence[Detections],
    truths: Sequence[Truth],
    measure: Measure = MEASURES["ap"],
    *,
    rounds: int = 200,
    seed: int = 0,
) -> float:
    """Return the standard error of the difference of two networks' figures, in points.

    Detections are held against the truth once; each round only counts them anew. 0 of networks that
    find the same, however few pictures there are, and where no picture has an object.

    Args:
        real, found: Of each picture, in its own pixels, with the classes of the data set.
        truths: Of each picture.
        measure: Of which figure.
        rounds: At least 2; with 200 the error is known to about a twentieth of itself.
        seed: Of the pictures drawn.

    Raises:
        RequestError: If there are fewer rounds.
        DataError: If detections and truths are not of as many pictures.
    """
    if rounds < 2:
        raise RequestError(f"a standard error needs at least 2 rounds, got rounds = {rounds}")
    weights = drawn(len(truths), rounds, seed)
    pair = [
        figures_by_weight(hits(each, truths, measure.rule), weights, measure.points)
        for each in (real, found)
    ]
    apart = pair[0] - pair[1]
    apart = apart[~np.isnan(apart)]
    return float(apart.std(ddof=1)) if len(apart) > 1 else 0.0


def drawn(pictures: int, rounds: int, seed: int) -> Floats:
    """Return how often each picture is drawn in each round, [rounds, pictures], as many a round."""
    if not pictures:
        return np.zeros((rounds, 0))
    generator = np.random.default_rng(seed)
    even = np.full(pictures, 1.0 / pictures)
    return generator.multinomial(pictures, even, size=rounds).astype(np.float64)
