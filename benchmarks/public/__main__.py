"""Hundreds of public network definitions: taken or refused, equal bits, how good the outputs are.

    python -m benchmarks.public --definitions FILE.py [--recipe plain] [--allow-float]
        [--part K/N] [--names A B ..] [--task TASK] [--rest] [--seconds 120] [--out FOLDER]

FILE.py is a module with `SPECS` (definitions.py); the packages that it imports have to be
installed. Weights are random, with batch-norm statistics fitted to random images (images.py): good
for what is taken, for bits and for outputs that are wrecked, not for accuracy. Every network runs
in a child process with a limit of time; what a row holds is in attempt.py.

`--part 1/2` takes every second network from the first, `--part 2/2` the others, so that two
processes share the work. `--rest` leaves out what a run without --allow-float took, in whichever
part. Each row is saved as it ends, into a file a part, and another run goes on behind the rows of
all parts; with --names it measures these again. `python -m benchmarks.tables` makes the page.
"""

from __future__ import annotations

import argparse
import collections
from pathlib import Path

import torch
from torch import nn

import intaglio
from benchmarks.places import print_row, rows_in, save_rows
from benchmarks.public.attempt import CRASH, OK, TIMEOUT, Row, tried
from benchmarks.public.child import Died, Late, in_a_child
from benchmarks.public.definitions import Definition, make_ready, read_definitions
from benchmarks.public.page import PUBLIC, latest, rows_of_all

COMMAND = "python -m benchmarks.public --definitions FILE.py"
SECONDS = 120
"""What one network may take, from building it to the last figure."""
SHOWN = ("name", "outcome", "seconds", "capture_s", "mismatches", "partitions", "sqnr", "control")
SHOWN_LETTERS = 160


def main() -> None:
    """Measure the networks that were asked for and are not there yet; save each row."""
    wish = _arguments()
    make_ready()
    torch.set_num_threads(1)  # the children are forked, which threads would not survive
    run = wish.recipe + ("-allow-float" if wish.allow_float else "")
    path = wish.out / f"{run}-{wish.part[0]}-of-{wish.part[1]}.json"
    command = f"{COMMAND} --recipe {wish.recipe}" + " --allow-float" * wish.allow_float
    wish.out.mkdir(parents=True, exist_ok=True)
    rows = [row for row in rows_in(path) if row["name"] not in (wish.names or ())]
    _warm_up()
    for definition in wanted(wish, path):
        row = measured(definition, wish.recipe, allow_float=wish.allow_float, limit=wish.seconds)
        rows.append(row)
        save_rows(path, f"{command} --part {wish.part[0]}/{wish.part[1]}", rows)
        told = {key: row[key] for key in SHOWN if key in row}
        print_row(told | {"message": str(row.get("message", ""))[:SHOWN_LETTERS]})
    for outcome, count in collections.Counter(row["outcome"] for row in rows).most_common():
        print(f"{outcome}: {count}")


def wanted(wish: argparse.Namespace, path: Path) -> list[Definition]:
    """Return the definitions of this part that were asked for and have no row yet."""
    first, step = wish.part
    known = latest(rows_of_all(sorted(wish.out.glob("*.json"))))
    kind = (wish.recipe, wish.allow_float)
    done = {row["name"] for row in known if (row["recipe"], row["allow_float"]) == kind}
    done -= set(wish.names or ())
    if wish.rest:
        plain = [row for row in known if (row["recipe"], row["allow_float"]) == (kind[0], False)]
        done |= {row["name"] for row in plain if row["outcome"] == OK}
    return [
        definition
        for definition in read_definitions(wish.definitions)[first - 1 :: step]
        if definition.name not in done
        and (not wish.names or definition.name in wish.names)
        and wish.task in (None, definition.task)
    ]


def measured(definition: Definition, recipe: str, *, allow_float: bool, limit: float) -> Row:
    """Return the row of a network, tried in a child process that is stopped after `limit` s."""
    row: Row = {"name": definition.name, "package": definition.package, "task": definition.task}
    row |= {"recipe": recipe, "allow_float": allow_float}
    try:
        found = in_a_child(lambda: tried(definition, recipe, allow_float=allow_float), limit)
    except Late:
        return row | {"outcome": TIMEOUT, "message": f"over {limit:g} s", "seconds": limit}
    except Died as death:
        return row | {"outcome": CRASH, "message": str(death)}
    return row | found


def _warm_up() -> None:
    """Load here, once, what each child would load again."""
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    module = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, 4)).eval()
    images = torch.linspace(-1.0, 1.0, 4 * 3 * 8 * 8).reshape(4, 3, 8, 8)
    intaglio.compress(module, images[:1], data=images, recipe="plain")


def _part(text: str) -> tuple[int, int]:
    """Return K and N of "K/N"."""
    first, _, count = text.partition("/")
    if not (first.isdigit() and count.isdigit() and 1 <= int(first) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text} is not K/N with K from 1 to N")
    return int(first), int(count)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.public")
    parser.add_argument("--definitions", type=Path, required=True, help="a module with SPECS")
    parser.add_argument("--recipe", default="plain")
    parser.add_argument("--allow-float", action="store_true")
    parser.add_argument("--part", type=_part, default=(1, 1), metavar="K/N")
    parser.add_argument("--names", nargs="*", help="measure these, also where they have a row")
    parser.add_argument("--task", help="only networks of this task")
    parser.add_argument("--rest", action="store_true", help="only what is not taken without float")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="what a network may take")
    parser.add_argument("--out", type=Path, default=PUBLIC)
    return parser.parse_args()


if __name__ == "__main__":
    main()
