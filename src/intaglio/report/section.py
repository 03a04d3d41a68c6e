"""What a section of the report is: frozen data, which the terminal and the page each show by kind.

Every text in it may come from the user's network or files: whoever shows it escapes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import JsonValue

from intaglio.errors import IntaglioError
from intaglio.report.pictures import Pictures, png_address

WARNING = "Warning"


@dataclass(frozen=True)
class Facts:
    """Lines of a label and what is said of it.

    Attributes:
        facts: (label, text) each.
    """

    facts: tuple[tuple[str, str], ...]


State = Literal["bad", "unsure", "absent", "good"]
"""How good a claim's news is, the worst first: what was promised or wished does not hold; it is not
certain; nobody looked; it holds."""


@dataclass(frozen=True)
class Claim:
    """One sentence on which much depends.

    Attributes:
        state: How good its news is.
        head: The same in a word or two: no colour says anything that no word says.
        sentence: What it rests on, with its full stop.
    """

    state: State
    head: str
    sentence: str


@dataclass(frozen=True)
class Claims:
    """What came out: the first thing on the page, and the last on a terminal.

    Attributes:
        claims: In the order in which they are told.
    """

    claims: tuple[Claim, ...]

    @property
    def worst(self) -> State:
        """The state of the worst of them."""
        return min((claim.state for claim in self.claims), key=get_args(State).index)


@dataclass(frozen=True)
class Remark:
    """One thing that the user should know.

    Attributes:
        text: What it is.
        about: What kind of thing, such as "Kept in float"; empty for a warning, of which the page's
            heading says enough.
        name: The layer's name, where it is about one.
    """

    text: str
    about: str = ""
    name: str = ""

    @property
    def sentence(self) -> str:
        """The remark where no heading stands over it."""
        return ": ".join(part for part in (self.about or WARNING, self.name, self.text) if part)


@dataclass(frozen=True)
class Remarks:
    """Remarks, in the order in which they are told."""

    remarks: tuple[Remark, ...]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        key: By which the page's address and `Worst` call it.
        title: Its heading.
        numeric: Whether its cells are numbers: they stand to the right and are sorted by their
            value; others stand to the left and are sorted by their text.
        breaks: Where a narrow terminal breaks its cells over lines; numbers it never breaks.
    """

    key: str
    title: str
    numeric: bool = False
    breaks: Literal["anywhere", "words", "never"] = "anywhere"


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: What it shows.
        value: What the page sorts a numeric column by; None stays behind all others.
        note: Small print below the text, on the page alone.
        layer: The layer whose weights the page's plot shows when the text is chosen, if any.
    """

    text: str
    value: float | None = None
    note: str = ""
    layer: str = ""


@dataclass(frozen=True)
class TableRow:
    """One row of a table.

    Attributes:
        cells: One for every column.
        layer: The layer that the row is about, if any; the page marks it when it is chosen.
        line: The row as a line of text; empty where the cells with their headings will do.
    """

    cells: tuple[Cell, ...]
    layer: str = ""
    line: str = ""


@dataclass(frozen=True)
class Worst:
    """What the terminal shows of a table that is too long for it.

    Attributes:
        title: What these rows have in common.
        rows: Which, by their place in the table, in the order in which they are shown.
        columns: Keys of the columns shown.
    """

    title: str
    rows: tuple[int, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table; one without rows says what its section's title says.

    Attributes:
        columns: From left to right.
        rows: From top to bottom.
        head: Place of the column whose cells name their rows.
        sort_word: The word in the page's address that says by which column the rows are sorted
            (`#sort=sqnr`, `#sort=-sqnr` for descending), its own for every table and not "layer";
            empty where the page does not sort them.
        worst: What the terminal shows in place of the whole, after all other sections.

    Raises:
        IntaglioError: If a row has not one cell for every column.
    """

    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    head: int = 0
    sort_word: str = ""
    worst: Worst | None = None

    def __post_init__(self) -> None:
        for place, row in enumerate(self.rows):
            if len(row.cells) != len(self.columns):
                raise IntaglioError(
                    f"row {place} of a table has {len(row.cells)} cells, but the table has"
                    f" {len(self.columns)} columns: {[column.key for column in self.columns]}"
                )


@dataclass(frozen=True)
class Plot:
    """A plot, which the page's own script draws; a terminal shows nothing of it.

    Attributes:
        drawn: What `page.js` reads, under keys that no other plot has.
        choices: (layer, title) each where the plot shows one layer at a time.
    """

    drawn: Mapping[str, JsonValue]
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Picture:
    """A picture of pixels; of it a terminal shows what its section tells, and no more.

    Attributes:
        png: The file's content; empty where there is none to show: the page too then only tells.
        width, height: In which it is shown where there is room, in CSS pixels.
        text: What is on it, for those who do not see it.
        pixelated: Whether it is shown larger than it is, each pixel as a square.
    """

    png: bytes
    width: int
    height: int
    text: str
    pixelated: bool = False

    @property
    def address(self) -> str:
        """The picture as the address of an image, which loads nothing."""
        return png_address(self.png)


Body = Facts | Claims | Remarks | Table | Plot | Picture | Pictures


@dataclass(frozen=True)
class Section:
    """One section. Those in a row that have the same title stand under one heading.

    Attributes:
        key: Its own name within the report; the element's id on the page.
        title: Its heading.
        body: What it shows.
        told: A sentence, without its full stop, that says more than the title: the terminal shows
            it in place of the title, the page below it, and it is a line of its own in plain text.
        hint: How to read it, on the page alone.
        plain: Whether the plain lines, which are a summary, tell it.
    """

    key: str
    title: str
    body: Body
    told: str = ""
    hint: str = ""
    plain: bool = True
