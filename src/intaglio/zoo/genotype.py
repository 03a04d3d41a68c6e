"""Genotypes: which operations the cells of a searched network are made of, as data and as text.

    normal: c0 = sep5(h0) + sep3(h1); c1 = avg3(h1) + h0; keep h1 c0 c1
    reduction: c0 = sep5(h0) + max3(h1); keep c0

h0 is what the cell before hands on, h1 what the one before that did; c0, c1, ... are sums of two
branches. A branch reads a state that exists already: `sep5` is two separable 5x5 convolutions,
`avg3` and `max3` are 3x3 pools, a bare state is itself. What is kept is the cell's output, side by
side in this order. Without a reduction the normal cell, its strides 2, stands in for it.

Sources: Zoph et al. 2018, arXiv:1707.07012 (figure 4: NASNet-A); Liu et al. 2018, arXiv:1712.00559
(figure 1: PNASNet-5). The text is ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from intaglio.errors import RequestError

ENTERING = ("h0", "h1")
OPERATIONS = ("sep", "avg", "max")
IDENTITY = "identity"
LARGEST_KERNEL = 31
LONGEST_TEXT = 20_000

_BRANCH = re.compile(r"(?:(?P<operation>[a-z]+)(?P<size>\d{1,3})\((?P<read>\w+)\)|(?P<bare>\w+))")
_SECTIONS = re.compile(
    r"\s*normal\s*:(?P<normal>[^:]*?)(?:\s*\breduction\s*:(?P<reduction>[^:]*))?"
)


@dataclass(frozen=True)
class Branch:
    """One operation on one state of a cell.

    Attributes:
        state: What it reads: "h0", "h1", "c0", "c1", ...
        operation: "sep", "avg", "max" or "identity".
        kernel_size: Height and width of its window, odd, in pixels; 1 of an identity.
    """

    state: str
    operation: str = IDENTITY
    kernel_size: int = 1

    def __post_init__(self) -> None:
        """Raise RequestError for an operation or a window that there is not."""
        if self.operation == IDENTITY and self.kernel_size == 1:
            return
        odd = self.kernel_size % 2 == 1 and 3 <= self.kernel_size <= LARGEST_KERNEL
        if self.operation not in OPERATIONS or not odd:
            raise RequestError(
                f"genotype: there is no {self.operation}{self.kernel_size}: use one of"
                f" {', '.join(OPERATIONS)} and an odd size from 3 to {LARGEST_KERNEL}, as in sep5"
            )

    @classmethod
    def parse(cls, text: str) -> Branch:
        """Return the branch of a text such as "sep5(h0)" or "h0".

        Raises:
            RequestError: If it is none.
        """
        match = _BRANCH.fullmatch(text)
        if match is None:
            raise RequestError(
                f"genotype: {text!r} is no branch: write sep, avg or max, a size and a state in"
                " brackets, as in sep5(h0), or a state alone"
            )
        if match["bare"]:
            return cls(match["bare"])
        return cls(match["read"], match["operation"], int(match["size"]))

    def __str__(self) -> str:
        """Return the text that parses to this branch."""
        if self.operation == IDENTITY:
            return self.state
        return f"{self.operation}{self.kernel_size}({self.state})"


@dataclass(frozen=True)
class CellPlan:
    """One cell.

    Attributes:
        sums: The two branches of c0, c1, ...
        kept: States whose channels are the output, in this order.
    """

    sums: tuple[tuple[Branch, Branch], ...]
    kept: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raise RequestError for a state that there is not, that is of no use, or kept twice."""
        states = list(ENTERING)
        for index, pair in enumerate(self.sums):
            for branch in pair:
                if branch.state not in states:
                    raise RequestError(
                        f"genotype: c{index} reads {branch.state!r}, which is not there yet: it can"
                        f" read {', '.join(states)}"
                    )
            states.append(f"c{index}")
        self._check_kept(states)

    def _check_kept(self, states: list[str]) -> None:
        for state in self.kept:
            if state not in states:
                raise RequestError(
                    f"genotype: {state!r} cannot be kept: there are {', '.join(states)}"
                )
        if not self.kept or len(set(self.kept)) != len(self.kept):
            raise RequestError(
                "genotype: keep at least one state, each once, as in keep c0 c1; got"
                f" {' '.join(self.kept) or 'none'}"
            )
        used = {branch.state for pair in self.sums for branch in pair} | set(self.kept)
        idle = [state for state in states[2:] if state not in used]
        if idle:
            raise RequestError(
                f"genotype: nothing reads or keeps {', '.join(idle)}: keep it or leave it out"
            )

    @classmethod
    def parse(cls, text: str) -> CellPlan:
        """Return the cell of a text such as "c0 = sep3(h0) + h1; keep c0".

        Raises:
            RequestError: If it is none, naming the statement that is wrong.
        """
        *sums, last = (statement.strip() for statement in text.strip().split(";"))
        keyword, *kept = last.split() or [""]
        if keyword != "keep":
            raise RequestError(
                f"genotype: a cell ends with what it keeps, as in keep c0 c1; got {last!r}"
            )
        return cls(
            tuple(_sum(index, statement) for index, statement in enumerate(sums)), tuple(kept)
        )

    def __str__(self) -> str:
        """Return the text that parses to this cell."""
        sums = (f"c{index} = {left} + {right}" for index, (left, right) in enumerate(self.sums))
        return "; ".join([*sums, f"keep {' '.join(self.kept)}"])


@dataclass(frozen=True)
class Genotype:
    """The cells of a network.

    Attributes:
        normal: The cell that keeps height and width.
        reduction: The one that halves them; None: the normal one, with stride 2.
    """

    normal: CellPlan
    reduction: CellPlan | None = None

    @property
    def reducing(self) -> CellPlan:
        """The cell that is built where height and width are halved."""
        return self.reduction or self.normal

    @classmethod
    def parse(cls, text: str) -> Genotype:
        """Return the genotype that a text spells; spaces and line breaks do not count.

        Raises:
            RequestError: If the text is none, naming the statement that is wrong.
        """
        if not isinstance(text, str) or len(text) > LONGEST_TEXT:
            raise RequestError(f"genotype: a text of at most {LONGEST_TEXT} letters is wanted")
        match = _SECTIONS.fullmatch(text)
        if match is None:
            raise RequestError(
                f"genotype: cannot read {text[:80]!r}: write normal: and a cell, then, if there is"
                " one, reduction: and another, as in normal: c0 = sep3(h0) + h1; keep c0"
            )
        reduction = match["reduction"]
        return cls(
            CellPlan.parse(match["normal"]),
            None if reduction is None else CellPlan.parse(reduction),
        )

    def __str__(self) -> str:
        """Return the text that parses to this genotype: a line a cell."""
        if self.reduction is None:
            return f"normal: {self.normal}"
        return f"normal: {self.normal}\nreduction: {self.reduction}"


def _sum(index: int, statement: str) -> tuple[Branch, Branch]:
    name, equals, branches = (part.strip() for part in statement.partition("="))
    left, plus, right = (part.strip() for part in branches.partition("+"))
    if name != f"c{index}" or not equals or not plus:
        raise RequestError(
            f"genotype: {statement!r} is no sum: write c{index} = BRANCH + BRANCH, as in"
            f" c{index} = sep5(h0) + sep3(h1)"
        )
    return Branch.parse(left), Branch.parse(right)


NASNET_A = Genotype.parse(
    "normal: c0 = sep5(h0) + sep3(h1); c1 = sep5(h1) + sep3(h1); c2 = avg3(h0) + h1;"
    " c3 = avg3(h1) + avg3(h1); c4 = sep3(h0) + h0; keep h1 c0 c1 c2 c3 c4"
    " reduction: c0 = sep5(h0) + sep7(h1); c1 = max3(h0) + sep7(h1); c2 = avg3(h0) + sep5(h1);"
    " c3 = c1 + avg3(c0); c4 = sep3(c0) + max3(h0); keep c1 c2 c3 c4"
)
PNASNET_5 = Genotype.parse(
    "normal: c0 = sep5(h1) + max3(h1); c1 = sep7(h0) + max3(h0); c2 = sep5(h0) + sep3(h0);"
    " c3 = sep3(c2) + max3(h0); c4 = sep3(h1) + h0; keep c0 c1 c2 c3 c4"
)
