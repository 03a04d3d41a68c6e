"""What a report is made of: frozen data, no behaviour.

A field marked "optional" is left out of report.json where it is None: a figure that was not
measured is absent, never zero. Other fields that are None are written as null ("activation_bits":
null is a layer in float). An SQNR that is infinite (no noise at all) is null: JSON has no infinity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, JsonValue, SkipValidation

from intaglio.errors import IntaglioError
from intaglio.report.byte_input import ByteInput
from intaglio.report.detection import Detection
from intaglio.report.fields import (
    ABSENT,
    DECIBELS,
    FLAT,
    MEGABYTES,
    PERCENT,
    SECONDS,
    SHARE,
    UNWRITTEN,
    Count,
    Decibels,
    Figures,
    Many,
    NotBelowZero,
    Percent,
    Share,
)
from intaglio.report.figures import PLAIN, Wording
from intaglio.report.half_row import HalfRow
from intaglio.report.segmentation import Segmentation
from intaglio.report.synthetic import Synthetic


@dataclass(frozen=True)
class FloatSide:
    """The float network.

    Attributes:
        size_bytes: Its weights as float32.
        macs: Multiply-accumulates for one image.
        params: Learned weights.
        figures: What its task measured on `n` images; empty where nothing was evaluated.
        n: Images evaluated.
    """

    size_bytes: Count
    macs: Count
    params: Count
    figures: Figures = field(default_factory=dict, metadata=FLAT)
    n: Annotated[int, Field(ge=1)] | None = field(default=None, metadata=ABSENT)

    def __post_init__(self) -> None:
        refuse_without_images("float", self.n, self.figures)

    def __getattr__(self, name: str) -> float:
        """Return a figure by its name."""
        return _figure(self, name)


@dataclass(frozen=True)
class IntegerSide:
    """The integer network.

    Attributes:
        size_bytes: The written file; where none was, what one would take whose runtime had the
            bits.
        figures: What its task measured on `n` images; empty where nothing was evaluated.
        n: Images evaluated, the same as on the float side.
        agreement: Percent of the n images for which both networks say the same.
        logits_sqnr_db: SQNR of the network's output in dB; of several, the lowest.
        sqnr_db: That of each output by itself, in the network's order.
        outputs: What the network calls them, in that order; None where they have no names.
    """

    size_bytes: Count | None = field(default=None, metadata=ABSENT)
    figures: Figures = field(default_factory=dict, metadata=FLAT)
    n: Annotated[int, Field(ge=1)] | None = field(default=None, metadata=ABSENT)
    agreement: Percent | None = field(default=None, metadata=PERCENT)
    logits_sqnr_db: Decibels = field(default=None, metadata=DECIBELS)
    sqnr_db: Many[Decibels] | None = field(default=None, metadata=DECIBELS)
    outputs: Many[str] | None = field(default=None, metadata=ABSENT)

    def __post_init__(self) -> None:
        refuse_without_images("integer", self.n, {**self.figures, "agreement": self.agreement})

    def __getattr__(self, name: str) -> float:
        """Return a figure by its name."""
        return _figure(self, name)


def _figure(side: FloatSide | IntegerSide, name: str) -> float:
    figures: dict[str, float] = vars(side).get("figures", {})
    if name in figures:
        return figures[name]
    known = f": measured are {', '.join(figures)}" if figures else ": nothing was evaluated"
    raise AttributeError(f"{type(side).__name__} has no '{name}'{known}")


def refuse_without_images(side: str, n: int | None, figures: Mapping[str, float | None]) -> None:
    """Raise IntaglioError when a figure is given without the images it was measured on."""
    given = [name for name, value in figures.items() if value is not None]
    if given and not n:
        raise IntaglioError(
            f"{side}.{given[0]} is given but {side}.n is {n}: an accuracy needs the number of"
            " images it was measured on, and is left out where there were none"
        )


@dataclass(frozen=True)
class CheckResult:
    """The comparison of the file, run by its runtime, with the twin.

    Attributes:
        images: Images compared.
        values_compared: Values of all quantized tensors of all images.
        mismatches: How many differed.
        runtime: Package, version and kernels that ran the file.
        refused: Layers that could not be compared, and why.
        border_values: Integers that were taken from the runtime where layers kept in float end, and
            not compared; None where there are no such layers.
        border_equal: How many of them the twin's own float32 arithmetic gives too.
        largest_deviation: Of a file in float, where no value is compared bit for bit: how far its
            outputs are from the twin's at most; None of other files.
        relative_deviation: The same over the largest magnitude of the output; the largest of all
            outputs.
        floats_compared: Over how many values of outputs these two are.
        made_up: True where the images are noise, as none were given; else None.
    """

    images: Count
    values_compared: Count
    mismatches: Count
    runtime: str
    refused: Many[str] = field(default_factory=list)
    border_values: Count | None = field(default=None, metadata=ABSENT)
    border_equal: Count | None = field(default=None, metadata=ABSENT)
    largest_deviation: NotBelowZero | None = field(default=None, metadata=ABSENT)
    relative_deviation: NotBelowZero | None = field(default=None, metadata=ABSENT)
    floats_compared: Count | None = field(default=None, metadata=ABSENT)
    made_up: bool | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True)
class DataSource:
    """The images that calibration saw.

    Attributes:
        source: Folder, manifest or kind of loader.
        images: How many were used.
        seed: The draw's seed.
        skipped: Unreadable images passed over on request.
        judged: How many of those used a search judged on, and tuned nothing on; None where none
            were set apart.
        left_out: How many were neither tuned nor judged on, because memory would not hold them.
    """

    source: str
    images: Count
    seed: int | None = None
    skipped: Count = 0
    judged: Count | None = field(default=None, metadata=ABSENT)
    left_out: Count | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True)
class StepRow:
    """One step of the recipe as it ran.

    Attributes:
        name: The step.
        seconds: How long it took.
        peak_mb: Largest memory of the process during it, in 10^6 bytes; None where not measured.
        changed: What it changed: a number, a sentence, or numbers by name.
    """

    name: str
    seconds: Annotated[float, Field(ge=0.0)] = field(metadata=SECONDS)
    peak_mb: Annotated[float, Field(ge=0.0)] | None = field(default=None, metadata=MEGABYTES)
    changed: JsonValue = None


@dataclass(frozen=True)
class LayerRow:
    """One value of the network: how it is stored, what it costs, and what quantization did to it.

    Attributes:
        name: The node's name, the key of every mapping.
        op: What makes the value.
        source: The layer's name in the user's module; empty where the network has no name for it.
        shape: Of the value; the first entry is -1 for the batch.
        weight_bits: Width of a weight's integer; None for a layer without integer weights.
        activation_bits: Width of the value's integer; None for a value in float.
        macs: Multiply-accumulates for one image.
        params: Learned weights.
        scale, zero_point: Grid of the value; None for a value in float.
        sqnr_db: SQNR of the value in dB, the errors of all layers before it included. None where it
            was not measured; `note` says why.
        saturated: Share of values at an end of the grid; an end that stands for 0.0 (a ReLU's zero)
            is not counted.
        clipped: Share of values that the float network puts more than half a step outside the grid.
        note: Why a figure is missing; None where none is.
    """

    name: str
    op: str
    source: str
    shape: Many[int]
    weight_bits: int | None
    activation_bits: int | None
    macs: Count
    params: Count
    scale: float | None = None
    zero_point: int | None = None
    sqnr_db: Decibels = field(default=None, metadata=DECIBELS)
    saturated: Share | None = field(default=None, metadata=SHARE)
    clipped: Share | None = field(default=None, metadata=SHARE)
    note: str | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True)
class Attempt:
    """One thing that a search tried, judged on images that nothing was tuned on.

    Attributes:
        name: What was added to the best so far.
        seconds: What it took, judging included.
        kept: Whether it became the best; else it was rolled back.
        n: Images judged on.
        agreement: Percent of them for which integer and float network say the same.
        figures: The task's figure that a wish is about, where the images have labels: NAME, and
            float_NAME of the float network on the same images.
        sqnr_db: SQNR of the network's output on them.
        size_bytes: The file that it would be written as.
        why: Why it was not run, or not kept.
    """

    name: str
    seconds: Annotated[float, Field(ge=0.0)] = field(metadata=SECONDS)
    kept: bool
    n: Count
    agreement: Percent | None = field(default=None, metadata=PERCENT)
    figures: Figures = field(default_factory=dict, metadata=FLAT)
    sqnr_db: Decibels = field(default=None, metadata=DECIBELS)
    size_bytes: Count | None = field(default=None, metadata=ABSENT)
    why: str | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True)
class Ailment:
    """One finding of the doctor; see `intaglio.doctor.Finding`.

    Attributes:
        cause: One of `intaglio.doctor.CAUSES`.
        layer: The layer's name in the user's module.
        evidence: What was measured, by name.
        remedy: What to do.
    """

    cause: str
    layer: str
    evidence: dict[str, int | float]
    remedy: str


@dataclass(frozen=True)
class KeptFloat:
    """A layer that stayed in float, and the reason."""

    name: str
    why: str


@dataclass(frozen=True)
class FloatShare:
    """What layers in float cost.

    Attributes:
        macs_percent: Percent of the multiply-accumulates that are computed in float.
        partitions: Parts in which the runtime runs the network; one is fastest.
        outside: How many ops run outside the runtime's fast kernels.
    """

    macs_percent: Percent = field(metadata={"digits": 2})
    partitions: Count
    outside: Count


@dataclass(frozen=True)
class CoreRow:
    """A part of a detector that is in integers; the rest is the user's own Python.

    Attributes:
        name: Path of its first layer in the user's module.
        places: Paths of all its layers that the module calls by themselves, in order.
        weights_percent: Of the module's weights, those in it.
        size_bytes: Of its file.
        values_compared, mismatches: Of its file and its twin.
        sqnr_db: Of its outputs, the lowest.
    """

    name: str
    places: Many[str]
    weights_percent: Percent = field(metadata={"digits": 2})
    size_bytes: Count
    values_compared: Count
    mismatches: Count
    sqnr_db: Decibels = field(default=None, metadata=DECIBELS)


@dataclass(frozen=True)
class Verdict:
    """What came out, in two words.

    Attributes:
        bits: Whether file and twin agree: "equal", "different"; "not promised" where the format
            computes in float, "no file" where none was written.
        accuracy: "green" where the wish is met beyond one standard error; "amber" where it is met
            but not proven, or missed by at most as much again; "red" beyond that; "not measured"
            where nothing was evaluated.
        why: What the word for the accuracy rests on: the figure, the wish, the images.
        bits_why: Why there is no file; None where there is one.
    """

    bits: Literal["equal", "different", "not promised", "no file"]
    accuracy: Literal["green", "amber", "red", "not measured"]
    why: str
    bits_why: str | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True)
class ReportData:
    """Everything that a report says; `intaglio.report.record.Report` adds its forms.

    Attributes:
        intaglio: Version that wrote it.
        model: As the user named it.
        target: Name of the target.
        runtime: Runtime and version for which bit-exactness is promised.
        scheme: Such as "w8a8 per-channel".
        data: The calibration images, or "none" where none was opened.
        preprocess: What was done to every image, by step; empty where nothing is known of it.
        input: How the file's input is made of that, where it is uint8; else None.
        float, integer: The two networks.
        cores: Parts of a detector that are in integers, each a network; None where all of it is.
        verdict: On bits and accuracy; None in reports from before there was one.
        check: The bit-for-bit comparison; None where it was not run.
        steps: In the order they ran.
        layers: In the order of the network.
        kept_float: What stayed in float and why; of a network in float16, in float32.
        halves: What float16 does to each layer's numbers; None of a network of integers.
        in_float: What that costs; None where nothing stayed.
        synthetic: Images that were made because there were none; None where none were.
        detection, segmentation: Boxes, or maps, of both networks in numbers; None where no such
            network was evaluated.
        attempts: What a search tried, in order.
        doctor: What still ails the network, the worst first; None where it was not asked.
        doctor_images: On how many of the calibration images that was measured.
        warnings: What the user should know.
        task: Name of the task whose figures these are; None for the usual one, or where there are
            no figures.
        wording: How the task's figures are told; no part of report.json.
    """

    intaglio: str
    model: str
    target: str
    runtime: str
    scheme: str
    data: Literal["none"] | DataSource
    preprocess: dict[str, JsonValue]
    float: FloatSide
    integer: IntegerSide
    input: ByteInput | None = field(default=None, metadata=ABSENT)
    cores: Many[CoreRow] | None = field(default=None, metadata=ABSENT)
    verdict: Verdict | None = field(default=None, metadata=ABSENT)
    check: CheckResult | None = field(default=None, metadata=ABSENT)
    steps: Many[StepRow] = field(default_factory=list)
    layers: Many[LayerRow] = field(default_factory=list)
    kept_float: Many[KeptFloat] = field(default_factory=list)
    halves: Many[HalfRow] | None = field(default=None, metadata=ABSENT)
    in_float: FloatShare | None = field(default=None, metadata=ABSENT)
    synthetic: Synthetic | None = field(default=None, metadata=ABSENT)
    detection: Detection | None = field(default=None, metadata=ABSENT)
    segmentation: Segmentation | None = field(default=None, metadata=ABSENT)
    attempts: Many[Attempt] = field(default_factory=list)
    doctor: Many[Ailment] | None = field(default=None, metadata=ABSENT)
    doctor_images: Annotated[int, Field(ge=1)] | None = field(default=None, metadata=ABSENT)
    warnings: Many[str] = field(default_factory=list)
    task: str | None = field(default=None, metadata=ABSENT)
    wording: Annotated[Wording, SkipValidation] = field(
        default=PLAIN, compare=False, repr=False, metadata=UNWRITTEN
    )
