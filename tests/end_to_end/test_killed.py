"""kill -9 at any moment leaves a whole result or none, and the next run clears what is left."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from cli.conftest import place, prepared
from cli.tiny import CALIBRATION, CLASSIFIER, intaglio
from forks import python

__all__ = ["place", "prepared"]

# A process that has everything imported and once run forks children that compress, and kills them:
# so each death costs a second and not the start of an interpreter.
DRIVER = """
import hashlib, os, random, shutil, signal, sys, time
import torch
torch.set_num_threads(1)
from intaglio.cli.main import main

arguments = sys.argv[1:]

def compress(seed):
    sys.stdout = open(os.devnull, "w")
    return main([*arguments, "--out", "out", "--seed", str(seed), "--replace"])

assert main([*arguments, "--out", "warm", "--json"]) == 0
began = time.monotonic()
child = os.fork()
if not child:
    os._exit(compress(1))
assert os.waitpid(child, 0)[1] == 0
lasts = time.monotonic() - began

random.seed(0)
for number in range(16):
    if number % 4 < 2:  # half of them with an older result to replace, half without
        shutil.rmtree("out", ignore_errors=True)
    had = os.path.isdir("out")
    child = os.fork()
    if not child:
        os._exit(compress(2 + number % 2))
    # half of them anywhere, half near the end, where the files are written and renamed
    share = random.random() if number % 2 else random.uniform(0.8, 1.05)
    time.sleep(share * lasts)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    files = sorted(os.listdir("out")) if os.path.isdir("out") else []
    content = open("out/model.tflite", "rb").read() if files else b""
    found = ",".join(files) or "-"
    print("row", status, had, found, hashlib.sha256(content).hexdigest(), file=sys.stderr)
"""


IN_ONE_STEP = sys.platform == "linux"
"""Whether an older result and a new one trade places in one step (host/exchange.py)."""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_run_leaves_a_whole_result_or_none(place: Path) -> None:
    for seed in (1, 2, 3):
        arguments = ("compress", *CLASSIFIER, *CALIBRATION, "--out", f"s{seed}", "--seed", seed)
        assert intaglio(*arguments) == 0
    files = ",".join(sorted(os.listdir("s1")))
    whole = {_hash(Path(f"s{seed}/model.tflite")) for seed in (1, 2, 3)}

    done = python(DRIVER, "compress", *CLASSIFIER, *CALIBRATION)

    assert done.returncode == 0, done.stderr
    rows = [line.split()[1:] for line in done.stderr.splitlines() if line.startswith("row")]
    assert len(rows) == 16
    assert sum(status == "9" for status, *_ in rows) >= 3  # the others were done before
    for _, had, found, content in rows:
        is_nothing = found == "-" and (had == "False" or not IN_ONE_STEP)
        assert is_nothing or (found == files and content in whole)
    last = ("--out", "out", "--seed", 1, "--replace")
    assert intaglio("compress", *CLASSIFIER, *CALIBRATION, *last) == 0
    assert [name for name in os.listdir(place) if name.startswith(".")] == []
    assert _hash(Path("out/model.tflite")) == _hash(Path("s1/model.tflite"))


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
