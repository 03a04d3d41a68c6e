"""What the search of recipe 'auto' tries, in which order, and when each is worth its time.

What it has in common with other ladders (workflow.py) is here too: what a rung is, and changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from intaglio.doctor.finding import Finding, Treatment
from intaglio.recipe.recipe import RECIPES, Recipe
from intaglio.recipe.settings import Settings

When = Literal["always", "unproven", "unmet", "missed"]
"""A rung is climbed whatever was found; while the best so far does not prove that the wish is met;
while it does not look met; or only while it is surely missed, on enough images, since it is dear.
"""

Change = Callable[[Settings], Settings]

REMEDIES_TRIED = 2
CLIPPING = "percentile-99.99"
LOW_BITS = 8
RAISED = (0.2, 0.4, 0.7)
"""How much of the way from the scheme's size to that of 8 bits everywhere a file may grow."""
NAMED = 4
"""Layers that a rung names that leaves some in float; the report lists all."""
DECIDES_BITS, ROUNDS = "allocate-bits", "round-second-order"
RECIPE_OF = {True: "accurate", False: "accurate-per-tensor"}
"""By whether weights have one scale a channel. Both are tried in every scheme: equalized
activations serve the first, equalized weights the second, but networks differ."""


@dataclass(frozen=True)
class Rung:
    """One thing to try.

    Attributes:
        name: As the report calls it.
        when: Until when it is worth trying.
        change: Makes of the best settings so far those that are tried.
        is_remedy: Whether the doctor names it.
        until: Share of the minutes at which it is ended, 0..1; what is left is for later rungs.
    """

    name: str
    when: When
    change: Change
    is_remedy: bool = False
    until: float = 1.0


def plain_settings(settings: Settings) -> Settings:
    """Return the first rung: nothing but ranges, and bits where the scheme leaves them open.

    Its recipe searches no more: it is what `recipe.toml` then says.
    """
    recipe = settings.recipe.model_copy(
        update={
            "search": False,
            "ladder": None,
            "minutes": None,
            "calibrator": settings.calibrator,
            "steps": _deciding(settings),
        }
    )
    return replace(settings, recipe=recipe)


def first_rungs(plain: Settings, findings: Sequence[Finding]) -> Iterator[Rung]:
    """Yield what is tried as long as nothing proves the wish: remedies, and the scheme's recipe.

    Args:
        plain: The first rung of all.
        findings: What the doctor says of it: its remedies are tried first.
    """
    for treatment in _treatments(findings):
        name = " + ".join([*treatment.steps, *filter(None, [treatment.calibrator])])
        title = f"{name} (the doctor's remedy)"
        yield Rung(title, "unproven", _to(plain, treatment), is_remedy=True)
    name = RECIPE_OF[plain.scheme.per_channel]
    yield Rung(name, "unproven", _as_recipe(plain, RECIPES[name]))


def last_rungs(plain: Settings) -> Iterator[Rung]:
    """Yield what is tried where the wish is not met: other structure, clipping, learned rounding.

    Args:
        plain: The first rung of all.
    """
    name = RECIPE_OF[not plain.scheme.per_channel]
    yield Rung(name, "unmet", _as_recipe(plain, RECIPES[name]))
    yield Rung(CLIPPING, "unmet", with_calibrator(CLIPPING))
    yield Rung("brecq", "missed", with_step("brecq"))


def raising(size_bytes: int, share: float, bits: Sequence[int]) -> Rung:
    """Return the rung that gives some layers more bits, within a size of the whole file.

    The first share is given where nothing proves the wish, since rounding to few bits overfits
    what it is judged by more than anything else does; further ones only where it is not met.

    Args:
        share: Of the way to 8 bits everywhere, for the name.
        bits: To choose from.
    """
    step = {"name": DECIDES_BITS, "max_size_bytes": size_bytes, "bits": list(bits)}

    def change(settings: Settings) -> Settings:
        """Return the settings with bits allocated anew, behind the steps on structure."""
        others = [one for one in settings.recipe.steps if one["name"] != DECIDES_BITS]
        first = next(
            (index for index, one in enumerate(others) if one["name"] == ROUNDS), len(others)
        )
        steps = [*others[:first], step, *others[first:]]
        if first == len(others):
            steps.append({"name": ROUNDS})
        return _with_steps(settings, steps)

    when: When = "unproven" if share == RAISED[0] else "unmet"
    return Rung(f"bits raised, {share:.0%} of the way to 8 bits", when, change)


def keeping(layers: Sequence[str], why: str, *, when: When = "missed", until: float = 1.0) -> Rung:
    """Return the rung that leaves layers in float.

    Args:
        layers: As `keep_float` names them.
        why: What the report says of each.
    """

    def change(settings: Settings) -> Settings:
        """Return the settings with these layers in float too."""
        kept = tuple(dict.fromkeys((*settings.keep_float, *layers)))
        new = [layer for layer in layers if layer not in settings.keep_float]
        reasons = {**settings.float_reasons, **dict.fromkeys(new, why)}
        return replace(settings, keep_float=kept, float_reasons=reasons)

    more = f" and {len(layers) - NAMED} more" if len(layers) > NAMED else ""
    return Rung(f"{', '.join(layers[:NAMED])}{more} in float", when, change, until=until)


def _treatments(findings: Sequence[Finding]) -> list[Treatment]:
    """Return different remedies that a recipe can hold, those of the worst findings first."""
    found = [finding.treatment for finding in findings]
    usable = [
        Treatment(one.steps, one.calibrator)
        for one in found
        if one is not None and one.images is None and (one.steps or one.calibrator)
    ]
    return list(dict.fromkeys(usable))[:REMEDIES_TRIED]


def _to(plain: Settings, treatment: Treatment) -> Change:
    steps = [{"name": name} for name in treatment.steps]
    calibrator = treatment.calibrator or plain.calibrator
    return lambda _: _made(plain, steps, calibrator)


def _as_recipe(plain: Settings, recipe: Recipe) -> Change:
    return lambda _: _made(plain, recipe.steps, recipe.calibrator)


def _made(plain: Settings, steps: list[dict[str, Any]], calibrator: str) -> Settings:
    deciding = _deciding(plain)
    first = next((i for i, one in enumerate(steps) if one["name"] == ROUNDS), len(steps))
    found = _with_steps(plain, [*steps[:first], *deciding, *steps[first:]])
    return with_calibrator(calibrator)(found)


def _deciding(settings: Settings) -> list[dict[str, Any]]:
    return [{"name": DECIDES_BITS}] if settings.scheme.mixed else []


def with_calibrator(name: str) -> Change:
    """Return the change to another calibrator."""

    def change(settings: Settings) -> Settings:
        """Return the settings with the calibrator, in their recipe too."""
        recipe = settings.recipe.model_copy(update={"calibrator": name})
        return replace(settings, calibrator=name, recipe=recipe)

    return change


def with_step(name: str, wishes: Mapping[str, Any] | None = None) -> Change:
    """Return the change that adds a step behind all others.

    Args:
        wishes: Its settings, where they are not its own.
    """
    step = {"name": name, **(wishes or {})}
    return lambda settings: _with_steps(settings, [*settings.recipe.steps, step])


def _with_steps(settings: Settings, steps: list[dict[str, Any]]) -> Settings:
    return replace(settings, recipe=settings.recipe.model_copy(update={"steps": steps}))
