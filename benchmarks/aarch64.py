"""The same files on an emulated 64-bit ARM processor: every value against the twin.

    python -m benchmarks.aarch64 FOLDER

FOLDER keeps what is set up once (an arm64 Debian, the arm64 wheels of LiteRT and numpy; half a
gigabyte, a minute). Needs root, debootstrap and qemu-user. Emulated time says nothing about a real
processor, the bits do. A Cortex-A53 and an A72 have no dot products, an A76 has them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import intaglio
from benchmarks.aarch64_networks import networks
from benchmarks.places import REPOSITORY, write_result
from intaglio.ir.graph import Node
from intaglio.run.twin import Twin
from intaglio.runtimes.litert.format.layout import to_file
from intaglio.runtimes.litert.interpreter.exposed import expose_tensors

SUITE, PYTHON = "bookworm", "311"
PACKAGES = "python3,libpython3.11,libstdc++6,libgomp1,libatomic1"
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")
WHEELS = ("ai-edge-litert", "numpy", "flatbuffers")
EMULATORS = ("qemu-aarch64-static", "qemu-aarch64")
PROCESSORS = ("cortex-a53", "cortex-a72", "cortex-a76")
PROC_CPUINFO = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3
"""
"""A Raspberry Pi 4: without it the runtime asks the emulating machine and crashes."""


def main() -> None:
    """Set up, write the cases, run them emulated, write benchmarks/results/aarch64.json."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.aarch64 FOLDER")
    folder = Path(sys.argv[1]).resolve()
    set_up(folder)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        write_cases(Path(place))
        counts = {name: emulate(folder, Path(place), name) for name in PROCESSORS}
    write_result("aarch64", "python -m benchmarks.aarch64 FOLDER", rows_of(counts))


def rows_of(counts: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return a row a kind: files, values of each processor, mismatches by processor."""
    rows: dict[str, dict[str, Any]] = {}
    for processor, cases in counts.items():
        for case in cases:
            kind = case["case"].rsplit("-", 1)[0]
            empty = {"kind": kind, "files": 0, "values": 0, **dict.fromkeys(PROCESSORS, 0)}
            row = rows.setdefault(kind, empty)
            row[processor] += case["mismatches"]
            if processor == PROCESSORS[0]:
                row["files"] += 1
                row["values"] += case["values"]
    return list(rows.values())


def set_up(folder: Path) -> None:
    """Make an arm64 root with Python in FOLDER/root, and the wheels in FOLDER/site; once."""
    root, site = folder / "root", folder / "site"
    if not (root / "usr/bin/python3.11").exists():
        for tool in ("debootstrap", "dpkg-deb"):
            if shutil.which(tool) is None:
                sys.exit(f"{tool} is missing: apt-get install debootstrap")
        command = ["debootstrap", "--foreign", "--arch=arm64", "--variant=minbase"]
        subprocess.run([*command, f"--include={PACKAGES}", SUITE, str(root)], check=True)
        for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True)
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc/cpuinfo").write_text(PROC_CPUINFO)
    if not site.exists():
        with tempfile.TemporaryDirectory(dir=folder) as place:
            _download_wheels(Path(place))
            for wheel in sorted(Path(place).glob("*.whl")):
                zipfile.ZipFile(wheel).extractall(site)


def _download_wheels(place: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(place)]
    command += ["--only-binary=:all:", "--python-version", PYTHON]
    command += [part for platform in PLATFORMS for part in ("--platform", platform)]
    wanted = [f"{name}=={metadata.version(name)}" for name in WHEELS]
    subprocess.run([*command, *wanted], check=True)


def emulate(folder: Path, cases: Path, processor: str) -> list[dict[str, Any]]:
    """Return what aarch64_runner.py counted on a processor."""
    emulator = next((name for name in EMULATORS if shutil.which(name)), None)
    if emulator is None:
        sys.exit(f"{EMULATORS[0]} is missing: apt-get install qemu-user-static")
    root, runner = folder / "root", REPOSITORY / "benchmarks" / "aarch64_runner.py"
    command = [emulator, "-cpu", processor, "-L", str(root), "-E", f"PYTHONPATH={folder / 'site'}"]
    command += ["-E", f"PYTHONHOME={root / 'usr'}", str(root / "usr/bin/python3.11")]
    command += [str(runner), str(cases)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def write_cases(place: Path) -> None:
    """Write every network as a file, and what its twin computes for one image."""
    for name, module, images in networks():
        result = intaglio.compress(module, images[:1], data=images, recipe="plain")
        write_case(place / name, result.content, result.twin, images[-1:])


def write_case(path: Path, content: bytes, twin: Twin, image: Tensor) -> None:
    """Write PATH.tflite, PATH.exposed.tflite, and PATH.npz with the image and every value."""
    values: dict[str, Any] = {}

    def tap(node: Node, value: Tensor) -> None:
        if node.name in twin.encodings.activations and node.op != "constant":
            values[node.name] = to_file(twin.raw(node.name, value)).astype(np.int8)

    twin.run(image, tap)
    outputs = twin(image)
    for name, output in zip(
        twin.graph.outputs, outputs if isinstance(outputs, tuple) else (outputs,), strict=True
    ):
        values[f"{name}.float"] = to_file(output)
    path.with_suffix(".tflite").write_bytes(content)
    path.with_suffix(".exposed.tflite").write_bytes(expose_tensors(content))
    arrays = {f"value{index}": value for index, value in enumerate(values.values())}
    names = np.asarray(json.dumps(list(values)))
    np.savez(path.with_suffix(".npz"), image=to_file(image), names=names, **arrays)


if __name__ == "__main__":
    main()
