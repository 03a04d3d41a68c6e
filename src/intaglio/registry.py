"""A named table that other files add entries to: calibrators, op tables, targets, recipes.

Some tables take entries of other packages as well, by an entry point of the package:

    [project.entry-points."intaglio.readers"]
    tiny = "their_package.tiny_reader"

Its name is the entry's name. Its value is a module (or an object in one), and importing that module
registers the entry under this name, as ours do; what the value itself is does not matter.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from intaglio.errors import RequestError, UnknownName, cause

T = TypeVar("T")

LONGEST = 80
"""Letters of an unknown name in a message."""
HERE = "intaglio or your own code"
"""Who registered what no package's entry point did."""


class Registry(Generic[T]):
    """A mapping from name to entry that refuses double entries and explains unknown names.

    With a group, packages that are installed add entries to it. Nothing of them is imported with
    intaglio: only when a name is asked for that is not here yet, or when the table is gone through.
    Each is imported once. A package that fails is an error for who asks for its name; who goes
    through the table is warned of it, and it is left out.
    """

    def __init__(self, kind: str, group: str | None = None) -> None:
        """Make an empty table.

        Args:
            kind: What an entry is, for messages.
            group: The group of entry points that add to it; None: no package does.
        """
        self.kind = kind
        self.group = group
        self._entries: dict[str, T] = {}
        self._origins: dict[str, str] = {}
        self._failures: dict[EntryPoint, RequestError | None] = {}
        self._importing = HERE

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files its argument under `name`.

        Raises:
            ValueError: If the name is taken; says by whom, where a package is involved.
        """

        def add(entry: T) -> T:
            """File the entry, with the package that adds it; return it."""
            if name in self._entries:
                sides = (self._origins[name], self._importing)
                by = "" if sides == (HERE, HERE) else f": by {sides[0]}, then by {sides[1]}"
                raise ValueError(f"{self.kind} '{name}' is registered twice{by}")
            self._entries[name], self._origins[name] = entry, self._importing
            return entry

        return add

    def __getitem__(self, name: str) -> T:
        """Return the entry.

        Raises:
            UnknownName: If there is none; offers the nearest names.
            RequestError: If the package that should add it fails, or several would.
        """
        if name not in self._entries:
            offers = self._offers()
            for offer in offers:
                if offer.name == name:
                    self._import(offer, offers)
            if name not in self._entries:
                raise self._unknown(name, {*self._entries, *(offer.name for offer in offers)})
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        """Whether it is an entry, or a package says that it adds one of this name."""
        return name in self._entries or any(offer.name == name for offer in self._offers())

    def __iter__(self) -> Iterator[str]:
        """Return the names in order, those of packages among them."""
        offers = self._offers()
        for offer in offers:
            try:
                self._import(offer, offers)
            except RequestError as error:
                warnings.warn(f"left out: {error}", stacklevel=2)
        return iter(sorted(self._entries))

    def _unknown(self, name: str, known: set[str]) -> UnknownName:
        said = name[:LONGEST]  # it may come from a file
        near = difflib.get_close_matches(said, sorted(known), n=3)
        known_text = ", ".join(sorted(known))
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {known_text}"
        return UnknownName(f"unknown {self.kind} '{said}': {hint}")

    def _offers(self) -> list[EntryPoint]:
        """Return what packages add; asked anew each time, for the path of imports may change."""
        return [] if self.group is None else list(entry_points(group=self.group))

    def _import(self, offer: EntryPoint, offers: list[EntryPoint]) -> None:
        """Let a package add its entry; what came of it the first time holds.

        Raises:
            RequestError: If it fails, or another package adds the same name.
        """
        rivals = [f"'{_package(other)}'" for other in offers if other.name == offer.name]
        if len(rivals) > 1:
            raise RequestError(
                f"{self.kind} '{offer.name}' is registered twice: by the packages"
                f" {' and '.join(rivals)}: uninstall one of them"
            )
        if offer not in self._failures:
            self._failures[offer] = None  # it may ask for itself while it is imported
            self._failures[offer] = self._failure(offer)
        failure = self._failures[offer]
        if failure is not None:
            raise failure

    def _failure(self, offer: EntryPoint) -> RequestError | None:
        """Import what an entry point leads to; return what is wrong with it."""
        was_here, outer = offer.name in self._entries, self._importing
        self._importing = f"the package '{_package(offer)}'"
        why: Exception | None = None
        try:
            offer.load()
        except Exception as error:  # a stranger's module may raise anything while it is imported
            why = error
        finally:
            self._importing = outer
        if why is None and offer.name in self._entries:
            return None
        if not was_here:
            self._entries.pop(offer.name, None)  # of a module that failed further down
        reason = "importing it does not register that name" if why is None else cause(why)
        failure = RequestError(
            f"{self.kind} '{offer.name}' of the package '{_package(offer)}' cannot be used (entry"
            f" point {offer.name} = {offer.value} of {self.group}: {reason}): repair the package or"
            " uninstall it"
        )
        failure.__cause__ = why
        return failure


def _package(offer: EntryPoint) -> str:
    """Return the name and version of the package that an entry point is from."""
    return "unknown" if offer.dist is None else f"{offer.dist.name} {offer.dist.version}"
