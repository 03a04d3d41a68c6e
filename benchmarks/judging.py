"""Whether a verdict of `compress` is true: what is told beside what 400 fresh pictures show.

    python -m benchmarks.judging [KIND ...]

Twelve kinds of networks, trained here for seconds on pictures of coloured shapes, each also with
two channels of an inner layer put 300 times above the others (the same float function: `planted`),
under three recipes. `compress` is given 200 pictures as data and 200 others to evaluate on, with
labels where its tasks take such labels. `points_lost` (float minus integer, of the kind's own
measure) and `worst_db` (SQNR of the deviation from the mean, of the worst output or group of its
channels) are counted by benchmarks/judged alone, on 400 pictures that nothing of this has seen. A
row is honest unless it is told green and more than 2 points are lost, or, where no labels could be
given, an output is below 20 dB, or a group of its channels below 10 dB. It is a false alarm where
it is told red and nothing is lost.

Rows are saved one by one. Another run goes on behind them; with names of kinds it measures these
again. Delete benchmarks/results/judging.json to begin anew.
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

import intaglio
from benchmarks.judged.kinds import KINDS, Kind, Outputs
from benchmarks.judged.networks import plant, trained
from benchmarks.judged.scenes import Scenes, draw_scenes
from benchmarks.places import earlier_rows, print_row, save_result
from intaglio.errors import RequestError

NAME, COMMAND = "judging", "python -m benchmarks.judging"
RECIPES = ("plain", "accurate", "auto")
TRAINING, DATA, EVALUATED, FRESH = 1600, 200, 200, 400
MINUTES = 0.2
"""Of the search, a network."""
POINTS, LOST_DB, GROUP_LOST_DB = 2.0, 20.0, 10.0
"""What a green network may lose; below what an output is lost, and one of its groups of channels,
which the kind knows and nobody tells `compress`."""
SOUND_POINTS, SOUND_DB = 1.0, 25.0
"""What a network that is told red must have lost, or the worst output must be below."""

Row = dict[str, Any]


def main(names: list[str]) -> None:
    """Measure every row that is not there yet, and write benchmarks/results/judging.json."""
    torch.set_num_threads(1)
    rows = [row for row in earlier_rows(NAME) if row["kind"] not in names]
    done = {(row["kind"], row["planted"], row["recipe"]) for row in rows}
    for kind in KINDS:
        for row in measured(kind, done):
            rows.append(row)
            print_row(row)
            save_result(NAME, COMMAND, rows)
    for line in summary(rows):
        print(line)


def measured(kind: Kind, done: set[tuple[str, bool, str]]) -> Iterator[Row]:
    """Yield the rows of one kind that are not done."""
    wanted = [
        (planted, recipe)
        for planted in (False, True)
        for recipe in RECIPES
        if (kind.name, planted, recipe) not in done
    ]
    if not wanted:
        return
    sound = learned(kind)
    for planted, recipe in wanted:
        network = copy.deepcopy(sound)
        if planted:
            plant(network)
        yield {
            "kind": kind.name,
            "planted": planted,
            "recipe": recipe,
            **judged(network, kind, recipe),
        }


@cache
def scenes() -> Scenes:
    """Return all pictures: to train on, to calibrate, to evaluate on, and fresh ones."""
    return draw_scenes(TRAINING + DATA + EVALUATED + FRESH, seed=7)


def learned(kind: Kind) -> nn.Module:
    """Return the trained network of a kind."""
    torch.manual_seed(0)
    known = scenes().part(0, TRAINING)

    def loss(index: Tensor) -> Tensor:
        """Return the loss of some pictures."""
        chosen = known.chosen(index)
        return kind.loss(listed(network(chosen.images)), chosen)

    network = kind.build()
    return trained(network, loss, TRAINING, steps=kind.steps)


def judged(network: nn.Module, kind: Kind, recipe: str) -> Row:
    """Return what is told of a network, and what is true of it."""
    given, asked = scenes().part(TRAINING, DATA), scenes().part(TRAINING + DATA, EVALUATED)
    example, options = given.images[:1], intaglio.Options()
    if recipe == "auto":
        options = intaglio.Options(minutes=MINUTES)

    def compressed(data: Any, evaluate: Any) -> intaglio.Result:
        """Return the integer network."""
        return intaglio.compress(
            network, example, data=data, evaluate=evaluate, recipe=recipe, options=options
        )

    began, labels = time.perf_counter(), "none" if kind.labels is None else "given"
    try:
        result = compressed(_data(kind, given), _labelled(kind, asked))
    except RequestError as error:
        labels = f"refused: {error}"
        result = compressed(given.images, asked.images)
    seconds = time.perf_counter() - began
    row = {"labels": labels, **told(result), **truth(network, result, kind)}
    row |= {"bytes": len(result.content), "seconds": round(seconds, 1)}
    return {**row, **held_against_truth(row)}


def held_against_truth(row: Row) -> Row:
    """Return whether what a row was told is honest, and whether it is a false alarm."""
    is_destroyed = row["output_db"] < LOST_DB or row["worst_db"] < GROUP_LOST_DB
    is_lost = row["points_lost"] > POINTS or (row["labels"] != "given" and is_destroyed)
    is_sound = row["points_lost"] <= SOUND_POINTS and row["worst_db"] >= SOUND_DB
    return {
        "is_honest": not (row["told"] == "green" and is_lost),
        "is_false_alarm": row["told"] == "red" and is_sound,
    }


def _data(kind: Kind, given: Scenes) -> Any:
    """Return pictures for calibration; with labels where they are class indices."""
    labelled = _labelled(kind, given)
    is_indices = isinstance(labelled, tuple) and not labelled[1].is_floating_point()
    return [labelled] if is_indices else given.images


def _labelled(kind: Kind, asked: Scenes) -> Any:
    return asked.images if kind.labels is None else (asked.images, kind.labels(asked))


def told(result: intaglio.Result) -> Row:
    """Return what the report says: the verdict's colour and why, and figures of both networks."""
    report = result.report
    integer = report.to_dict()["integer"]
    real = report.to_dict()["float"]
    both = {key: [real[key], integer[key]] for key in integer if key in real and key != "n"}
    return {
        "told": report.verdict.accuracy,
        "why": report.verdict.why,
        "figures": {key: value for key, value in both.items() if key != "size_bytes"},
        "told_db": integer.get("logits_sqnr_db"),
        "agreement": integer.get("agreement"),
        "kept_float": len(report.kept_float),
        "warnings": len(report.warnings),
    }


def truth(network: nn.Module, result: intaglio.Result, kind: Kind) -> Row:
    """Return the points of both networks on fresh pictures, and the worst group's SQNR."""
    fresh = scenes().part(TRAINING + DATA + EVALUATED, FRESH)
    with torch.no_grad():
        real = listed(network(fresh.images))
    found = listed(result.twin(fresh.images))
    before, after = (float(kind.points(outputs, fresh)) for outputs in (real, found))
    groups = zip(kind.groups(real).items(), kind.groups(found).values(), strict=True)
    levels = {name: sqnr_db(first, second) for (name, first), second in groups}
    worst = min(levels, key=levels.__getitem__)
    return {
        "points": [round(before, 2), round(after, 2)],
        "points_lost": round(before - after, 2),
        "worst_db": round(levels[worst], 1),
        "worst_group": worst,
        "output_db": round(min(map(sqnr_db, real, found)), 1),
    }


def sqnr_db(real: Tensor, found: Tensor) -> float:
    """Return how far [N, C, ...], less each channel's mean, stands above the error."""
    real, found = real.double(), found.double()
    mean = real.transpose(0, 1).flatten(1).mean(1).reshape(1, -1, *[1] * (real.ndim - 2))
    noise = (found - real).square().sum()
    return float(10.0 * ((real - mean).square().sum() / noise).log10()) if noise > 0 else 200.0


def listed(outputs: Tensor | tuple[Tensor, ...]) -> Outputs:
    """Return the outputs of a network with one or several."""
    return [outputs] if isinstance(outputs, Tensor) else list(outputs)


def summary(rows: list[Row]) -> Iterator[str]:
    """Yield one line for each recipe: how often its verdict is true."""
    for recipe in RECIPES:
        own = [row for row in rows if row["recipe"] == recipe]
        lost = sum(row["points_lost"] > POINTS for row in own)
        unsure = sum(row["told"] == "amber" and row["points_lost"] > POINTS for row in own)
        colours = [str(row["told"]) for row in own]
        counts = ", ".join(f"{colours.count(name)} {name}" for name in dict.fromkeys(colours))
        yield (
            f"{recipe}: {len(own)} rows, {counts}; {lost} lose more than {POINTS:g} points,"
            f" {unsure} of them amber;"
            f" {sum(not row['is_honest'] for row in own)} dishonest,"
            f" {sum(row['is_false_alarm'] for row in own)} false alarms;"
            f" {sum(row['seconds'] for row in own):.0f} s"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
