"""Made-up texts and tables for every parser of what users write: what becomes of each.

    python -m benchmarks.fuzz_parsers [--cases N] [--again] [PARSER ...]

PARSER: a part of a row's name; all without one. Cases are made from a grammar of each format with
a taste for what is wrong (deep nesting, huge numbers, other types, NUL, half characters, marks of
byte order, keys and columns there twice, truncation); the same for the same number on every run,
where benchmarks.fuzz damages valid files instead. `refused`: the command line would end with exit
code 2 and one line. `taken`: read. `traceback` (any other end) and `stall` (10 s) are defects, of
which the first are shown. Rows already in the results stay unless --again is given or they had
fewer cases; each row is saved as it ends. A few minutes of one core.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import random
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import made_up
from benchmarks.places import earlier_rows, print_row, save_result
from intaglio.cli.failures import WRONG_REQUEST, exit_code
from intaglio.cli.source import open_source, parse_input_shape
from intaglio.data.images import open_dataset
from intaglio.data.labels import class_names
from intaglio.data.preprocess import Preprocess, parse_preprocess
from intaglio.numerics.scheme import parse_scheme
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import find_recipe, to_toml
from intaglio.recipe.settings import settle

NAME, COMMAND = "fuzz_parsers", "python -m benchmarks.fuzz_parsers"
CASES = 3000
STALL_S = 10
SHOWN = 5
REFUSED, TAKEN, TRACEBACK, STALL = "refused", "taken", "traceback", "stall"


@dataclass(frozen=True)
class Parser:
    """One parser.

    Attributes:
        name: Of its row.
        make: Makes a case, a text or the bytes of a file.
        read: Reads it; files are given as paths in a folder.
        ending: Of the file; "" where the case is a text.
    """

    name: str
    make: Callable[[random.Random], Any]
    read: Callable[[Any], object]
    ending: str = ""


class Stalled(BaseException):
    """A case took too long."""


def main() -> None:
    """Run the rows that were asked for; write benchmarks/results/fuzz_parsers.json."""
    arguments = _arguments()
    torch.set_num_threads(1)
    rows = {row["parser"]: row for row in earlier_rows(NAME)}
    for parser in PARSERS:
        asked = not arguments.parser or any(part in parser.name for part in arguments.parser)
        done = rows.get(parser.name, {}).get("cases", 0) >= arguments.cases
        if asked and (arguments.again or not done):
            rows[parser.name] = measured(parser, arguments.cases)
            print_row(rows[parser.name])
            order = [known.name for known in PARSERS if known.name in rows]
            save_result(NAME, COMMAND, [rows[name] for name in order])


def measured(parser: Parser, count: int) -> dict[str, Any]:
    """Return the row of a parser: how many cases ended in which way, and the first defects."""
    began, slowest = time.monotonic(), 0.0
    kinds: collections.Counter[str] = collections.Counter()
    defects: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            start = time.monotonic()
            kind, said = outcome(parser, number, Path(folder))
            slowest = max(slowest, time.monotonic() - start)
            kinds[kind] += 1
            if kind in (TRACEBACK, STALL):
                defects.setdefault(said[:60], f"#{number} {kind} {said}")
    row: dict[str, Any] = {"parser": parser.name, "cases": count}
    row |= {kind: kinds[kind] for kind in (REFUSED, TAKEN, TRACEBACK, STALL)}
    row |= {"slowest_s": round(slowest, 2), "seconds": round(time.monotonic() - began, 1)}
    return row | {"examples": "; ".join(list(defects.values())[:SHOWN])}


def case(parser: Parser, number: int) -> Any:
    """Return the case of a number."""
    return parser.make(random.Random(f"{parser.name} {number}"))


def outcome(parser: Parser, number: int, folder: Path) -> tuple[str, str]:
    """Return how a case ended, and what was said."""
    given = case(parser, number)
    if parser.ending:
        path = folder / f"case{parser.ending}"
        path.write_bytes(given)
        given = path
    said = io.StringIO()
    signal.signal(signal.SIGALRM, _stalled)
    signal.alarm(STALL_S)
    try:
        with contextlib.redirect_stderr(said):
            parser.read(given)
    except Stalled:
        return STALL, repr(case(parser, number))[:200]
    except Exception as error:
        return _told(error, said)
    finally:
        signal.alarm(0)
    return TAKEN, ""


def _told(error: Exception, said: io.StringIO) -> tuple[str, str]:
    """Return how the command line ends with an error; the promise is one line and exit code 2."""
    try:
        with contextlib.redirect_stderr(said):
            code = exit_code(error, [])
    except Exception as second:
        return TRACEBACK, f"while told: {type(second).__name__}: {second}"[:200]
    lines = said.getvalue().splitlines()
    if code == WRONG_REQUEST and len(lines) == 1 and len(lines[0]) < 5000:
        return REFUSED, lines[0]
    return TRACEBACK, f"{type(error).__name__}: {error}"[:200]


def _stalled(*_: object) -> None:
    raise Stalled


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=COMMAND)
    parser.add_argument("parser", nargs="*", help="a part of a row's name")
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument("--again", action="store_true", help="measure rows that are there too")
    return parser.parse_args()


def read_recipe(path: Path) -> object:
    """Read it as `compress --recipe` does, and write it again."""
    found = find_recipe(str(path))
    settle(found, None, Options())
    return to_toml(found)


def read_data(path: Path) -> object:
    """Open a data set, and its items."""
    (path.parent / made_up.EXISTING).touch()
    dataset = open_dataset(path)
    for item in list(dataset.items)[:3]:
        with contextlib.suppress(OSError), item.source.open() as file:
            file.read(10)
    return class_names(path)


def beside(name: str, data: str) -> Callable[[Path], object]:
    """Return what reads a file of class names beside a data set."""

    def read(path: Path) -> object:
        """Read the names as `compress --data` does."""
        (path.parent / name).write_bytes(path.read_bytes())
        (path.parent / data).write_bytes(b"")
        return class_names(path.parent / data)

    return read


def read_model(text: str) -> object:
    """Build the network as commands do; no file is read."""
    return open_source(text, weights=None, preprocess=None, input_shape="1,3,32,32")


PARSERS = (
    Parser("recipe.toml", made_up.recipe, read_recipe, ".toml"),
    Parser("manifest.csv", made_up.csv_table(("file", "class_index")), read_data, ".csv"),
    Parser(
        "classes.csv",
        made_up.csv_table(("class_index", "name")),
        beside("classes.csv", "d.csv"),
        ".txt",
    ),
    Parser("classes.json", made_up.json_names, beside("classes.json", "d.parquet"), ".txt"),
    Parser("data.parquet", made_up.parquet, read_data, ".parquet"),
    Parser("--preprocess", made_up.preprocess, lambda text: parse_preprocess(text, Preprocess())),
    Parser("--input-shape", made_up.input_shape, parse_input_shape),
    Parser("--scheme", made_up.scheme, parse_scheme),
    Parser("MODEL", made_up.model, read_model),
)


if __name__ == "__main__":
    main()
