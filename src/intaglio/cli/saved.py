"""What `evaluate` and `check` are given: a saved result, or a runtime's file by itself."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from intaglio.cli.failures import tell_note
from intaglio.data.preprocess import Preprocess, described_text, parse_preprocess
from intaglio.errors import RequestError
from intaglio.host.files import MARK, require_plain_file
from intaglio.job.result import Result, load
from intaglio.runtimes import DEFAULT_TARGET, TARGETS
from intaglio.targets.runtime import About, Runner
from intaglio.targets.target import Target

LARGEST_BYTES = 2**31 - 1
TWIN_ALONE = "the twin (a simulated scheme, of which there is no file)"


@dataclass(frozen=True)
class SavedFile:
    """A file as it lies on the disk.

    Attributes:
        path: Of the file itself.
        files: Its bytes, by the name that its runtime has for it; none where the scheme is
            simulated, and `path` is then the result's folder.
        target: Whose file it is.
        about: What it says of itself.
        result: The result that it belongs to; None for a file on its own.
    """

    path: Path
    files: dict[str, bytes]
    target: Target
    about: About
    result: Result | None

    def preprocess(self, text: str | None) -> Preprocess:
        """Return what is done to its images: what the file says, and `text` (--preprocess) over it.

        Raises:
            RequestError: If neither says anything.
        """
        stored = self.about.preprocess
        if text is not None:
            return parse_preprocess(text, stored or Preprocess())
        if stored is None:
            raise RequestError(
                f"{self.path}: nothing in it tells how its images are prepared: give --preprocess,"
                " e.g. resize=256,crop=224,mean=0.5,std=0.5"
            )
        return stored

    @property
    def runs_on(self) -> str:
        """What runs it."""
        return self.target.runtime if self.files else TWIN_ALONE

    @contextmanager
    def opened(self) -> Iterator[Runner]:
        """Give what runs it: its runtime; the twin where there is no file.

        Raises:
            RequestError: If the runtime cannot load it.
        """
        if self.files:
            with self.target.open(self.files, where=str(self.path)) as network:
                yield network
            return
        assert self.result is not None, "what has no file has a twin"
        yield TwinRunner(self.result)


@dataclass(frozen=True, eq=False)
class TwinRunner:
    """The twin of a result, as if it were opened files."""

    result: Result

    @property
    def input_shape(self) -> tuple[int, ...]:
        """What it takes, (1, C, H, W)."""
        graph = self.result.graph
        return (1, *graph[graph.inputs[0]].shape[1:])

    @property
    def output_shapes(self) -> tuple[tuple[int, ...], ...]:
        """What it gives for one image."""
        graph = self.result.graph
        return tuple((1, *graph[name].shape[1:]) for name in graph.outputs)

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Return the outputs for images [N, C, H, W], real numbers."""
        return list(self.result.twin.outputs(images))


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


def open_saved(text: str, target: str | None = None) -> SavedFile:
    """Return the file that the command line names by a result's folder, or by itself.

    Args:
        target: Name of the target whose file it is taken for; None: the result's, or the first
            whose files end so.

    Raises:
        RequestError: If there is none, or it or the result is damaged.
    """
    path = Path(text)
    if path.is_dir():
        whole = load_told(path)
        if not whole.files:
            return _without_file(path, target, whole)
        return _saved(path / whole.target.file_name, whole.content, target, whole)
    if path.suffix.lower() not in _endings():
        raise RequestError(
            f"{text} is neither the folder of a result nor a {' or '.join(_endings())} file: give"
            " one of them"
        )
    content = _read(path)
    result = load_told(path.parent) if (path.parent / MARK).is_file() else None
    return _saved(path, content, target, result)


def _saved(path: Path, content: bytes, target: str | None, result: Result | None) -> SavedFile:
    if target is not None:
        chosen = TARGETS[target]
    else:
        chosen = result.target if result else TARGETS[_endings()[path.suffix.lower()]]
    files = {chosen.file_name: content}
    return SavedFile(path, files, chosen, chosen.about(files, where=str(path)), result)


def _without_file(path: Path, target: str | None, result: Result) -> SavedFile:
    """Return the result of a simulated scheme."""
    if target not in (None, result.target.name):
        raise RequestError(
            f"{path} is of target {result.target.name} and has no file that '{target}' could run:"
            " leave --target out"
        )
    said = result.report.preprocess
    preprocess = parse_preprocess(described_text(said), Preprocess()) if said else None
    about = About(preprocess, scheme=result.recipe.scheme or "", model=result.report.model)
    return SavedFile(path, {}, result.target, about, result)


def _endings() -> dict[str, str]:
    """Return how networks' files end, each with the name of the target that is then taken."""
    found: dict[str, str] = {}
    for name in (DEFAULT_TARGET, *TARGETS):
        found.setdefault(Path(TARGETS[name].file_name).suffix, name)
    return found


def _read(path: Path) -> bytes:
    """Return the bytes of a plain file; a pipe or a device is not waited for."""
    try:
        require_plain_file(path, LARGEST_BYTES)
        return path.read_bytes()
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RequestError(f"{path}: cannot be read: {error}") from error
