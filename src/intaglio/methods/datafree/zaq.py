"""ZAQ: a generator looks for images on which the quantized network differs; that one learns them.

Source: Liu, Zhang, Wang 2021 (Zero-shot Adversarial Quantization, CVPR), with

    student    minimizes   D_o + alpha D_f
    generator  minimizes  -D_o - alpha D_f + beta L_a

(discrepancy.py); five steps of the student for one of the generator, alpha = 0.1, beta = 0.05. How
we differ: the student starts from calibrated grids, with its batch norms folded, and learns weights
and steps of grids at small rates from there (the published 0.1 diverges); rates follow a cosine;
gradients are clipped. "released" takes the loss between features that the published code has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from intaglio.methods.datafree.discrepancy import (
    LayerWeights,
    activation_regularizer,
    output_discrepancy,
    relation_discrepancy,
    released_discrepancy,
)
from intaglio.methods.datafree.game import Match, Played, play
from intaglio.methods.datafree.losses import View
from intaglio.methods.datafree.norm_loss import NormLoss
from intaglio.methods.datafree.options import Rules, taught
from intaglio.methods.datafree.tapped import Teacher
from intaglio.methods.steps.state import Context, Quantized
from intaglio.methods.steps.steps import NUMBERS, register_step

Discrepancy = Literal["paper", "released"]


@dataclass(eq=False)
class ZaqLosses:
    """The two sides of ZAQ.

    Attributes:
        alpha: Weight of features against outputs.
        beta: Weight of strong activations of the teacher.
        discrepancy: Of features: relation maps weighted by layer ("paper"), or attended features
            ("released").
        per_sample: Whether relation maps are those of one image.
        weights: Of the layers.
        norms: The loss of batch norms; None: the generator is free of them.
        norm_weight: gamma, of that.
    """

    alpha: float
    beta: float
    discrepancy: Discrepancy
    per_sample: bool
    weights: LayerWeights
    norms: NormLoss | None
    norm_weight: float
    faces_student: bool = True

    @property
    def wants_norms(self) -> bool:
        """Whether batch norms hold the generator."""
        return self.norms is not None

    def of_student(self, view: View) -> Tensor:
        """Return D_o + alpha D_f, []; the layers' weights take in the distances."""
        return self.distance(view, moves_weights=True)

    def of_generator(self, view: View) -> Tensor:
        """Return -D_o - alpha D_f + beta L_a + gamma BNS, []; without D while it warms up."""
        loss = view.images.new_zeros(())
        if view.student is not None:
            loss = loss - self.distance(view, moves_weights=False)
        if view.teacher.features:
            loss = loss + self.beta * activation_regularizer(view.teacher.features[-1])
        if self.norms is not None:
            loss = loss + self.norm_weight * self.norms(view.teacher.before)
        return loss

    def distance(self, view: View, *, moves_weights: bool) -> Tensor:
        """Return D_o + alpha D_f, []."""
        assert view.student is not None, "the loss faces the student"
        found = output_discrepancy(view.teacher.outputs, view.student.outputs)
        pairs = list(zip(view.teacher.features, view.student.features, strict=True))
        if not pairs or not self.alpha:
            return found
        if self.discrepancy == "released":
            return found + self.alpha * released_discrepancy(*zip(*pairs, strict=True))
        each = torch.stack(
            [relation_discrepancy(a, b, per_sample=self.per_sample) for a, b in pairs]
        )
        if moves_weights:
            self.weights.update(each)
        return found + self.alpha * (self.weights.weights * each).sum()

    def tensors(self) -> dict[str, Tensor]:
        """Return the layers' weights."""
        return self.weights.tensors()

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the layers' weights over."""
        self.weights.restore(tensors)


@register_step("train-zaq", NUMBERS, needs=())
@dataclass(frozen=True)
class TrainZaq:
    """Training without images, against a generator that looks for where outputs differ (ZAQ).

    Attributes:
        steps: Of the student; minutes: those that fit, `steps` at most.
        batch: Images in a step.
        latent, width, norm_eps: Of the generator.
        lr: Rate of the student's weights, at its highest; None: by the steps of their grids.
        optimizer: Of the student, "sgd" or "adamw".
        generator_lr: Of the generator's Adam.
        warmup: Steps of the generator, without an adversary, before the student moves.
        student_steps: For one of the generator.
        alpha, beta: Weights of features and of activations.
        norm_weight: gamma, of the loss of batch norms where there are some; 0 as published.
        discrepancy: "paper" or "released" (which has alpha 1, beta 0.1).
        per_sample: Whether relation maps are those of one image.
        weight_momentum: m, of the layers' weights; 1: all layers stay alike.
        ranges: Grids stay ("fixed") or are learned ("lsq").
        evaluations: How often the student is measured on images that it does not learn.
        save_seconds: At most this long is lost when the run is killed.
    """

    steps: int = 200
    minutes: float | None = None
    batch: int = 32
    latent: int = 256
    width: int = 32
    norm_eps: float = 1e-5
    lr: float | None = None
    optimizer: Literal["sgd", "adamw"] = "adamw"
    generator_lr: float = 1e-3
    warmup: int = 100
    student_steps: int = 5
    alpha: float = 0.1
    beta: float = 0.05
    norm_weight: float = 10.0
    discrepancy: Discrepancy = "paper"
    per_sample: bool = False
    weight_momentum: float = 0.9
    ranges: Literal["fixed", "lsq"] = "lsq"
    evaluations: int = 4
    save_seconds: float = 60.0

    def __call__(self, state: Quantized, context: Context) -> Quantized:
        """Return the network after the game; its start where that measured better."""
        return self.played(state, context).state

    def played(self, state: Quantized, context: Context) -> Played:
        """Return the network after the game, and what came of it."""
        return play(state, context, self.match(state, context))

    def match(self, state: Quantized, context: Context) -> Match:
        """Return what is played."""
        norms = NormLoss(
            state.statistics, state.prepared.current_norms(), device=context.device
        )  # fmt: skip
        known = norms if norms.layers and self.norm_weight else None

        def losses(teacher: Teacher) -> ZaqLosses:
            """Return both sides, for the taps of a teacher."""
            weights = LayerWeights(len(teacher.taps), self.weight_momentum, context.device)
            return ZaqLosses(
                self.alpha, self.beta, self.discrepancy, self.per_sample, weights, known,
                self.norm_weight,
            )  # fmt: skip

        return Match("train-zaq", self._rules(state, context), losses)

    def _rules(self, state: Quantized, context: Context) -> Rules:
        train = taught(self, state, context.seed)
        return Rules(
            train, self.steps, self.minutes, self.latent, self.width, self.norm_eps,
            self.generator_lr, self.warmup, self.student_steps, ranges=self.ranges,
        )  # fmt: skip
