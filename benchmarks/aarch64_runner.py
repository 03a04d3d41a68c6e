"""Runs on the emulated processor, without intaglio: files and expected values in, counts out.

    python aarch64_runner.py FOLDER

For every CASE.npz in the folder: run CASE.tflite and CASE.exposed.tflite on the stored image and
compare outputs and inner tensors with the stored ones. Prints one JSON object a case.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def run(path: Path, image: Any) -> dict[str, Any]:
    """Return the outputs of a file by name."""
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    details = interpreter.get_output_details()
    return {detail["name"]: interpreter.get_tensor(detail["index"]) for detail in details}


def compare(case: Path) -> dict[str, Any]:
    """Return how many values of a case were compared and how many differ, by tensor."""
    stored = np.load(case)
    names = json.loads(str(stored["names"]))
    found = run(case.with_suffix(".exposed.tflite"), stored["image"])
    found.update(run(case.with_suffix(".tflite"), stored["image"]))
    counts: dict[str, Any] = {"case": case.stem, "values": 0, "mismatches": 0, "where": []}
    for index, name in enumerate(names):
        if name not in found:
            continue
        expected = stored[f"value{index}"]
        wrong = int((expected != found[name]).sum())
        counts["values"] += expected.size
        counts["mismatches"] += wrong
        counts["where"] += [name] * bool(wrong)
    return counts


if __name__ == "__main__":
    for case in sorted(Path(sys.argv[1]).glob("*.npz")):
        print(json.dumps(compare(case)), flush=True)
