"""The verdict on a run: whether file and twin are equal, and whether the wish for accuracy is met.

Images to evaluate on decide where there are any. Without them accuracy is "not measured", unless
images that were held apart show a loss: that is not kept back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from intaglio.recipe.settings import Settings
from intaglio.report.parts import Ailment, CheckResult, Verdict
from intaglio.tasks import Judgement, Wish
from intaglio.tasks.judgement import MISSED

Bits = Literal["equal", "different", "not promised", "no file"]

NOT_MEASURED = "nothing was evaluated"
SEARCH = "auto"


def wish_of(settings: Settings) -> Wish:
    """Return what the user wants kept."""
    return Wish(settings.max_drop, settings.min_sqnr)


def verdict_of(
    check: CheckResult | None, wish: Wish, apart: Judgement | None, evaluated: Judgement | None
) -> Verdict:
    """Return the verdict.

    Args:
        check: The comparison of file and twin; None where no file was written.
        apart: The judgement on images of the run that nothing was tuned on, where there were any.
        evaluated: The judgement on the images to evaluate on; None without them.
    """
    bits = _bits(check)
    if evaluated is not None:
        accuracy, why = evaluated.colour(wish)
        return Verdict(bits, accuracy, why)
    if apart is not None and apart.misses(wish):
        accuracy, why = apart.colour(wish)
        if accuracy != "green":
            return Verdict(bits, accuracy, f"{why}, held apart; {NOT_MEASURED}")
    return Verdict(bits, "not measured", NOT_MEASURED)


def _bits(check: CheckResult | None) -> Bits:
    if check is None:
        return "no file"
    if check.mismatches:
        return "different"
    return "equal" if check.values_compared else "not promised"


def missed_wish(
    verdict: Verdict,
    findings: Sequence[Ailment],
    settings: Settings,
    *,
    is_trained: bool = False,
    has_images: bool = True,
) -> list[str]:
    """Return the warning of a verdict that is no good news, with what would help; else nothing.

    Args:
        findings: What the doctor found; their remedies name recipes.
        settings: What the run was.
        is_trained: Whether the network was trained.
        has_images: Whether the run had images to look at.
    """
    is_missed = verdict.accuracy == "red" or (verdict.accuracy == "amber" and MISSED in verdict.why)
    if not is_missed:
        return []
    helps = [f"the doctor says: {found.remedy}" for found in findings[:1]]
    if is_trained:
        helps.append("more epochs, or another rate, may meet it")
    elif not has_images:
        helps.append("--data DIR, with some images of the kind that it is for, may meet it")
    elif not settings.recipe.judged_share:  # no search found it
        helps.append(f"--recipe {SEARCH} looks for a recipe that meets it")
    return ["; ".join([f"the wish for accuracy was missed: {verdict.why}", *helps])]
