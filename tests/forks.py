"""Python processes that are fresh as to intaglio, and start in no time.

One process has what others wrote imported, torch above all, which takes seconds, and nothing of
intaglio. It forks a child for each piece of code.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PARENT = """
import json, os, sys, traceback
import flatbuffers, numpy, PIL.Image, pydantic, rich.console, rich.progress, rich.table
import safetensors.torch, torch, torch._dynamo, torch.export, typer
import ai_edge_litert.interpreter

torch.set_num_threads(1)
fork, loads = os.fork, json.loads

def run(asked):
    os.chdir(asked["place"])
    os.environ.update(asked["environment"])
    for number, path in ((0, os.devnull), (1, asked["out"]), (2, asked["error"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
    sys.stdin = open(0)
    sys.argv = ["-c", *asked["arguments"]]
    sys.path[0] = ""
    code = 0
    try:
        exec(compile(asked["code"], "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if code and not isinstance(ended.code, int):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code

for line in sys.stdin:
    child = fork()
    if not child:
        os._exit(run(loads(line)))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@functools.cache
def _parent() -> subprocess.Popen[str]:
    """Return the process that forks; it ends when its input is closed, or this one is gone."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(parent.communicate)
    return parent


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code as `python -c code arguments` does, in the current directory and environment."""
    parent = _parent()
    assert parent.stdin is not None
    assert parent.stdout is not None
    with tempfile.TemporaryDirectory() as folder:
        out, error = (Path(folder, name) for name in ("out.txt", "error.txt"))
        asked = {
            "code": code,
            "arguments": [str(each) for each in arguments],
            "place": os.getcwd(),
            "environment": {**os.environ, "OMP_NUM_THREADS": "1"},
            "out": str(out),
            "error": str(error),
        }
        print(json.dumps(asked), file=parent.stdin, flush=True)
        ended = int(parent.stdout.readline())
        return subprocess.CompletedProcess(
            [code, *asked["arguments"]], ended, out.read_text("utf-8"), error.read_text("utf-8")
        )
