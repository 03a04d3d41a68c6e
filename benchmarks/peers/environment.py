"""A virtual environment for each tool, with exactly the versions of requirements/TOOL.txt.

Nothing is ever installed into the environment that runs this.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.places import REPOSITORY

REQUIREMENTS = Path(__file__).resolve().parent / "requirements"
READY = ".ready"  # holds the digest of the requirements that were installed
LAST_LINES = 400  # characters of a failure's output that are quoted


class PeerError(Exception):
    """A tool that could not be installed or run; its text goes into the tool's row."""


@dataclass(frozen=True)
class Environment:
    """A tool's environment.

    Attributes:
        python: The interpreter in it.
    """

    python: Path

    def run(self, *arguments: str, log: Path) -> None:
        """Run `python ARGUMENTS` in it, one thread, output into `log`.

        Raises:
            PeerError: If it fails, with the last line that it wrote.
        """
        # the tools' telemetry keeps silent where these are set
        settings = {"OMP_NUM_THREADS": "1", "CI": "true", "NNCF_CI": "1", "MPLBACKEND": "Agg"}
        variables = {**os.environ, **settings, "PYTHONPATH": str(REPOSITORY)}
        _run([str(self.python), *arguments], log, variables)


def environment(tool: str, place: Path) -> Environment:
    """Return the environment of a tool under `place`, made first if missing or out of date.

    Raises:
        PeerError: If it cannot be made or the tool cannot be installed.
    """
    folder = place / tool
    requirements = REQUIREMENTS / f"{tool}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    made = Environment(folder / "bin" / "python")
    ready = folder / READY
    if ready.is_file() and ready.read_text() == digest and made.python.exists():
        return made
    folder.mkdir(parents=True, exist_ok=True)
    log = place / f"{tool}-install.log"
    _run([sys.executable, "-m", "venv", "--clear", str(folder)], log, dict(os.environ))
    install = [str(made.python), "-m", "pip", "install", "-r", str(requirements)]
    _run(install, log, dict(os.environ))
    ready.write_text(digest)
    return made


def _run(command: list[str], log: Path, variables: dict[str, str]) -> None:
    with log.open("w") as output:
        done = subprocess.run(
            command, env=variables, cwd=REPOSITORY, stdout=output, stderr=subprocess.STDOUT
        )
    if done.returncode != 0:
        raise PeerError(f"exit {done.returncode}: {_last_line(log)} (all of it in {log.name})")


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][-LAST_LINES:] if lines else "no output"
