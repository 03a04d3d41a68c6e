"""What a turn of training without images costs, against the same passes in plain PyTorch.

ResNet-20 with the data pack's weights, W4A4, batch 64; all pieces in turn in one process: `seconds`
are medians, `ratio` the median of the ratios to `against` in the same round, between its
`quartiles`. Plain are, on the same batch, channels last and with the very generator of the step,

    passes    teacher forward + float student forward and backward + generator forward and backward,
              for each time that somebody moves
    needed    no more than each move of float networks needs: no way back for a generator that only
              shows images, but one through the networks where the generator learns
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.networks import RESNET20
from benchmarks.paired import interleaved, ratio
from benchmarks.rows import Job, Row, Wish
from benchmarks.training.runs import Start, at, start_of
from intaglio.methods.datafree.discrepancy import relation_discrepancy, released_discrepancy
from intaglio.methods.datafree.game import made
from intaglio.methods.datafree.gdfq import TrainGdfq
from intaglio.methods.datafree.state import Game
from intaglio.methods.datafree.turn import turn_once
from intaglio.methods.datafree.zaq import TrainZaq
from intaglio.methods.steps.state import Context
from intaglio.runtimes import LITERT

BATCH, ROUNDS, SCHEME, WARM = 64, 7, "w4a4", 2
ZAQ, GDFQ = "zaq: 5 student's steps and 1 of the generator", "gdfq: 1 of each on the same images"
PASSES, NEEDED = "plain passes", "plain needed"
STUDENT, FLOAT = "student, fake quantized, forward and back", "student, float, forward and back"


@dataclass(frozen=True, eq=False)
class Plain:
    """The float networks of a step, as PyTorch has them, channels last.

    Attributes:
        teacher: In measuring mode; none of its parameters asks for a gradient.
        student: In training mode.
        game: Whose generator it is.
        batch: Images in a step.
    """

    teacher: nn.Module
    student: nn.Module
    game: Game
    batch: int

    def images(self) -> Tensor:
        """Return images [N, 3, H, W] of the generator."""
        generator = self.game.players.generator
        drawn = generator.draw(self.batch, torch.Generator().manual_seed(0))
        images: Tensor = generator(drawn.latent, drawn.labels)
        return images

    def taught(self, images: Tensor, wished: Tensor) -> None:
        """Go through the student, forward and back."""
        self.student.zero_grad(set_to_none=True)
        F.l1_loss(self.student(images), wished).backward()  # type: ignore[no-untyped-call]

    def passes(self) -> None:
        """Go through teacher, student and generator once."""
        images = self.images()
        with torch.no_grad():
            wished = self.teacher(images)
        self.taught(images.detach(), wished)
        images.square().mean().backward()  # type: ignore[no-untyped-call]

    def student_needs(self) -> None:
        """Do what a student's step needs at least."""
        with torch.no_grad():
            images = self.images()
            wished = self.teacher(images)
        self.taught(images, wished)

    def generator_needs(self, *, faces_student: bool) -> tuple[Tensor, Tensor]:
        """Do what a generator's step needs at least; return images and outputs."""
        images = self.images()
        wished = self.teacher(images)
        found = torch.zeros_like(wished)
        if faces_student:
            self.student.requires_grad_(False)
            found = self.student(images)
        F.l1_loss(found, wished).backward()  # type: ignore[no-untyped-call]
        self.student.requires_grad_(True)
        return images.detach(), wished.detach()


def jobs(wish: Wish) -> list[Job]:
    """Return the table's one job: its rows are interleaved."""
    return [Job("cost", lambda: cost_rows(wish))]


def cost_rows(wish: Wish) -> list[Row]:
    """Return the rows of both methods, and of the parts of a step."""
    subject = at(RESNET20, wish.data)
    module, _, shape = subject.build()
    batch, rounds = wish.at_most(BATCH), ROUNDS if wish.images is None else 2
    images = torch.randn(8, *shape[1:], generator=torch.Generator().manual_seed(0))
    start = start_of(module, shape, SCHEME, images)
    zaq = _plain(subject.build()[0], start, TrainZaq(batch=batch, warmup=0), batch)
    gdfq = _plain(subject.build()[0], start, TrainGdfq(batch=batch, warmup=0), batch)
    rows = _rows(_zaq(zaq), rounds, {ZAQ: (PASSES, NEEDED)})
    rows += _rows(_gdfq(gdfq), rounds, {GDFQ: (PASSES, NEEDED)})
    rows += _rows(_parts(zaq), rounds, {STUDENT: (FLOAT,)})
    return [{**row, "batch": batch, "scheme": SCHEME, "seed": 0} for row in rows]


def _plain(module: nn.Module, start: Start, step: TrainZaq | TrainGdfq, batch: int) -> Plain:
    context = Context(None, LITERT)
    game = made(start.state, context, step.match(start.state, context))
    for turn in range(WARM * game.order.turns):
        game.turn = turn
        turn_once(game)
    teacher = module.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    student = RESNET20.build()[0].train().to(memory_format=torch.channels_last)
    return Plain(teacher, student, game, batch)


def _zaq(plain: Plain) -> dict[str, Callable[[], None]]:
    order = plain.game.order

    def ours() -> None:
        """Play a round."""
        for _ in range(order.turns):
            turn_once(plain.game)

    def passes() -> None:
        """Go through all networks for each move."""
        for _ in range(order.turns):
            plain.passes()

    def needed() -> None:
        """Do what moves of float networks need."""
        for _ in range(order.student_steps):
            plain.student_needs()
        plain.generator_needs(faces_student=True)

    return {ZAQ: ours, PASSES: passes, NEEDED: needed}


def _gdfq(plain: Plain) -> dict[str, Callable[[], None]]:
    def ours() -> None:
        """Play a turn."""
        turn_once(plain.game)

    def needed() -> None:
        """Do what moves of float networks need."""
        images, wished = plain.generator_needs(faces_student=False)
        plain.taught(images, wished)

    return {GDFQ: ours, PASSES: plain.passes, NEEDED: needed}


def _parts(plain: Plain) -> dict[str, Callable[[], None]]:
    """Return the pieces of a student's step: fake quantization, and losses between features."""
    game, players = plain.game, plain.game.players
    with torch.no_grad():
        images = plain.images()
        seen = players.teacher(images)
        found = players.shown_to_student(images)
        wished = plain.teacher(images)
    leaves = [x.detach().requires_grad_() for x in found.features]

    def fake() -> None:
        """Go through the student."""
        outputs = players.student(images)
        game.optimizer.backward(F.l1_loss(outputs[0], seen.outputs[0]))

    def relation() -> None:
        """Compare features by relation maps, forward and back."""
        pairs = zip(seen.features, leaves, strict=True)
        torch.stack([relation_discrepancy(a, b) for a, b in pairs]).sum().backward()

    def released() -> None:
        """Compare features as the released code does, forward and back."""
        released_discrepancy(seen.features, leaves).backward()  # type: ignore[no-untyped-call]

    return {
        STUDENT: fake,
        FLOAT: lambda: plain.taught(images, wished),
        "relation maps of all stages, forward and back": relation,
        "released loss of all stages, forward and back": released,
    }


def _rows(
    work: dict[str, Callable[[], None]], rounds: int, against: Mapping[str, tuple[str, ...]]
) -> list[Row]:
    """Return a row for each piece of work, and further ones for what it is held against."""
    seconds = interleaved(dict(work), rounds)
    rows: list[Row] = []
    for name, times in seconds.items():
        found = {"what": name, "seconds": round(statistics.median(times), 4), "rounds": rounds}
        for base in against.get(name, ()):
            middle, low, high = ratio(seconds, name, base)
            quartiles = f"{low:.3f} to {high:.3f}"
            found[f"ratio to {base}"] = round(middle, 3)
            found[f"quartiles to {base}"] = quartiles
        rows.append(found)
    return rows
