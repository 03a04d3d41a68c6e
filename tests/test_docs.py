"""What README and docs say is so: their code runs, their names exist, their table is current."""

from __future__ import annotations

import importlib
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from intaglio.cli.main import app
from intaglio.passes.graph_pass import PASSES

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")], key=lambda path: path.name
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(
    r"`((?:src|tests|docs|examples|benchmarks)/[\w/.]+|\.ci/run|[\w-]+\.(?:txt|toml))`"
)
DOTTED = re.compile(r"`(intaglio(?:\.\w+)+)`")
LINK = re.compile(r"\]\((?!\w+:)([^)#]+)\)")
# A process that has everything imported, and has captured once, forks a child for each page: a page
# changes what is registered, so it needs a process of its own, but not the start of one.
DRIVER = """
import os, runpy, sys, traceback
import torch
import intaglio
intaglio.capture(torch.nn.Conv2d(3, 4, 1), torch.zeros(1, 3, 8, 8))

def run(file, folder):
    os.chdir(folder)
    for number, name in ((1, "printed.txt"), (2, "errors.txt")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), number)
    sys.path[0], sys.argv = folder, [file]
    try:
        runpy.run_path(file, run_name="__main__")
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0

for line in sys.stdin:
    child = os.fork()
    if not child:
        os._exit(run(*line.rstrip("\\n").split("\\t")))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
RESULT_FILES = {"recipe.toml", "labels.txt"}


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """Return (line of the first line, text) of the blocks in one language."""
    text = page.read_text("utf-8")
    return [
        (text[: match.start(2)].count("\n"), match[2])
        for match in BLOCK.finditer(text)
        if match[1] == language
    ]


def with_python(pages: list[Path]) -> list[Path]:
    return [page for page in pages if blocks(page, "python")]


@pytest.fixture(scope="module")
def driver() -> Iterator[subprocess.Popen[str]]:
    """A process that runs a file for a line "file, tab, folder", and answers with its exit code."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", DRIVER],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.stdin.close()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("page", with_python(PAGES), ids=lambda page: page.name)
def test_the_code_of_a_page_runs_and_prints_what_the_page_shows(
    page: Path, tmp_path: Path, driver: subprocess.Popen[str]
):
    script = ""
    for line, code in blocks(page, "python"):
        script += "\n" * (line - script.count("\n")) + code  # errors name the page's lines
    file = tmp_path / f"{page.stem}.py"
    file.write_text(script, "utf-8")

    print(file, tmp_path, sep="\t", file=driver.stdin, flush=True)
    code = driver.stdout.readline().strip()
    out, error = ((tmp_path / name).read_text("utf-8") for name in ("printed.txt", "errors.txt"))

    assert code == "0", error
    position = 0
    for _, expected in blocks(page, "text"):
        position = out.find(expected, position)
        assert position >= 0, f"{page.name} shows\n{expected}\nbut its code prints\n{out}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_that_a_page_names_exist(page: Path):
    text = page.read_text("utf-8")

    named = [REPOSITORY / name for name in FILE.findall(text) if name not in RESULT_FILES]
    linked = [page.parent / name for name in LINK.findall(text)]

    invented = {"mean_of_extremes.py", "classes.txt"}  # files that a reader of the page would make
    missing = [path for path in [*named, *linked] if not path.exists()]
    assert [path for path in missing if path.name not in invented] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_names_that_a_page_uses_can_be_imported(page: Path):
    for name in DOTTED.findall(page.read_text("utf-8")):
        assert find(name) is not None, name


def find(dotted: str) -> object:
    """Return the module, or what is in one, with a dotted name."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    return None


def test_the_page_of_ops_is_current():
    made = runpy.run_path(str(REPOSITORY / "docs/make_ops.py"))

    page = (REPOSITORY / "docs/ops.md").read_text("utf-8")

    assert page == made["ops_page"](), "run: python docs/make_ops.py"


def test_the_page_of_ops_names_passes_that_exist():
    rewritten = runpy.run_path(str(REPOSITORY / "docs/make_ops.py"))["REWRITTEN"]

    assert {name for names in rewritten.values() for name in names} <= set(PASSES)


def test_the_page_of_rooms_and_its_picture_are_current():
    made = runpy.run_path(str(REPOSITORY / "docs/make_rooms.py"))

    page, picture = (
        (REPOSITORY / name).read_text("utf-8") for name in ("docs/rooms.md", "docs/rooms.svg")
    )

    assert page == made["rooms_page"](), "run: python docs/make_rooms.py"
    assert picture == made["rooms_picture"](), "run: python docs/make_rooms.py"


def test_every_room_says_what_is_in_it():
    made = runpy.run_path(str(REPOSITORY / "docs/make_rooms.py"))

    assert [name for name in made["rooms"]() if not made["about"](name)] == []


def shell_lines(page: Path) -> list[list[str]]:
    """Return the words of the `intaglio` commands that a page shows."""
    joined = "".join(text for _, text in blocks(page, "sh")).replace("\\\n", " ")
    lines = [shlex.split(line) for line in joined.splitlines()]
    return [words for words in lines if words and words[0] == "intaglio"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_and_options_that_a_page_shows_exist(page: Path):
    commands = typer.main.get_command(app).commands

    for _, command, *rest in shell_lines(page):
        known = {option for param in commands[command].params for option in param.opts}
        assert {word for word in rest if word.startswith("--")} <= known


def test_the_readme_begins_with_the_two_commands():
    first = blocks(REPOSITORY / "README.md", "sh")[0][1]

    assert first.split("\n") == ["make demo", "make test", ""]
