"""What the machine's processor is called."""

from __future__ import annotations

import platform
from contextlib import suppress
from pathlib import Path

_FACTS = Path("/proc/cpuinfo")


def processor_name() -> str:
    """Return the processor as its maker calls it, else its architecture."""
    with suppress(OSError):
        for line in _FACTS.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()
