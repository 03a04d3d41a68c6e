"""What README and docs say is so: their code runs, their names exist, their table is current."""

from __future__ import annotations

import importlib
import os
import re
import runpy
import shlex
import subprocess
import sys
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


@pytest.mark.parametrize("page", with_python(PAGES), ids=lambda page: page.name)
def test_the_code_of_a_page_runs_and_prints_what_the_page_shows(page: Path, tmp_path: Path):
    script = ""
    for line, code in blocks(page, "python"):
        script += "\n" * (line - script.count("\n")) + code  # errors name the page's lines
    file = tmp_path / f"{page.stem}.py"
    file.write_text(script, "utf-8")

    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(file)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stderr
    position = 0
    for _, expected in blocks(page, "text"):
        position = ran.stdout.find(expected, position)
        assert position >= 0, f"{page.name} shows\n{expected}\nbut its code prints\n{ran.stdout}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_that_a_page_names_exist(page: Path):
    text = page.read_text("utf-8")

    named = [REPOSITORY / name for name in FILE.findall(text) if name not in RESULT_FILES]
    linked = [page.parent / name for name in LINK.findall(text)]

    invented = {"mean_of_extremes.py", "my_board.py"}  # files that a reader of the page would make
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
