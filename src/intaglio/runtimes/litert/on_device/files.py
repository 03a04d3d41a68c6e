"""The runner of a detector and what it needs, as files of a result."""

from __future__ import annotations

import io
import zipfile
from importlib import resources

from intaglio.host.files import RESULT_FILES

RUNNER, BOXES = "detect.py", "boxes.zip"
RESULT_FILES.register(RUNNER)("runs the detector on a device, with NumPy and LiteRT alone")
RESULT_FILES.register(BOXES)("what that needs: how boxes come of outputs")
OWN, COPIED = "intaglio.boxes", "intaglio_boxes"
"""A device may have intaglio as well: the copy has a name of its own."""
DATE = (1980, 1, 1, 0, 0, 0)
"""Of each file in the archive: the same result has the same bytes."""


def device_files() -> dict[str, bytes]:
    """Return the runner and the archive of `intaglio.boxes`, by their names."""
    runner = resources.files("intaglio.runtimes.litert.on_device").joinpath(RUNNER)
    return {RUNNER: _renamed(runner.read_text(encoding="utf-8")), BOXES: _boxes()}


def _boxes() -> bytes:
    held = io.BytesIO()
    folder = resources.files(OWN)
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".py"))
    with zipfile.ZipFile(held, "w") as archive:
        for name in names:
            entry = zipfile.ZipInfo(f"{COPIED}/{name}", DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, _renamed(folder.joinpath(name).read_text(encoding="utf-8")))
    return held.getvalue()


def _renamed(text: str) -> bytes:
    return text.replace(OWN, COPIED).encode("utf-8")
