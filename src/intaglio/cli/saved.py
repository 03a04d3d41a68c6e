"""What `evaluate` and `check` are given: a saved result, or a .tflite file."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from intaglio.cli.failures import tell_note
from intaglio.data.preprocess import Preprocess, parse_preprocess
from intaglio.errors import RequestError
from intaglio.host.files import MARK
from intaglio.job.result import FILE_NAME, Result, load
from intaglio.runtimes.litert.file.network import stored_preprocess
from intaglio.runtimes.litert.format.verify import LARGEST_BYTES, verify

FILE_ENDING = ".tflite"


@dataclass(frozen=True)
class SavedFile:
    """A file as it lies on the disk.

    Attributes:
        path: Of the file itself.
        content: Its bytes, which `verify` has passed.
        result: The result that it belongs to; None for a file on its own.
    """

    path: Path
    content: bytes
    result: Result | None

    def preprocess(self, text: str | None) -> Preprocess:
        """Return what is done to its images: what the file says, and `text` (--preprocess) over it.

        Raises:
            RequestError: If neither says anything.
        """
        stored = stored_preprocess(self.content, str(self.path))
        if text is not None:
            return parse_preprocess(text, stored or Preprocess())
        if stored is None:
            raise RequestError(
                f"{self.path}: nothing in it tells how its images are prepared: give --preprocess,"
                " e.g. resize=256,crop=224,mean=0.5,std=0.5"
            )
        return stored


def load_told(folder: Path) -> Result:
    """Return a saved result; what `load` warns of is told on standard error.

    Raises:
        RequestError: If it is none, or damaged.
    """
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        result = load(folder)
    for warning in found:
        tell_note(f"warning: {warning.message}")
    return result


def open_saved(text: str) -> SavedFile:
    """Return the file that the command line names by a result's folder, or by itself.

    Raises:
        RequestError: If there is none, or it or the result is damaged.
    """
    path = Path(text)
    if path.is_dir():
        whole = load_told(path)
        verify(whole.content, str(path / FILE_NAME))
        return SavedFile(path / FILE_NAME, whole.content, whole)
    if path.suffix.lower() != FILE_ENDING:
        raise RequestError(
            f"{text} is neither the folder of a result nor a {FILE_ENDING} file: give one of them"
        )
    content = _read(path)
    verify(content, text)
    result = load_told(path.parent) if (path.parent / MARK).is_file() else None
    return SavedFile(path, content, result)


def _read(path: Path) -> bytes:
    """Return the bytes of a plain file; a pipe or a device is not waited for."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise RequestError(f"{path}: is no file: give one")
        if size > LARGEST_BYTES:
            raise RequestError(f"{path}: has {size} bytes: the limit is {LARGEST_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror}") from error
