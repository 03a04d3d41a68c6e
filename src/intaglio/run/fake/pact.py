"""PACT: the upper ends of ranges of values are learned.

    y = s round(clamp(x, low, a) / s),    dy/da = 1 where x >= a, 0 elsewhere

Source: Choi et al. 2018 (arXiv:1805.06085), section 3, equations 1 to 3. How we differ: a starts at
the calibrated end, not at 10. We learn its logarithm, so that it stays above zero and moves in per
cents, and without the paper's decay: what is behind a moves it back. Grids with negative values
keep their zero point, so the lower end keeps its ratio to a and what is below it moves a as well.
Weights are rounded by their largest magnitudes instead of the paper's DoReFa.
"""

from __future__ import annotations

from intaglio.numerics.spec import QuantParams
from intaglio.run.fake.fake_quantize import Edges
from intaglio.run.fake.largest_weights import LargestWeights
from intaglio.run.fake.learned_step import LearnedStep
from intaglio.run.fake.ranges import RANGE_METHODS, RangeMethod
from intaglio.run.fake.swapped import swapped


class PactValues(LearnedStep):
    """A learned upper end of values: with the zero point kept, the step times a constant."""

    def edges(self, used: QuantParams, count: int) -> Edges:
        """Return the edges; both ends move with what is learned, and the step has no gradient."""
        learned = self.learned()
        step = used.scale.to(learned.device)
        end = swapped(learned, step)
        return Edges(step, end * (used.spec.qmin - used.zero), end * (used.spec.qmax - used.zero))


RANGE_METHODS.register("pact")(
    RangeMethod(
        PactValues, LargestWeights, "upper ends of values learned, weights by magnitude (PACT)"
    )
)
