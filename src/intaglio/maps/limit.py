"""Above which number of an output a pixel is of class 1, where a threshold says so."""

from __future__ import annotations

import math

import numpy as np

from intaglio.maps.postprocess import MapPostProcess


def score_limit(post: MapPostProcess) -> np.float32:
    """Return the output above which a pixel is of class 1, of the rule "threshold".

    Of logits it is log(t / (1 - t)), which a sigmoid makes t of: nothing need be computed of a
    pixel, and a grid's integers can be compared as well. Rounded to float32, as outputs are; -inf
    where every logit is above it, inf where none is.
    """
    threshold = post.threshold
    if post.scores == "probabilities":
        return np.float32(threshold)
    if threshold in (0.0, 1.0):
        return np.float32(math.inf if threshold else -math.inf)
    return np.float32(math.log(threshold / (1.0 - threshold)))
