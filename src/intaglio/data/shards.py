"""WebDataset tar shards as a data set: one image and, mostly, one class index for each sample.

Source: the WebDataset format, https://github.com/webdataset/webdataset. Members of a shard whose
paths are the same up to the first dot of the base name are one sample (`n01/17.jpg`, `n01/17.cls`).
Its image is the member that ends as images do (decode.IMAGE_ENDINGS), its label `cls`, a class
index as text. Other members are not looked at, nor are those whose base name begins with a dot.

How we differ: the package of that name reads shards from front to back and mixes what it has read
of late. Here the headers are read once, into an index of where each image lies, and an image is
read from there when its turn comes. So any order is possible, and training goes on in the middle of
an epoch exactly; an incomplete shard is known before training begins; no package is needed. Only
uncompressed shards on a file system can be read so.

A shard that is empty, cut off or damaged does not end the run: what is whole of it is used, and
`Dataset.notes` says what is not. Shards come from outside: no member is extracted or followed.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from intaglio.data.dataset import Dataset, Item
from intaglio.data.decode import IMAGE_ENDINGS
from intaglio.data.guard import refuse_if_forbidden
from intaglio.data.table import LARGEST_CLASS_INDEX
from intaglio.data.tar import BrokenTar, Member, whole_members
from intaglio.errors import DataError

LARGEST_IMAGE_BYTES = 2**29
"""No image file of as many pixels as are decoded is larger."""
_LONGEST_LABEL = 32
_COMPRESSED = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"(\xb5/\xfd", "zstd"),
)


@dataclass(frozen=True, slots=True)
class _MemberSource:
    """The bytes of one member of a shard."""

    shard: str
    member: str
    offset: int
    size: int

    def open(self) -> IO[bytes]:
        """Return the bytes as a file."""
        refuse_if_forbidden(str(self))
        if self.size > LARGEST_IMAGE_BYTES:
            raise OSError(f"{self.size} bytes are more than an image has")
        with open(self.shard, "rb") as file:
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) != self.size:
            raise OSError("the shard has become shorter since it was opened")
        return io.BytesIO(content)

    def __str__(self) -> str:
        return f"{self.shard} {self.member}"


@dataclass(slots=True)
class _Sample:
    """What was found of one sample so far."""

    image: Member | None = None
    label: int | None = None


@dataclass
class _Shard:
    """What was found in one shard.

    Attributes:
        path: Where it is.
        samples: By the path up to the first dot.
        broken: What happens after the whole samples; empty where nothing does.
        links: Members that stand for other files.
    """

    path: Path
    samples: dict[str, _Sample] = field(default_factory=dict)
    broken: str = ""
    links: int = 0


def open_shards(path: Path, shards: Sequence[Path]) -> Dataset:
    """Return the images of tar shards, shard by shard, each in its own order.

    Args:
        path: What the user named: a shard, a folder of shards, a pattern.
        shards: The shards, at least one.

    Raises:
        DataError: If a shard is missing, cannot be read or is compressed, if a label is no class
            index, if a sample has two images, if only some samples have labels, or if there is
            nothing to use in any shard.
    """
    found = [_index(shard) for shard in shards]
    labelled = any(
        sample.label is not None
        for shard in found
        for sample in shard.samples.values()
        if sample.image is not None
    )
    are_unique = len({shard.name for shard in shards}) == len(shards)
    items: list[Item] = []
    notes: list[str] = []
    for shard in found:
        name = shard.path.name if are_unique else str(shard.path)
        added = _items(shard, name, labelled=labelled)
        items += added
        notes += _notes(shard, name, len(added))
    if not items:
        raise DataError(
            f"{path}: no sample to use in {_counted(len(found), 'shard')} ({'; '.join(notes[:3])});"
            f" a sample is an image such as a.jpg and, where there are labels, a.cls"
        )
    return Dataset(path.resolve().name if path.is_dir() else path.name, path, items, tuple(notes))


def _items(shard: _Shard, name: str, *, labelled: bool) -> list[Item]:
    """Return the whole samples; where a shard is broken, the label may be in the missing part."""
    items = []
    for key, sample in shard.samples.items():
        image = sample.image
        if image is None or (labelled and shard.broken and sample.label is None):
            continue
        if labelled and sample.label is None:
            raise DataError(
                f"{shard.path}: sample '{key}' has no label (no '{key}.cls'), but others have one;"
                f" give all samples a label, or none"
            )
        source = _MemberSource(str(shard.path), image.name, image.offset, image.size)
        items.append(Item(f"{name} {image.name}", sample.label, source))
    return items


def _notes(shard: _Shard, name: str, count: int) -> list[str]:
    notes = []
    if shard.broken:
        notes.append(f"{name}: {shard.broken} after {_counted(count, 'sample')}")
    elif not shard.samples:
        notes.append(f"{name}: empty, there is no sample in it")
    lacking = [key for key, sample in shard.samples.items() if sample.image is None]
    if lacking:
        is_last = shard.broken and lacking == [next(reversed(shard.samples))]
        if not is_last:  # the image of the last one is in the part that is cut off
            notes.append(
                f"{name}: {_counted(len(lacking), 'sample')} without an image, which end with"
                f" {' '.join(IMAGE_ENDINGS)}; the first is '{lacking[0]}'"
            )
    if shard.links:
        notes.append(f"{name}: {_counted(shard.links, 'link')} not followed")
    return notes


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _index(path: Path) -> _Shard:
    shard = _Shard(path)
    try:
        if not path.is_file():
            raise DataError(f"{path}: no such file (looked from {Path.cwd()})")
        with path.open("rb") as file:
            _refuse_compressed(path, file.read(8))
            for member in whole_members(file):
                _add(shard, member, file)
    except BrokenTar as broken:
        shard.broken = str(broken)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    return shard


def _refuse_compressed(path: Path, signature: bytes) -> None:
    for start, kind in _COMPRESSED:
        if signature.startswith(start):
            raise compressed(path, kind)


def compressed(path: Path, kind: str) -> DataError:
    """Return the error for a shard that was compressed."""
    return DataError(
        f"{path}: a tar file compressed with {kind} cannot be read in any order; decompress it to"
        f" a .tar (image files in it are compressed themselves, so it grows little)"
    )


def _add(shard: _Shard, member: Member, file: IO[bytes]) -> None:
    folder, slash, base = member.name.rpartition("/")
    stem, dot, ending = base.partition(".")
    if not stem or not dot:
        return
    if not member.is_file:
        shard.links += member.is_link
        return
    key = folder + slash + stem
    sample = shard.samples.setdefault(key, _Sample())
    if f".{ending.lower()}" in IMAGE_ENDINGS:
        if sample.image is not None:
            raise DataError(
                f"{shard.path}: sample '{key}' has two images, '{sample.image.name}' and"
                f" '{member.name}'; leave one in it"
            )
        sample.image = member
    elif ending == "cls":
        if sample.label is not None:
            raise DataError(f"{shard.path}: sample '{key}' has two labels '{member.name}'")
        sample.label = _class_index(shard.path, member, file)


def _class_index(path: Path, member: Member, file: IO[bytes]) -> int:
    file.seek(member.offset)
    text = file.read(min(member.size, _LONGEST_LABEL + 1)).strip()
    if not text.isdigit() or len(text) > _LONGEST_LABEL or int(text) > LARGEST_CLASS_INDEX:
        shown = text[:_LONGEST_LABEL].decode("utf-8", "backslashreplace")
        raise DataError(
            f"{path}: '{member.name}' holds '{shown}', not a class index: a whole number from 0 as"
            f" text"
        )
    return int(text)
