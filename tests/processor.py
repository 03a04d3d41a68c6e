"""On which processor the tests run, which kernels they are given, and how to choose others.

Variables of the tests, beside torch's ATEN_CPU_CAPABILITY and ONEDNN_MAX_CPU_ISA:

    INTAGLIO_TEST_CPU      Haswell or Nehalem: LiteRT runs on that processor, emulated (emulated.py)
    INTAGLIO_TEST_KERNELS  other: float kernels whose last bits vary (other_kernels.py)
    INTAGLIO_TEST_CASES    N: one in N of the random networks of each op (run/integer/harness.py)
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch
from ai_edge_litert import interpreter as litert

import emulated
import other_kernels

VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "OMP_NUM_THREADS",
    "INTAGLIO_TEST_CPU",
    "INTAGLIO_TEST_CASES",
    "INTAGLIO_TEST_KERNELS",
)
FLAGS = ("avx2", "avx512f", "avx512_vnni", "amx_int8")


def prepare() -> None:
    """Replace what the variables ask to be replaced; before anything imports it.

    Raises:
        RuntimeError: If the emulator is not installed.
    """
    if "INTAGLIO_TEST_CPU" in os.environ:
        emulated.command(os.environ["INTAGLIO_TEST_CPU"])
        litert.Interpreter = emulated.Interpreter
    if os.environ.get("INTAGLIO_TEST_KERNELS") == "other":
        other_kernels.use_other_kernels()


def description() -> list[str]:
    """Return lines that name the processor, torch's kernels, and the variables that are set."""
    flags = cpu_info("flags").split()
    has = " ".join(f"{flag}={'yes' if flag in flags else 'no'}" for flag in FLAGS)
    told = [f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ]
    name = cpu_info("model name") or platform.processor() or platform.machine()
    lines = [
        f"processor: {name} ({has})",
        f"kernels: torch {torch.backends.cpu.get_cpu_capability()}; {' '.join(told) or 'defaults'}",
    ]
    if "INTAGLIO_TEST_CPU" in os.environ:
        lines.append(
            f"LiteRT: emulated {os.environ['INTAGLIO_TEST_CPU']}"
            f" ({emulated.emulated().ask('features')})"
        )
    return lines


def cpu_info(key: str) -> str:
    """Return what Linux says of the first processor; "" where it says nothing."""
    path = Path("/proc/cpuinfo")
    for line in path.read_text().splitlines() if path.exists() else ():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""
