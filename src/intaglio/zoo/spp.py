"""Spatial pyramid pooling: as many numbers of a map of any size, and a classifier that has it.

Source: He et al. 2014, arXiv:1406.4729, sections 2.2 and 2.3.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intaglio.errors import RequestError
from intaglio.zoo.blocks import check_arguments, linear
from intaglio.zoo.bodies import body, channels_of

LEVELS = (4, 2, 1)
"""Bins along each side, of each level: 21 bins in all."""
DROPPED = 0.2


class SpatialPyramidPooling(nn.Module):
    """The largest value of each channel in each bin of a pyramid.

    Bin i of n along a side of H pixels covers floor(i H / n) .. ceil((i + 1) H / n): bins may
    overlap by a pixel, and are never empty, even where H < n.

    Attributes:
        levels: Bins along each side, of each level.
    """

    def __init__(self, levels: Sequence[int] = LEVELS) -> None:
        super().__init__()
        if not levels or not all(_is_count(bins) for bins in levels):
            raise RequestError(
                f"spatial pyramid pooling: levels must be integers of at least 1 such as {LEVELS},"
                f" got {levels!r}"
            )
        self.levels = tuple(levels)

    @property
    def bins(self) -> int:
        """How many numbers are made of a channel."""
        return sum(bins**2 for bins in self.levels)

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, C * bins] of `features` [N, C, H, W]: level by level, in each [C, n, n].

        Height and width must be plain integers while the module is exported.
        """
        return torch.cat([_largest(features, bins).flatten(1) for bins in self.levels], 1)

    def extra_repr(self) -> str:
        """Return what print() shows in the brackets."""
        return f"levels={self.levels}"


class SppClassifier(nn.Module):
    """Images [N, 3, H, W] of any size to logits [N, num_classes]. Keys: features, classifier.1.

    Attributes:
        num_classes: How many logits there are.
        backbone_keys: Where another classifier's weights go: see `bodies.load_backbone`.
    """

    def __init__(
        self, features: nn.Sequential, levels: Sequence[int], *, num_classes: int, prefix: str
    ) -> None:
        super().__init__()
        self.features = features
        self.pool = SpatialPyramidPooling(levels)
        pooled = channels_of(features) * self.pool.bins
        self.classifier = nn.Sequential(nn.Dropout(DROPPED), linear(pooled, num_classes))
        self.num_classes = num_classes
        self.backbone_keys: Mapping[str, str] = {"features.": prefix}

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits [N, num_classes] of `images` [N, 3, H, W]."""
        logits: Tensor = self.classifier(self.pool(self.features(images)))
        return logits


def mobilenet_v2_spp(
    num_classes: int = 1000,
    *,
    width: float = 1.0,
    levels: tuple[int, ...] = LEVELS,
    backbone: str = "mobilenet_v2",
) -> SppClassifier:
    """Return a randomly initialized MobileNetV2 with a pyramid where its mean over the map was.

    The pyramid stands on the last map of 320 channels (at width 1), without the layer of 1280.

    Args:
        num_classes: Number of logits.
        width: Multiplies all channel numbers.
        levels: Bins along each side, of each level.
        backbone: "mobilenet_v2" (torchvision's: symmetric padding, batch-norm eps 1e-5, input with
            the ImageNet mean) or "mobilenet_v2_tf" (SAME padding, eps 1e-3, input RGB / 127.5 - 1).

    Raises:
        RequestError: If `width` is not a number above 0, `num_classes` no integer >= 1, a level no
            integer >= 1, or the backbone another.
    """
    name = "mobilenet_v2_spp"
    check_arguments(name, width=width, num_classes=num_classes)
    mobile = body(name, backbone, known=("mobilenet_v2", "mobilenet_v2_tf"), width=width)
    features = nn.Sequential(OrderedDict(list(mobile.layers.items())[:-1]))
    return SppClassifier(features, levels, num_classes=num_classes, prefix=mobile.prefix)


def bin_edges(size: int, bins: int) -> tuple[tuple[int, int], ...]:
    """Return the first pixel of each of `bins` bins along `size` pixels, and the one behind it."""
    return tuple((i * size // bins, -(-(i + 1) * size // bins)) for i in range(bins))


def _largest(features: Tensor, bins: int) -> Tensor:
    """Return [N, C, bins, bins], in words that delegates have: adaptive pools gather pixels."""
    rows, columns = (_window(bin_edges(size, bins)) for size in features.shape[-2:])
    if rows is not None and columns is not None:
        return F.max_pool2d(features, (rows[0], columns[0]), (rows[1], columns[1]))
    return _largest_along(_largest_along(features, 2, bins), 3, bins)


def _largest_along(features: Tensor, axis: int, bins: int) -> Tensor:
    """Return `features`, the largest of each bin along an axis (2 or 3) in its place."""
    edges = bin_edges(features.shape[axis], bins)
    window = _window(edges)
    if window is not None:
        return F.max_pool2d(features, _on_axis(axis, window[0]), _on_axis(axis, window[1]))
    parts = [features.narrow(axis, start, stop - start) for start, stop in edges]
    return torch.cat([F.max_pool2d(one, _on_axis(axis, one.shape[axis])) for one in parts], axis)


def _window(edges: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """Return the width of the bins and the step between them, in pixels; None if they differ."""
    widths = {stop - start for start, stop in edges}
    steps = {after[0] - before[0] for before, after in pairwise(edges)} or {1}
    regular = len(widths) == len(steps) == 1 and min(steps) > 0
    return (widths.pop(), steps.pop()) if regular else None


def _on_axis(axis: int, pixels: int) -> tuple[int, int]:
    """Return (height, width) that are `pixels` along an axis (2 or 3), and 1 along the other."""
    return (pixels, 1) if axis == 2 else (1, pixels)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
