"""Help, wrong command lines and lists of names are answered before torch is imported."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import MISSING, fields

import pytest
import typer

from intaglio.cli import options
from intaglio.cli.main import app
from intaglio.cli.surgery_options import SurgeryRequest
from intaglio.cli.train_options import TrainRequest

REQUESTS = {
    "compress": options.CompressRequest,
    "train": TrainRequest,
    "surgery": SurgeryRequest,
    "models": options.ListRequest,
    "recipes": options.ListRequest,
    "inspect": options.InspectRequest,
    "evaluate": options.EvaluateRequest,
    "check": options.CheckRequest,
    "doctor": options.DoctorRequest,
}
CODE = """
import sys
from intaglio.cli.main import main
code = main(sys.argv[1:])
heavy = {"torch", "numpy", "pyarrow", "ai_edge_litert", "PIL"} & set(sys.modules)
sys.exit(f"imported: {heavy}" if heavy else code)
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["models", "--json"], 0),
        (["recipes"], 0),
        (["compress", "--help"], 0),
        *[([name, "--help"], 0) for name in REQUESTS if name != "compress"],
        ([], 2),
        (["transplant"], 2),
        (["compress", "a", "--hours", "1"], 2),
        (["compress", "a", "--limit", "few"], 2),
        (["compress", "a", "--recipe", "accurat"], 2),
        (["compress", "a", "--calibrator", "minmx"], 2),
        (["inspect", "a", "--target", "litrt"], 2),
        (["evaluate", "a.tflite"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_needs_no_network_is_answered_without_torch(arguments: list[str], code: int):
    ran = subprocess.run([sys.executable, "-c", CODE, *arguments], capture_output=True, text=True)

    assert ran.returncode == code, ran.stderr
    assert "imported" not in ran.stderr
    assert bool(ran.stdout) == (code == 0)


def test_every_command_has_a_request():
    assert list(typer.main.get_command(app).commands) == list(REQUESTS)


@pytest.mark.parametrize("name", REQUESTS)
def test_what_a_command_takes_are_the_fields_of_its_request(name: str):
    taken = typer.main.get_command(app).commands[name].params

    stated = {field.name: field.default for field in fields(REQUESTS[name])}
    assert [param.name for param in taken] == list(stated)
    for param in taken:
        assert param.required == (stated[param.name] is MISSING)
        assert param.required or param.default == stated[param.name]
