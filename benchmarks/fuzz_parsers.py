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

import numpy as np
import pyarrow
import pyarrow.parquet
import torch

from benchmarks.places import earlier_rows, print_row, save_result
from intaglio.cli.failures import WRONG_REQUEST, exit_code
from intaglio.cli.source import open_source, parse_input_shape
from intaglio.data.images import open_dataset
from intaglio.data.labels import class_names
from intaglio.data.preprocess import Preprocess, parse_preprocess
from intaglio.methods import STEPS
from intaglio.numerics.scheme import parse_scheme
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import Recipe, find_recipe, to_toml
from intaglio.recipe.settings import settle

NAME, COMMAND = "fuzz_parsers", "python -m benchmarks.fuzz_parsers"
CASES = 3000
STALL_S = 10
SHOWN = 5
REFUSED, TAKEN, TRACEBACK, STALL = "refused", "taken", "traceback", "stall"

Draw = random.Random


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
    make: Callable[[Draw], Any]
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


# What is wrong anywhere ------------------------------------------------------------------------

WORDS = (
    *("", " ", "a", "none", "\0", "\x1b[2J", "\n", "\r", "é", "ﬁ", "٣", "²", "\ud800", "\u202e"),
    *("#", "=", ",", "/", "(", ")", "[", "]", "'", '"', "\\", "..", "%s", "{}", "x" * 5000),
)
NUMBERS = (
    *(
        "0",
        "-0",
        "1",
        "-1",
        "2",
        "8",
        "255",
        "0.5",
        "1e-9",
        "1e400",
        "-1e400",
        "nan",
        "inf",
        "-inf",
    ),
    *(str(2**31), str(2**63), str(-(2**63)), str(2**64), "9" * 400, "9" * 5000, "0x" + "f" * 5000),
    *("1_000", "0x10", "0o7", "0b1", "1e5", "+3", ".5", "5.", "1e", "--1", "1,000", "0" * 5000),
)


def word(draw: Draw) -> str:
    """Return a text with something odd in it."""
    return "".join(draw.choice(WORDS) for _ in range(draw.randint(1, 3)))


def number(draw: Draw) -> str:
    """Return a number as text, or nearly one."""
    return draw.choice(NUMBERS) if draw.random() < 0.8 else str(draw.randint(-(10**6), 10**6))


def spoilt(draw: Draw, content: bytes) -> bytes:
    """Return a file's content as it is, mostly; else cut, doubled, or with bytes put in."""
    kind = draw.randint(0, 19)
    place = draw.randint(0, len(content))
    if kind == 0:
        return content[:place]
    if kind == 1:
        return content + content
    if kind == 2:
        inside = draw.choice(
            [b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b"\r", b"\x1a", b"\x85"]
        )
        return content[:place] + inside + content[place:]
    if kind == 3:
        return b"\xef\xbb\xbf" + content
    if kind == 4:
        other = draw.choice(["utf-16", "utf-32", "cp037"])
        return content.decode("utf-8", "replace").encode(other, "replace")
    return content


def utf8(text: str) -> bytes:
    """Return a text's bytes; half characters become bytes that are no UTF-8."""
    return text.encode("utf-8", "surrogatepass")


# Recipes ---------------------------------------------------------------------------------------


def toml_value(draw: Draw, depth: int = 0) -> str:
    """Return a value of TOML, or nearly one."""
    kind = draw.randint(0, 11)
    if kind <= 2:
        return number(draw)
    if kind <= 4:
        return f'"{word(draw)}"'
    if kind == 5:
        return draw.choice(["true", "false", "True", "null", "2020-01-01", "07:32:00", "''", '""'])
    if kind == 6:
        deep = draw.choice([3, 90, 150, 300, 1000, 20000])
        opening, closing = draw.choice([("[", "]"), ("{a=", "}"), ("[{a=", "}]")])
        return opening * deep + "1" + closing * deep
    if kind == 7:
        return "'''" + word(draw) + "'''"
    if depth > 3:
        return "[]"
    inner = [toml_value(draw, depth + 1) for _ in range(draw.randint(0, 3))]
    if kind == 8:
        return "{" + ", ".join(f"k{i} = {value}" for i, value in enumerate(inner)) + "}"
    return "[" + ", ".join(inner) + "]"


VALID = {
    "name": '"x"',
    "calibrator": '"mse"',
    "search": "false",
    "task": '"values"',
    "max_drop": "1.0",
    "tuning_images": "100",
    "judged_share": "0.2",
    "scheme": '"w8a8"',
    "seed": "3",
    "limit": "9",
    "keep_float": '["a", "b"]',
    "weight_bits": "{a = 4}",
    "ran": '{model = "m"}',
}


def recipe(draw: Draw) -> bytes:
    """Return a recipe file: a valid one, of which one or two things are otherwise."""
    lines = [f"{key} = {VALID[key]}" for key in draw.sample([*VALID], draw.randint(1, 6))]
    steps = [STEPS[draw.choice([*STEPS])] for _ in range(draw.randint(0, 2))]
    for _ in range(draw.choice([0, 1, 1, 2])):
        key = draw.choice([*Recipe.model_fields, "zz", '"a b"', "", "a.b.c", f'"{word(draw)}"'])
        if draw.random() < 0.05:
            key = ".".join(["a"] * draw.choice([100, 600, 5000]))
        lines = [line for line in lines if not line.startswith(f"{key} =")] or lines
        lines.append(f"{key} = {toml_value(draw)}")
    for step in steps:
        settings = getattr(step, "__dataclass_fields__", {})
        lines += ["[[steps]]", f'name = "{step.name}"']
        for name in draw.sample([*settings], min(len(settings), draw.randint(0, 2))):
            lines.append(f"{name} = {toml_value(draw)}")
    if draw.random() < 0.1:
        lines += [draw.choice(["[ran]", "[weight_bits]", "[steps]", "[[ran]]", "[a.b.c]"])]
        lines += [f'"{word(draw)}" = {toml_value(draw)}']
    if draw.random() < 0.05:
        lines += lines[:1]
    return spoilt(draw, utf8("\n".join(lines) + "\n"))


def read_recipe(path: Path) -> object:
    """Read it as `compress --recipe` does, and write it again."""
    found = find_recipe(str(path))
    settle(found, None, Options())
    return to_toml(found)


# Tables ----------------------------------------------------------------------------------------


EXISTING = "x.jpg"


def csv_field(draw: Draw) -> str:
    """Return a field, quoted or not."""
    kind = draw.randint(0, 9)
    text = number(draw) if kind == 0 else word(draw) if kind == 1 else str(draw.randint(0, 9))
    if draw.random() < 0.02:
        text = "y" * 200_000
    return f'"{text}"' if draw.random() < 0.3 else text


def csv_table(heading: tuple[str, ...]) -> Callable[[Draw], bytes]:
    """Return what makes tables with these columns, or nearly."""

    def make(draw: Draw) -> bytes:
        """Return the bytes of a table."""
        columns = [name for name in heading if draw.random() < 0.9]
        columns += [draw.choice([*heading, word(draw)]) for _ in range(draw.randint(0, 1))]
        rows = [columns]
        for _ in range(draw.randint(0, 4)):
            width = len(columns) if draw.random() < 0.9 else draw.randint(0, 5)
            rows.append([csv_field(draw) for _ in range(width)])
            if "file" in columns and width == len(columns) and draw.random() < 0.9:
                rows[-1][columns.index("file")] = EXISTING
        end = draw.choice(["\n", "\r\n", "\r", "\n\n"])
        return spoilt(draw, utf8(end.join(",".join(row) for row in rows)))

    return make


def parquet(draw: Draw) -> bytes:
    """Return a parquet file of columns that are, or are not, what is asked for."""
    rows = draw.choice([0, 1, 3, 70])
    kinds: dict[str, Callable[[], Any]] = {
        "binary": lambda: pyarrow.array([b"\xff\xd8"] * rows, pyarrow.binary()),
        "large": lambda: pyarrow.array([b""] * rows, pyarrow.large_binary()),
        "null": lambda: pyarrow.nulls(rows),
        "text": lambda: pyarrow.array([word(draw).replace("\ud800", "")] * rows, pyarrow.string()),
        "int": lambda: pyarrow.array([draw.randint(-3, 9)] * rows, pyarrow.int64()),
        "uint": lambda: pyarrow.array([2**64 - 1] * rows, pyarrow.uint64()),
        "missing": lambda: pyarrow.array([None, *[1] * (rows - 1)][:rows], pyarrow.int8()),
        "float": lambda: pyarrow.array(np.full(rows, np.nan)),
        "list": lambda: pyarrow.array([[1]] * rows, pyarrow.list_(pyarrow.int8())),
        "bool": lambda: pyarrow.array([True] * rows),
        "date": lambda: pyarrow.array([1] * rows, pyarrow.date32()),
        "dict": lambda: pyarrow.array([b"a"] * rows, pyarrow.binary()).dictionary_encode(),
    }
    names = [draw.choice(["jpeg", "label", "image", "é", "a.b"]) for _ in range(draw.randint(0, 2))]
    names = [*(["jpeg"] if draw.random() < 0.8 else []), *names]
    chosen = ["binary" if draw.random() < 0.6 else draw.choice([*kinds]) for _ in names]
    arrays = [kinds[kind]() for kind in chosen]
    table = pyarrow.Table.from_arrays(arrays, names=names) if names else pyarrow.table({})
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table, sink, row_group_size=draw.choice([1, 2, 1000]))
    content = bytearray(sink.getvalue())
    if draw.random() < 0.5:
        for _ in range(draw.randint(1, 4)):
            content[draw.randrange(len(content))] = draw.randrange(256)
    return spoilt(draw, bytes(content)) if draw.random() < 0.3 else bytes(content)


def read_data(path: Path) -> object:
    """Open a data set, and its items."""
    (path.parent / EXISTING).touch()
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


def json_names(draw: Draw) -> bytes:
    """Return a list of names in JSON, or nearly."""
    deep = draw.choice([1, 3, 2000, 200_000])
    texts = [
        '["a", "b", "é"]',
        "[" * deep + "]" * deep,
        '["a", "' + draw.choice(["b", "\\ud800", "\\u0000", "é"]) + '"]',
        "[" + number(draw) + "]",
        '{"a": [' + number(draw) + "]}",
        '"' + word(draw) + '"',
    ]
    return spoilt(draw, utf8(draw.choice(texts)))


# Texts of the command line ---------------------------------------------------------------------


def preprocess(draw: Draw) -> str:
    """Return a text of --preprocess, or nearly."""
    parts = []
    for name in draw.sample(["resize", "crop", "mean", "std", "men"], draw.randint(1, 4)):
        usual = draw.choice(["224", "256"] if name in ("resize", "crop") else ["0.5", "1/2/3"])
        values = [number(draw) for _ in range(draw.choice([1, 1, 3, 3, 2, 4]))]
        said = usual if draw.random() < 0.7 else "/".join(values)
        parts.append(f"{name}{'=' if draw.random() < 0.95 else '=='}{said}")
    return draw.choice([",", ",", ", ", ",,"]).join(parts)


def input_shape(draw: Draw) -> str:
    """Return a text of --input-shape, or nearly."""
    sizes = [
        draw.choice(["1", "3", "32", number(draw)]) for _ in range(draw.choice([4, 4, 4, 3, 5]))
    ]
    return draw.choice([",", ", ", "x", ",,"]).join(sizes) + draw.choice(["", "", word(draw)])


def scheme(draw: Draw) -> str:
    """Return a text of --scheme, or nearly."""
    bits = [draw.choice(["2", "4", "8", "16", "08", number(draw)]) for _ in range(2)]
    ending = draw.choice(["", "", "-per-tensor", "-per-channel", word(draw)])
    return draw.choice([f"w{bits[0]}a{bits[1]}", "mixed", f"W{bits[0]}A{bits[1]}"]) + ending


def python_value(draw: Draw) -> str:
    """Return a literal of Python, or an expression that is none."""
    deep = draw.choice([2, 50, 90, 150, 1000])
    return draw.choice(
        [
            number(draw),
            repr(word(draw)),
            "[" * deep + "]" * deep,
            "(" * deep + "1" + ",)" * deep,
            "-" * deep + "1",
            "{[]: 1}",
            "{1: {2: 3}}",
            "{*()}",
            "1j",
            "b'x'",
            "...",
            "__import__('os')",
            "1+" * deep + "1",
            "f'{1}'",
            "9" * 5000,
            "lambda: 0",
            "None",
            "x := 3",
            "*[1]",
            "a.b",
            "'a' 'b'",
            "1 if 1 else 2",
            word(draw),
        ]
    )


def model(draw: Draw) -> str:
    """Return a text of MODEL, or nearly."""
    odd = ["width_mult", "seed", "é", "class", "**a", "", word(draw)]
    keys = ["width", "num_classes", *(odd if draw.random() < 0.3 else [])]
    name = draw.choice(["resnet20_cifar10", "mobilenet_v1_tf", "os:getcwd", word(draw), "a:b.c"])
    inside = [f"{draw.choice(keys)}={python_value(draw)}" for _ in range(draw.randint(0, 2))]
    if draw.random() < 0.1:
        inside.append(python_value(draw))
    forms = ["({}", "{}", "({})()", "(({}))"]
    brackets = draw.choice(forms) if draw.random() < 0.2 else "({})"
    return f"{name}{brackets.format(', '.join(inside))}"


def read_model(text: str) -> object:
    """Build the network as commands do; no file is read."""
    return open_source(text, weights=None, preprocess=None, input_shape="1,3,32,32")


PARSERS = (
    Parser("recipe.toml", recipe, read_recipe, ".toml"),
    Parser("manifest.csv", csv_table(("file", "class_index")), read_data, ".csv"),
    Parser(
        "classes.csv", csv_table(("class_index", "name")), beside("classes.csv", "d.csv"), ".txt"
    ),
    Parser("classes.json", json_names, beside("classes.json", "d.parquet"), ".txt"),
    Parser("data.parquet", parquet, read_data, ".parquet"),
    Parser("--preprocess", preprocess, lambda text: parse_preprocess(text, Preprocess())),
    Parser("--input-shape", input_shape, parse_input_shape),
    Parser("--scheme", scheme, parse_scheme),
    Parser("MODEL", model, read_model),
)


if __name__ == "__main__":
    main()
