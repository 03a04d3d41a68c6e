"""Tar files that the tests of shards share."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from data.generated_images import jpeg_bytes


def tar_bytes(members: Mapping[str, bytes], *, kind: int = tarfile.GNU_FORMAT) -> bytes:
    """Return a whole tar file with these members, the blocks of its end included."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as archive:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return buffer.getvalue()


def samples(first: int, count: int) -> dict[str, bytes]:
    """Return members of `count` samples: image number i of class i, as tools write them."""
    return {
        f"n/{number:04d}.{ending}": content
        for number in range(first, first + count)
        for ending, content in (("cls", b"%d" % number), ("jpg", jpeg_bytes(number)))
    }


def write_shard(path: Path, members: Mapping[str, bytes], *, kept: int | None = None) -> Path:
    """Write a shard, or its first bytes alone, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tar_bytes(members)[:kept])
    return path
