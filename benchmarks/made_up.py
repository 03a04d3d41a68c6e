"""Texts and files that users might write, made from grammars with a taste for what is wrong.

Every function makes one case from a source of chance: the same source, the same case.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from intaglio.methods import STEPS
from intaglio.recipe.recipe import Recipe

Draw = random.Random


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
