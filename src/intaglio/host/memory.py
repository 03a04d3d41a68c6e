"""How much memory the process has used."""

from __future__ import annotations

import resource
import sys


def peak_mb() -> float:
    """Return the largest resident size of the process so far, in 10^6 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
