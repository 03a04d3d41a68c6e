"""A named table that other files add entries to: calibrators, op tables, targets, recipes."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from intaglio.complaint import LONGEST, printable
from intaglio.errors import UnknownName

T = TypeVar("T")


class Registry(Generic[T]):
    """A mapping from name to entry that refuses double entries and explains unknown names."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files its argument under `name`."""

        def add(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} '{name}' is registered twice")
            self._entries[name] = entry
            return entry

        return add

    def __getitem__(self, name: str) -> T:
        """Return the entry; raise UnknownName with the nearest names when there is none."""
        if name not in self._entries:
            said = printable(name[:LONGEST])  # it may come from a file
            near = difflib.get_close_matches(said, self._entries, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(self)}"
            raise UnknownName(f"unknown {self.kind} '{said}': {hint}")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))
