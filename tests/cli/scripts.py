"""The script that writes the names of what there is, as a module."""

from __future__ import annotations

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent.parent.parent / "docs" / "make_names.py"
SPEC = importlib.util.spec_from_file_location("make_names", SCRIPT)
assert SPEC is not None
assert SPEC.loader is not None
make_names = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make_names)
