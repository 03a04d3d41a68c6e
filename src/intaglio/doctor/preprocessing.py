"""Wrong preprocessing: the first batch norm remembers other images than it is given.

Against the running mean and variance of the first layer: a common factor of all channels' standard
deviations is a wrong scale, a shift of the mean that the kernels explain is a wrong offset, and a
tint opposite to that of the training images is a wrong channel order. Each must be larger than what
right images have, by more than chance makes it (chance.py): few images find less, and nothing
that is not there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.data.preprocess import Preprocess
from intaglio.doctor.case import Case, add_db
from intaglio.doctor.finding import PREPROCESSING, Figures, Finding, InputChange, Treatment
from intaglio.doctor.first_layer import FirstLayer, FirstLayerSeen, Moments
from intaglio.numerics.metrics import sqnr_db
from intaglio.run.float import run_float

UNEXPLAINED = (0.35, 0.05)
"""Part of the running means that no mean image explains, relative and in standard deviations.

Above both the statistics do not belong to the weights (a network never trained), and say nothing.
Measured: MobileNets 0.02 of all, ResNet-20 (padded crops in training) 0.24.
"""

FOREIGN = 0.5
"""Spread of log(std / running std) over channels from which images are of another kind.

Measured: photographs 0.13 to 0.37 (128 and 8 of them), noise 0.62 to 0.78, flat images above 0.66.
"""

WRONG_SCALE = 1.6
"""Least factor between what the layer gives and what its batch norm expects, beyond chance.

Measured on right images, chance left out: 0.8 to 1.0 (JPEG images for lossless ones). The usual
errors: 2 (0..1 for -1..1), 2.2, 4.4 and 127.
"""

WRONG_OFFSET = 0.5
"""Least standard deviations of the images by which their mean is off, beyond chance.

Measured on right images, chance left out: 0.03 to 0.27. The usual error (0..1 for -1..1): 2.
"""

FEWEST = 8
"""Images below which nothing that is told from them has a standard error worth the name."""

FEWEST_FOR_ORDER = 32
"""Images that the order of channels takes: their tints differ by more than the orders do.

One image's tint is 2 to 4 times the tint of all: with 8 images the order was wrong in one draw of
ten, however the fits compare.
"""

TINT = 0.1
"""Standard deviations of the images by which the means of the first and the last channel must have
differed in training for their order to be told. Measured: 0.11 (CIFAR-10) to 0.27 (ImageNet)."""

SWAPPED = -0.5
"""Tint over that of training from which swapped channels (-1) are nearer than none (0); right is 1.

Measured on 600 and more right images: 0.9 to 1.1.
"""

LIKE = 0.5
"""Correlation of the first and the last channel below which images are no colour pictures.

Whatever else three channels hold has no order to be told by a tint. Photographs: 0.8 and more.
"""

COMMON = (
    ((0.5,), (0.5,)),
    ((0.0,), (1.0,)),
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ((0.0,), (1 / 255,)),
    ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
)
"""What networks are commonly trained with: (mean, std) of bytes / 255."""

NEAR = 0.35
"""How far, in factors of std and in its units of mean, a common one may be from what was found."""


@dataclass(frozen=True)
class Fit:
    """How images fit the first batch norm, once scaled and shifted.

    Attributes:
        gain: Factor that the images need.
        offset: What must then be added to every channel.
        spread: Of log(std / running std) over channels, root mean square.
        misfit: Of the means, in standard deviations, root mean square; behind gain and offset.
    """

    gain: float
    offset: float
    spread: float
    misfit: float


def is_usable(layer: FirstLayer) -> bool:
    """Whether a first layer's statistics belong to its weights and can be compared with."""
    live = layer.live()
    if int(live.sum()) < layer.kernel_sums.shape[1] + 2 or _is_untouched(layer):
        return False
    wanted, left = _explained(layer)
    return left <= UNEXPLAINED[0] * wanted or left <= UNEXPLAINED[1]


def fit(layer: FirstLayer, moments: Moments) -> Fit:
    """Return the factor and offset with which images of these moments fit best."""
    live = layer.live()
    mean, std = moments.mean[live], moments.std[live]
    logs = (std.clamp(min=1e-12) / layer.std[live]).log()
    gain = float((-logs.median()).exp())
    weigh = 1.0 / layer.std[live]
    bias = layer.bias[live]
    missing = (layer.mean[live] - bias - gain * (mean - bias)) * weigh
    kernel = layer.kernel_sums[live].sum(1) * weigh
    offset = float((kernel @ missing) / (kernel @ kernel).clamp(min=1e-12))
    rest = missing - offset * kernel
    spread = (logs - logs.median()).square().mean().sqrt()
    return Fit(gain, offset, float(spread), float(rest.square().mean().sqrt()))


def is_foreign(seen: FirstLayerSeen) -> bool:
    """Whether images are, beyond chance, of another kind: no scale and no offset makes them fit."""

    def spread(moments: Moments) -> Tensor:
        """Return the spread of the fit, []."""
        return torch.tensor(fit(seen.layer, moments).spread, dtype=torch.float64)

    return seen.count >= FEWEST and seen.estimate(spread).surely_above(FOREIGN)


@dataclass(frozen=True)
class Mistake:
    """What about the images is not as the first batch norm remembers it.

    Attributes:
        given, other: How the images fit as they are, and with swapped channels.
        swapped, scaled, shifted: What is wrong.
        offset: What is to be added where the mean alone is wrong.
    """

    given: Fit
    other: Fit
    swapped: bool
    scaled: bool
    shifted: bool
    offset: float

    @property
    def any(self) -> bool:
        """Whether anything is."""
        return self.swapped or self.scaled or self.shifted

    @property
    def change(self) -> InputChange:
        """What makes the images right."""
        best = self.other if self.swapped else self.given
        if self.scaled:
            return InputChange(best.gain, (best.offset,), self.swapped)
        return InputChange(1.0, (self.offset if self.shifted else 0.0,), self.swapped)


def mistake_of(seen: FirstLayerSeen) -> Mistake:
    """Return what is wrong with the images beyond chance, if anything is."""
    layer, moments = seen.layer, seen.moments()
    trained, knows_mean = trained_mean(layer), _knows_mean(layer)
    is_swapped = knows_mean and _is_swapped(seen, trained)
    right_order = moments.swapped(layer) if is_swapped else moments

    def scale(some: Moments) -> Tensor:
        """Return the logarithm of the factor that the images need, []."""
        return torch.tensor(math.log(fit(layer, some).gain), dtype=torch.float64)

    def offset(some: Moments) -> Tensor:
        """Return by how many standard deviations each channel's mean is off, [C_in]."""
        ordered = some.swapped(layer) if is_swapped else some
        return (trained - ordered.image_mean) / ordered.image_std.clamp(min=1e-12)

    enough, least = seen.count >= FEWEST, math.log(WRONG_SCALE)
    factor = seen.estimate(scale).magnitude()
    is_shifted = (
        enough and knows_mean and seen.estimate(offset).magnitude().surely_above(WRONG_OFFSET)
    )
    is_scaled = enough and factor.surely_above(least)
    return Mistake(
        fit(layer, moments),
        fit(layer, moments.swapped(layer)),
        swapped=is_swapped,
        # where the offset is certainly wrong, the scale is likely to be: both come from one option
        scaled=is_scaled or (is_shifted and float(factor.value) > least),
        shifted=is_shifted,
        offset=float((trained - right_order.image_mean).mean()),
    )


def _is_swapped(seen: FirstLayerSeen, trained: Tensor) -> bool:
    """Whether the tint of training is ruled out by the images, and the opposite one is nearest.

    The tint is what the mean of the first channel has more than that of the last. Nothing else
    tells the order: kernels see both channels of photographs nearly alike.
    """
    if len(trained) != 3 or seen.count < FEWEST_FOR_ORDER:
        return False
    moments, wanted = seen.moments(), float(trained[0] - trained[-1])
    gain = fit(seen.layer, moments).gain
    is_tinted = abs(wanted) >= TINT * gain * float(moments.image_std.mean())
    if not is_tinted or moments.likeness < LIKE:
        return False

    def tint(some: Moments) -> Tensor:
        """Return the images' tint over that of training, []."""
        return gain * (some.image_mean[0] - some.image_mean[-1]) / wanted

    found = seen.estimate(tint)
    return float(found.value) < SWAPPED and found.surely_below(1.0)


def find_wrong_preprocessing(case: Case, preprocess: Preprocess | None) -> Iterator[Finding]:
    """Find images on another scale, with another offset or channel order than in training."""
    seen = case.evidence.first if case.evidence else None
    if case.evidence is None or seen is None or not is_usable(seen.layer):
        return
    images = case.evidence.images
    mistake = mistake_of(seen)
    if is_foreign(seen) or not mistake.any:
        return  # far apart: no scale and no offset makes them right, see unrepresentative-data
    evidence: Figures = {
        "std_over_batch_norms": 1.0 / mistake.given.gain,
        "mean_misfit": mistake.given.misfit,
        "mean_misfit_channels_swapped": mistake.other.misfit,
        "images": images.count,
        "images_needed": FEWEST_FOR_ORDER if mistake.swapped else FEWEST,
        "images_low": images.low,
        "images_high": images.high,
    }
    for number, wanted in enumerate(trained_mean(seen.layer)):
        evidence[f"images_mean_{number}"] = float(images.mean[number])
        evidence[f"expected_mean_{number}"] = float(wanted)
    harm = harm_of(case, mistake.change)
    evidence = add_db(evidence, sqnr_against_corrected_db=harm)
    remedy, treatment = _remedy(mistake.change, preprocess), Treatment(images=mistake.change)
    yield Finding(PREPROCESSING, seen.layer.source, evidence, remedy, None, harm, treatment)


def trained_mean(layer: FirstLayer) -> Tensor:
    """Return the mean of each channel of the training images, [C_in], as the norm remembers it."""
    live = layer.live()
    weigh = 1.0 / layer.std[live]
    kernels = layer.kernel_sums[live] * weigh[:, None]
    wanted = (layer.mean - layer.bias)[live] * weigh
    solved: Tensor = torch.linalg.lstsq(kernels, wanted[:, None], driver="gelsd").solution
    return solved[:, 0]


def changed(images: Tensor, change: InputChange) -> Tensor:
    """Return the images [N, C, H, W] as the network was trained on them."""
    if change.swapped:
        images = images.flip(1)
    offset = torch.tensor(change.offset).reshape(1, -1, *[1] * (images.ndim - 2))
    return images * change.gain + offset


def harm_of(case: Case, change: InputChange) -> float:
    """Return the SQNR in dB of the outputs against those for the corrected images."""
    wanted = run_float(case.graph, changed(case.images, change))[0]
    found = run_float(case.graph, case.images)[0]
    return sqnr_db(float(wanted.square().sum()), float((found - wanted).square().sum()))


def _knows_mean(layer: FirstLayer) -> bool:
    wanted, left = _explained(layer)
    return left <= UNEXPLAINED[0] * wanted


def _explained(layer: FirstLayer) -> tuple[float, float]:
    """Return root mean squares, in standard deviations: of the means, of what is left of them."""
    live = layer.live()
    weigh = 1.0 / layer.std[live]
    wanted = (layer.mean - layer.bias)[live] * weigh
    left = wanted - layer.kernel_sums[live] @ trained_mean(layer) * weigh
    return float(wanted.square().mean().sqrt()), float(left.square().mean().sqrt())


def _is_untouched(layer: FirstLayer) -> bool:
    return bool((layer.mean == 0).all() or (layer.std == 1).all())


def _remedy(change: InputChange, preprocess: Preprocess | None) -> str:
    parts = []
    if change.swapped:
        parts.append(
            "the network wants its channels in the other order (BGR for RGB): swap the first and"
            " the last input channel of this layer's weight, or of the images"
        )
    if change.gain != 1.0 or change.offset != (0.0,):
        if preprocess is None:
            moved = f"{change.gain:.4g} * image + {change.offset[0]:.4g}"
            parts.append(f"give images as the network was trained on them: about {moved}")
        else:
            parts.append(f"run with --preprocess {preprocess_for(change, preprocess)}")
    parts.append("what depends on the images was not judged: ask again after that")
    return "; ".join(parts)


def preprocess_for(change: InputChange, preprocess: Preprocess) -> str:
    """Return mean and std for --preprocess that do the change; common ones where they are near."""
    means, stds = preprocess.mean or (0.0,), preprocess.std or (1.0,)
    mean, std = sum(means) / len(means), sum(stds) / len(stds)
    std = std / change.gain
    mean = mean - change.offset[0] * std
    best, wanted = min((_distance(mean, std, common), common) for common in COMMON)
    if best <= NEAR:
        return ",".join(
            f"{part}={'/'.join(f'{number:.4g}' for number in numbers)}"
            for part, numbers in zip(("mean", "std"), wanted, strict=True)
        )
    return f"mean={mean:.4g},std={std:.4g}"


def _distance(
    mean: float, std: float, common: tuple[tuple[float, ...], tuple[float, ...]]
) -> float:
    common_mean, common_std = (sum(part) / len(part) for part in common)
    return max(abs(math.log(std / common_std)), abs(mean - common_mean) / common_std)
