"""GDFQ: a generator makes images of classes that fit the batch norms, and these teach the student.

Source: Xu et al. 2020 (Generative Low-bitwidth Data Free Quantization, arXiv:2003.03603), with

    generator  minimizes  CE(P(x), y) + lambda BNS(x)
    student    minimizes  CE(Q(x), y) + alpha T^2 KL(softmax(P(x) / T) || softmax(Q(x) / T))

lambda = 0.1, T = 20, both on the same images. How we differ: the KL is a mean over images, not over
images and classes as in the published code (whose effective alpha is 1 / K of ours); grids start
as calibrated and their steps are learned; rates follow a cosine; unless it is asked for, labels do
not teach the student, as they pull it away from its teacher wherever an image is not yet what it
should be. `kl_only` and `inundation` are those of AIT (Choi et al. 2022, arXiv:2204.00330);
`superposed` is Qimera's (generator.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from intaglio.errors import RequestError
from intaglio.ir.graph import Graph
from intaglio.methods.datafree.discrepancy import output_discrepancy
from intaglio.methods.datafree.game import Match, Played, play
from intaglio.methods.datafree.losses import View
from intaglio.methods.datafree.norm_loss import Moment, NormLoss, Units
from intaglio.methods.datafree.options import Rules, taught
from intaglio.methods.steps.state import Context, Quantized
from intaglio.methods.steps.steps import NUMBERS, register_step

LEAST = 1e-7
"""A probability is at least that much before its logarithm is taken."""


def classes_of(graph: Graph) -> int | None:
    """Return how many classes a network tells apart; None where its outputs are something else.

    That is one output [N, K] with K >= 2.
    """
    shapes = [graph[name].shape for name in graph.outputs]
    is_classifier = len(shapes) == 1 and len(shapes[0]) == 2 and shapes[0][1] >= 2
    return shapes[0][1] if is_classifier else None


@dataclass(eq=False)
class GdfqLosses:
    """The two sides of GDFQ.

    Attributes:
        norms: The loss of batch norms.
        norm_weight: lambda.
        label_weight: Of CE(Q(x), y) in the student's loss.
        alpha, temperature: Of the KL.
        classes: Whether outputs are classes; without them the student is brought near the teacher's
            outputs as they are, and the generator has the batch norms alone.
        are_shares: Whether outputs are probabilities already.
    """

    norms: NormLoss
    norm_weight: float
    label_weight: float
    alpha: float
    temperature: float
    classes: bool
    are_shares: bool
    wants_norms: bool = True
    faces_student: bool = False

    def of_generator(self, view: View) -> Tensor:
        """Return CE(P(x), y) + lambda BNS(x), []."""
        loss = self.norm_weight * self.norms(view.teacher.before)
        if view.labels is None or not self.classes:
            return loss
        return loss + F.cross_entropy(self._scores(view.teacher.outputs[0]), view.labels)

    def of_student(self, view: View) -> Tensor:
        """Return CE(Q(x), y) + alpha T^2 KL, []; without classes the distance of outputs."""
        assert view.student is not None, "it is the student's loss"
        if not self.classes:
            return output_discrepancy(view.teacher.outputs, view.student.outputs)
        teacher, student = (self._scores(seen.outputs[0]) for seen in (view.teacher, view.student))
        softer = self.temperature
        wished, found = ((x / softer).log_softmax(1) for x in (teacher, student))
        distance = F.kl_div(found, wished, reduction="batchmean", log_target=True)
        loss = self.alpha * softer * softer * distance
        if self.label_weight and view.labels is not None:
            loss = loss + self.label_weight * F.cross_entropy(student, view.labels)
        return loss

    def _scores(self, outputs: Tensor) -> Tensor:
        """Return scores, [N, K], of which softmax makes shares."""
        return outputs.clamp(min=LEAST).log() if self.are_shares else outputs

    def tensors(self) -> dict[str, Tensor]:
        """Return nothing: these losses remember nothing."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Do nothing."""


@register_step("train-gdfq", NUMBERS, needs=())
@dataclass(frozen=True)
class TrainGdfq:
    """Training without images, on those of a generator that batch norms and classes lead (GDFQ).

    Attributes:
        steps: Of the student; minutes: those that fit, `steps` at most.
        batch: Images in a step.
        latent, width, norm_eps: Of the generator; published is 0.8 for the last.
        lr: Rate of the student's weights, at its highest; None: by the steps of their grids.
        optimizer: Of the student, "sgd" or "adamw".
        generator_lr: Of the generator's Adam.
        warmup: Steps of the generator before the student moves.
        student_steps: For one of the generator.
        norm_weight: lambda, of the loss of batch norms.
        norm_units, norm_moment: In which that is counted (norm_loss.py).
        label_weight: Of the labels in the student's loss; kl_only: none of it (AIT).
        alpha, temperature: Of the distance to the teacher.
        inundation: Least share of integer weights of each layer that a step is to change, by steps
            made longer (AIT); 0: steps are as they are.
        superposed: Probability that an image is of two classes (Qimera).
        ranges: Grids stay ("fixed") or are learned ("lsq").
        evaluations: How often the student is measured on images that it does not learn.
        save_seconds: At most this long is lost when the run is killed.
    """

    steps: int = 200
    minutes: float | None = None
    batch: int = 32
    latent: int = 100
    width: int = 32
    norm_eps: float = 1e-5
    lr: float | None = None
    optimizer: Literal["sgd", "adamw"] = "adamw"
    generator_lr: float = 1e-3
    warmup: int = 100
    student_steps: int = 1
    norm_weight: float = 1.0
    norm_units: Units = "stated"
    norm_moment: Moment = "var"
    label_weight: float = 1.0
    kl_only: bool = True
    alpha: float = 1.0
    temperature: float = 20.0
    inundation: float = 0.0
    superposed: float = 0.0
    ranges: Literal["fixed", "lsq"] = "lsq"
    evaluations: int = 4
    save_seconds: float = 60.0

    def __call__(self, state: Quantized, context: Context) -> Quantized:
        """Return the network after the game; its start where that measured better."""
        return self.played(state, context).state

    def played(self, state: Quantized, context: Context) -> Played:
        """Return the network after the game, and what came of it; raises as `match`."""
        return play(state, context, self.match(state, context))

    def match(self, state: Quantized, context: Context) -> Match:
        """Return what is played.

        Raises:
            RequestError: If no batch norm is known.
        """
        graph = state.reference
        norms = NormLoss(
            state.statistics, state.prepared.current_norms(), units=self.norm_units,
            moment=self.norm_moment, device=context.device,
        )  # fmt: skip
        if not norms.layers:
            raise RequestError(
                "step 'train-gdfq' makes images that fit the statistics of batch norms, and this"
                " network has none that are known: take 'train-zaq', which needs none"
            )
        classes = classes_of(graph)
        losses = GdfqLosses(
            norms, self.norm_weight, 0.0 if self.kl_only else self.label_weight, self.alpha,
            self.temperature, classes is not None, graph[graph.outputs[0]].op == "softmax",
        )  # fmt: skip
        notes = () if classes is not None else (
            "the network's outputs are no classes: images are made without labels, and the student"
            " learns the float network's outputs as they are",
        )  # fmt: skip
        return Match("train-gdfq", self._rules(state, context), lambda _: losses, classes, notes)

    def _rules(self, state: Quantized, context: Context) -> Rules:
        train = taught(self, state, context.seed)
        return Rules(
            train, self.steps, self.minutes, self.latent, self.width, self.norm_eps,
            self.generator_lr, self.warmup, self.student_steps, together=True,
            superposed=self.superposed, ranges=self.ranges, inundation=self.inundation,
        )  # fmt: skip
