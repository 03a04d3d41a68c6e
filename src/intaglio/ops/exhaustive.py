"""Whether a table of ops is complete: each op stands in it, or is refused there with a reason.

Every table that is keyed by op is held to this by a test, and so can those of a runtime that comes
from elsewhere: an op that was added in one place only is then found, table by table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from intaglio.ops import OPS

EXCUSES = ("not yet", "todo", "to do", "tbd", "fixme", "later", "for now", "not implemented")
FEWEST_WORDS = 3
"""A reason says why; one or two words only say that it is so."""


def missing(table: str, known_ops: Iterable[str], refused: Mapping[str, str]) -> list[str]:
    """Return what is wrong with a table, a sentence each; an empty list where nothing is.

    Args:
        table: What it is called in the sentences.
        known_ops: The ops that stand in it.
        refused: Op to the reason why it does not, in words.
    """
    known = set(known_ops)
    found = [
        f"{table}: '{op}' is missing; add it, or refuse it with a reason"
        for op in OPS
        if op not in known and op not in refused
    ]
    found += [f"{table}: '{op}' is refused, and is there" for op in sorted(known & set(refused))]
    found += [f"{table}: '{op}' is no op" for op in sorted(known | set(refused)) if op not in OPS]
    found += [
        f"{table}: '{op}' is refused without a reason ('{reason}')"
        for op, reason in refused.items()
        if not _is_reason(reason)
    ]
    return found


def _is_reason(text: str) -> bool:
    words = " ".join(text.lower().split())
    return len(words.split()) >= FEWEST_WORDS and not any(excuse in words for excuse in EXCUSES)
