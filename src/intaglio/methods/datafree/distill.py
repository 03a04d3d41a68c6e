"""Images distilled from batch norms: what makes a network's statistics what these state.

Pixels (or a generator and what it is fed) learn until each batch of images leaves, in front of
every activation, the mean and the deviation that the batch norms state:

    minimize  L_norms (norm_loss.py, deviations) + w_input L_input + label CE(P(x), y)

L_input asks the channels of the input for the mean and deviation that they are taken to have.

Sources: Cai et al. 2020 (ZeroQ, arXiv:2001.00281); the class loss of Zhong et al. 2022 (IntraQ,
arXiv:2111.09136); generator, latents and swing convolution of Jeon et al. 2023 (GENIE,
arXiv:2212.04780); the low-pass filter and the limit of difficulty of SynQ (ICLR 2025). How we
differ: statistics are of the whole batch, not of each image, and are counted in the deviations that
norms state; the rate falls along a cosine; pixels stay between the ends of the input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.data.seeded import generator_of
from intaglio.errors import RequestError
from intaglio.host.progress import Progress, Silent, chart, say
from intaglio.methods.datafree.making import Making, restored, saver_of
from intaglio.methods.datafree.norm_loss import NormLoss, moments
from intaglio.methods.datafree.pictures import Generated, Painted, Pictures, low_passed, moved
from intaglio.methods.datafree.pixels import Pixels
from intaglio.methods.datafree.synthesis import Synthesis
from intaglio.methods.datafree.tapped import Teacher
from intaglio.methods.learn.saver import Saver
from intaglio.methods.steps.state import Prepared

INPUT_WEIGHT = 0.05
"""Of L_input: as much as one layer of twenty."""
IGNORED = -100
"""The label of an image that teaches none, as torch's cross-entropy has it."""
LOOK_EVERY = 20
"""Steps between two looks whether all is well; a batch goes back to the last that was."""
LOWERED = 0.1
AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Distilled:
    """Images that were made.

    Attributes:
        images: [N, C, H, W], within the input's ends.
        labels: The class that each was made for, [N] int64, IGNORED where it teaches none; None
            where images have no class.
        events: What was noticed and done.
        first, last: Loss of the batch norms before and after, mean over batches.
        seconds: That it took; of a run that went on, all its parts.
    """

    images: Tensor
    labels: Tensor | None
    events: tuple[str, ...]
    first: float
    last: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Workshop:
    """Where images are made.

    Attributes:
        pixels: What the network takes.
        noise: Returns so many images to start from, by a source of random numbers.
        seed: Of all that is drawn.
        device: Where it computes.
        place: A folder for what a killed run needs; None: nothing is written.
        resume: Whether to go on with what is there.
        about: What else such a run must have in common with the killed one, in words.
        progress: Told of steps.
    """

    pixels: Pixels
    noise: Callable[[int, torch.Generator], Tensor]
    seed: int = 0
    device: str = "cpu"
    place: Path | None = None
    resume: bool = False
    about: Mapping[str, str] = field(default_factory=dict)
    progress: Progress = field(default_factory=Silent)


@dataclass(frozen=True, eq=False)
class Bench:
    """What every step looks at.

    Attributes:
        wish: What images are made.
        workshop: Where.
        teacher: The float network.
        norms: Its loss.
        classes: Of its output; 0 where it has none, or images are to have none.
    """

    wish: Synthesis
    workshop: Workshop
    teacher: Teacher
    norms: NormLoss
    classes: int

    def counts(self) -> list[int]:
        """Return how many images each batch has: all alike, up to one."""
        batches = max(1, round(self.wish.images / self.wish.batch))
        share, rest = divmod(self.wish.images, batches)
        return [share + (index < rest) for index in range(batches)]

    def labels(self, number: int) -> Tensor | None:
        """Return the classes of a batch's images, all classes alike, [N] int64; None: without."""
        if not self.classes:
            return None
        counts = self.counts()
        first = sum(counts[:number])
        return torch.arange(first, first + counts[number]) % self.classes

    def pictures(self, number: int) -> Pictures:
        """Return a batch before its first step."""
        count, workshop = self.counts()[number], self.workshop
        draws = generator_of("distill", workshop.seed, number)
        if self.wish.generator:
            return Generated(count, workshop.pixels, draws, workshop.device)
        return Painted(workshop.noise(count, draws).to(workshop.device), workshop.pixels)


def distilled(prepared: Prepared, wish: Synthesis, workshop: Workshop) -> Distilled:
    """Return images of which a network's statistics are those that its batch norms state.

    Memory: one batch on its way through the network and back.

    Raises:
        RequestError: If no batch norm says anything of the network, or a state to go on with is
            missing, damaged or another run's.
        OutputError: If the state cannot be written.
    """
    bench, notes = _bench(prepared, wish, workshop)
    batches = len(bench.counts())
    making = Making(events=notes)
    making.begin(bench.pictures(0), wish.lr)
    about = _about(wish, workshop)
    saver = saver_of(workshop.place, about, wish.save_seconds)
    if workshop.resume and workshop.place is not None:

        def begun(number: int) -> Pictures:
            """Return a batch before its first step; behind the last one, that one."""
            return bench.pictures(min(number, batches - 1))

        restored(making, workshop.place, about, begun, wish.lr)
    workshop.progress.begin("distill images", wish.steps * batches)
    try:
        workshop.progress.advance(making.number * wish.steps + making.step)
        while making.number < batches:
            _finish_batch(bench, making, saver)
            if making.number < batches:
                making.begin(bench.pictures(making.number), wish.lr)
            saver.look(making, is_due=True)
    finally:
        workshop.progress.end()
    return _ready(bench, making, making.seconds + saver.seconds())


def _ready(bench: Bench, making: Making, seconds: float) -> Distilled:
    """Return the images of all batches, behind the low-pass."""
    passed = low_passed(torch.cat(making.ready), bench.wish.low_pass)
    images, count = bench.workshop.pixels.within(passed.contiguous()), len(making.ready)
    return Distilled(
        images,
        _taught(bench, images),
        tuple(making.events),
        sum(making.first) / count,
        sum(making.last) / count,
        seconds,
    )


def _bench(prepared: Prepared, wish: Synthesis, workshop: Workshop) -> tuple[Bench, list[str]]:
    graph = prepared.reference
    norms = NormLoss(prepared.statistics, {}, moment="std", device=workshop.device)
    if not norms.layers:
        raise RequestError(
            "images are distilled from batch norms, and none says anything of this network: take a"
            " recipe that makes none (--recipe datafree), or give images (--data DIR)"
        )
    teacher = Teacher(graph, (), norms.layers, workshop.device)
    classes, notes = 0, list[str]()
    if wish.label > 0.0 or wish.hardest < 1.0:
        shapes = [graph[name].shape for name in graph.outputs]
        if len(shapes) == 1 and len(shapes[0]) == 2 and shapes[0][1] > 1:
            classes = shapes[0][1]
        else:
            notes.append(
                f"images were made without classes: the network's outputs {shapes} are no"
                " classes of an image"
            )
    return Bench(wish, workshop, teacher, norms, classes), notes


def _about(wish: Synthesis, workshop: Workshop) -> dict[str, str]:
    """Return what a run must have in common with the one that it goes on with."""
    words = {"method": "distill", "seed": str(workshop.seed), **workshop.about}
    told = wish.model_dump(exclude={"save", "save_seconds"})
    return words | {name: str(value) for name, value in told.items()}


def _finish_batch(bench: Bench, making: Making, saver: Saver[Making]) -> None:
    """Do the steps of a batch that are left, and put its images to those that are ready."""
    steps, progress = bench.wish.steps, bench.workshop.progress
    while making.step < steps:
        loss, of_norms = _step(bench, making)
        if not math.isfinite(loss):
            making.go_back(f"the loss of step {making.step} is {loss}", LOWERED)
            if making.step >= steps:
                break
            continue
        if making.step == 1 and making.number == len(making.first):
            making.first.append(of_norms)
        if making.step % LOOK_EVERY == 0:
            making.keep_good()
        saver.look(making)
        say(progress, f"batch norms {of_norms:.4g}")
        chart(progress, making.number * steps + making.step, {"batch norms": of_norms})
        progress.advance(1)
        making.lately = of_norms
    making.end_batch()


def _step(bench: Bench, making: Making) -> tuple[float, float]:
    """Do one step; return the loss, and that of the batch norms."""
    wish, pixels, step = bench.wish, bench.workshop.pixels, making.step
    making.set_rate(wish.lr * 0.5 * (1.0 + math.cos(math.pi * step / wish.steps)))
    draws = generator_of("distill step", bench.workshop.seed, making.number, step)
    images = making.pictures()
    seen = bench.teacher(
        moved(images, wish.moved, draws), norms=True, swing=draws if wish.swing else None
    )
    of_norms = bench.norms(seen.before)
    loss = of_norms + INPUT_WEIGHT * _input_loss(images, pixels)
    labels = bench.labels(making.number)
    if labels is not None and wish.label > 0.0:
        loss = loss + wish.label * F.cross_entropy(seen.outputs[0], labels.to(images.device))
    making.adam.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    making.step += 1
    value = float(loss.detach())
    if math.isfinite(value):
        making.adam.step()
        making.pictures.keep_within()
    return value, float(of_norms.detach())


def _input_loss(images: Tensor, pixels: Pixels) -> Tensor:
    """Return how far the input's moments are from those that it is taken to have, []."""
    mean, variance = moments(images)
    std = pixels.std.to(images.device)
    of_means = ((mean - pixels.mean.to(images.device)) / std).square()
    return (of_means + ((variance + 1e-12).sqrt() / std - 1.0).square()).mean()


def _taught(bench: Bench, images: Tensor) -> Tensor | None:
    """Return the images' labels, those too hard for the float network without one."""
    if not bench.classes:
        return None
    made = [bench.labels(number) for number in range(len(bench.counts()))]
    labels = torch.cat([part for part in made if part is not None])
    with torch.no_grad():
        device = bench.workshop.device
        logits = [
            bench.teacher(part.to(device)).outputs[0] for part in torch.split(images, AT_ONCE)
        ]
    shares = torch.cat(logits).softmax(1).cpu().gather(1, labels.unsqueeze(1)).squeeze(1)
    return labels.where(1.0 - shares <= bench.wish.hardest, IGNORED)
