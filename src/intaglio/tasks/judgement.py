"""What is known of an integer network beside the float one, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from intaglio.tasks.task import Agreement

BROKEN_DB = 10.0
"""SQNR below which an output without a metric is taken for destroyed, whatever was wished."""
SPREAD = 0.35
"""How far off, in parts of it, the loss is that disagreement says: it was a third to a sixth of the
disagreement, over tools and settings measured on MobileNetV2."""
UNKNOWN_SPREAD = 50.0
"""Standard deviation over images of a figure in percent that is no mean over images; the largest
that a share can have."""
PAIRED = 1.0
"""Standard errors by which two networks differ for the difference to count."""

MISSED = "missed, by no more than as much again"

Colour = Literal["green", "amber", "red"]


@dataclass(frozen=True)
class Wish:
    """What a user wants kept.

    Attributes:
        max_drop: Points of the task's figure that may be lost.
        min_sqnr_db: SQNR that each output without a figure of its own must have.
    """

    max_drop: float = 1.0
    min_sqnr_db: float = 25.0


@dataclass(frozen=True)
class Loss:
    """Points lost, and one standard error of that."""

    points: float
    error: float


@dataclass(frozen=True, eq=False)
class Judgement:
    """One integer network beside the float one, on the same images.

    Attributes:
        n: Images.
        agreement: Whether both say the same, and the SQNR of each output.
        disagreements_a_point: Percent of images that differ for each point that is lost, as the
            task has it: on the safe side, twice as many are usual.
        is_told: Whether the user, or labels, said what the network is for.
        labelled: Points lost by the labels; None without, or where the float network is itself no
            better than chance on them.
        figures: The task's figure of the wish, of both networks, by their names in report.json;
            empty without labels.
        by_image: What each image adds to that figure, [n]; None where there is no such thing.
    """

    n: int
    agreement: Agreement
    disagreements_a_point: float
    is_told: bool = False
    labelled: Loss | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    by_image: Tensor | None = None

    @property
    def percent(self) -> float | None:
        """Percent of images for which both say the same; None where the task has no such thing."""
        return self.agreement.percent

    @property
    def sqnr_db(self) -> float:
        """SQNR of the output that has the lowest."""
        return min(self.agreement.sqnr_db.values(), default=0.0 if not self.n else math.inf)

    @property
    def loss(self) -> Loss | None:
        """Points lost, by labels and disagreement together; None where neither says anything.

        Two measurements of one thing, weighed by their certainty: labels are right on average,
        and coarse; disagreement is fine, and says it but roughly.
        """
        found = [loss for loss in (self.labelled, self._by_disagreement()) if loss is not None]
        if not found:
            return None
        weights = [1.0 / max(loss.error, 1e-6) ** 2 for loss in found]
        total = sum(weights)
        points = sum(w * loss.points for w, loss in zip(weights, found, strict=True)) / total
        return Loss(points, 1.0 / math.sqrt(total))

    def _by_disagreement(self) -> Loss | None:
        if self.agreement.same is None or not self.agreement.is_varied or not self.n:
            return None
        changed, usual = self.n - self.agreement.same, 1.5 * self.disagreements_a_point
        points = 100.0 * changed / self.n / usual
        counted = 100.0 * math.sqrt(changed + 1) / self.n / self.disagreements_a_point
        return Loss(points, math.hypot(counted, SPREAD * points))

    @property
    def _is_by_sqnr(self) -> bool:
        """Whether the outputs have to be near in value."""
        return self.loss is None or not (self.agreement.is_sure or self.is_told)

    def meets(self, wish: Wish) -> bool:
        """Whether the wish looks met; how sure that is, is another question."""
        if not self.n or (self._is_by_sqnr and self.sqnr_db < wish.min_sqnr_db):
            return False
        return self.loss is None or self.loss.points <= wish.max_drop

    def proves(self, wish: Wish) -> bool:
        """Whether the wish is met beyond one standard error."""
        if not self.meets(wish):
            return False
        return self.loss is None or self.loss.points + self.loss.error < wish.max_drop

    def misses(self, wish: Wish) -> bool:
        """Whether the wish is missed beyond one standard error."""
        if not self.n:
            return False
        if self._is_by_sqnr and self.sqnr_db < wish.min_sqnr_db:
            return True
        return self.loss is not None and self.loss.points - self.loss.error > wish.max_drop

    def is_better_than(self, other: Judgement) -> bool:
        """Whether it loses less, compared image by image; where neither is sure to, by SQNR.

        Labels decide first, where the difference is beyond two standard errors; then whether an
        image is answered as by the float network, beyond one: on a few hundred images figures
        alone would choose by luck.
        """
        for own, others, errors in (
            (self.by_image, other.by_image, 2.0 * PAIRED),
            (_percents(self.agreement), _percents(other.agreement), PAIRED),
        ):
            gained = _gain(own, others)
            if gained is not None and abs(gained.points) > errors * gained.error:
                return gained.points > 0.0
        return self.sqnr_db > other.sqnr_db

    def against(self, wish: Wish) -> str:
        """Say how far it is from the wish."""
        if not self.n:
            return "there were too few images to judge on"
        said = []
        if self.loss is not None:
            said.append(self._loss_text(wish))
        if self._is_by_sqnr:
            said.append(f"{self._sqnr_text()}, wished at least {wish.min_sqnr_db:g} dB")
        return " and ".join(said) + f" on {self.n:,} images"

    def _loss_text(self, wish: Wish) -> str:
        assert self.loss is not None
        wished = f"wished at most {wish.max_drop:g}"
        agreed = "" if self.percent is None else f" ({self.percent:.1f} % agreement)"
        about = "" if self.labelled is not None else "about "
        lost = f"{about}{self.loss.points:.1f} +- {self.loss.error:.1f} points lost"
        return f"{lost}{agreed}, {wished}"

    def _sqnr_text(self) -> str:
        found = self.agreement.sqnr_db
        if len(found) < 2:
            return f"an SQNR of {self.sqnr_db:.1f} dB"
        return f"an SQNR of {self.sqnr_db:.1f} dB in '{min(found, key=found.__getitem__)}'"

    def colour(self, wish: Wish) -> tuple[Colour, str]:
        """Return how good it is against the wish, and why in words.

        Green: the wish is met beyond one standard error of the paired loss. Amber: it is met, but
        that is not proven, or it is missed by no more than as much again. Red: anything else, and
        an output without a figure of its own below BROKEN_DB.
        """
        loss = self.labelled if self.labelled is not None else self.loss
        why = self.against(wish) if self.labelled is None else self._by_labels(wish)
        if self._is_by_sqnr and self.sqnr_db < BROKEN_DB:
            return "red", why
        if loss is not None and loss.points > 2.0 * wish.max_drop:
            return "red", why
        is_near = not self._is_by_sqnr or self.sqnr_db >= wish.min_sqnr_db
        if is_near and (loss is None or loss.points + loss.error < wish.max_drop):
            return "green", why
        if is_near and loss is not None and loss.points <= wish.max_drop:
            return "amber", f"{why}: met, but these images do not prove it"
        return "amber", f"{why}: {MISSED}"

    def _by_labels(self, wish: Wish) -> str:
        assert self.labelled is not None
        lost = f"{self.labelled.points:.2f} +- {self.labelled.error:.2f} points lost"
        agreed = "" if self.percent is None else f", {self.percent:.2f} % agreement"
        return f"{lost}{agreed} on {self.n:,} images, wished at most {wish.max_drop:g}"


def paired_loss(real: Tensor, found: Tensor) -> Loss:
    """Return the mean of real - found, [n] each in points, and its standard error.

    One image more that differs is added: that none of 24 does says little about one point.
    """
    apart = (real - found).double()
    squares = float(apart.square().sum()) + 100.0**2
    points = float(apart.mean())
    variance = max(squares / len(apart) - points**2, 0.0)
    return Loss(points, math.sqrt(variance / len(apart)))


def _gain(own: Tensor | None, other: Tensor | None) -> Loss | None:
    if own is None or other is None or not len(own) or len(own) != len(other):
        return None
    return paired_loss(own, other)


def _percents(agreement: Agreement) -> Tensor | None:
    return None if agreement.by_image is None else 100.0 * agreement.by_image.double()


def unpaired_loss(points: float, n: int) -> Loss:
    """Return a loss of a figure that is no mean over images, with the largest error that it has."""
    return Loss(points, UNKNOWN_SPREAD / math.sqrt(max(n, 1)))
