"""Seven detectors laid out as torchvision's: names, calls and what flows between modules.

Small, with random weights at which some dozens of boxes are found in each picture. Nothing here is
torchvision's code, and weights of its detectors do not fit: widths differ.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from detectors.fitting import Spread, fit
from detectors.pictures import example, pictures
from detectors.torchvision_style.fcos import fcos
from detectors.torchvision_style.retinanet import retinanet
from detectors.torchvision_style.ssd import ssd, ssdlite
from detectors.torchvision_style.two_stage import fasterrcnn_mobilenet, fasterrcnn_resnet, maskrcnn

CLASSES = 4
"""Of each detector; 0 is the background where there is a softmax."""
SIGMOID = Spread(1.6, (-5.1,))
"""Of logits of a class each."""


def _softmax(background: float) -> Spread:
    """Return a spread of logits, of which the background's are this much higher."""
    return Spread(1.6, (background, 0.0, 0.0, 0.0))


def _fitted(
    network: Callable[[int], nn.Module], seed: int, *, shown: int = 6, **wanted: Spread
) -> nn.Module:
    by_end = {end.replace("__", "."): spread for end, spread in wanted.items()}
    seen = pictures(shown, seed=seed + 100)
    return fit(network(CLASSES), lambda module: module(seen), by_end, seed)


def _predictors(maps: int, layer: str, *, background: float) -> dict[str, Spread]:
    """Return what the predictors of SSD's maps shall give; `layer` is theirs that predicts."""
    ends = [f"module_list__{index}{layer}" for index in range(maps)]
    return {f"classification_head__{end}": _softmax(background) for end in ends} | {
        f"regression_head__{end}": Spread(1.0) for end in ends
    }


def small_ssdlite(seed: int = 0) -> nn.Module:
    """Return an SSDLite on a MobileNetV3."""
    # Its last maps are of one pixel: their statistics are over the pictures alone.
    return _fitted(ssdlite, seed, shown=20, **_predictors(6, "__1", background=4.5))


def small_ssd(seed: int = 0) -> nn.Module:
    """Return an SSD on a VGG."""
    return _fitted(ssd, seed, **_predictors(4, "", background=5.2))


def small_retinanet(seed: int = 0) -> nn.Module:
    """Return a RetinaNet on a ResNet."""
    return _fitted(retinanet, seed, cls_logits=SIGMOID, bbox_reg=Spread(0.3))


def small_fcos(seed: int = 0) -> nn.Module:
    """Return an FCOS on a ResNet."""
    return _fitted(
        fcos, seed, cls_logits=SIGMOID, bbox_reg=Spread(0.5, (1.0,)), bbox_ctrness=Spread(1.0)
    )


def _two_stage(network: Callable[[int], nn.Module], seed: int = 0) -> nn.Module:
    return _fitted(
        network,
        seed,
        rpn__head__bbox_pred=Spread(0.3),
        rpn__head__cls_logits=Spread(2.0),
        cls_score=_softmax(1.5),
        box_predictor__bbox_pred=Spread(1.0),
        mask_fcn_logits=Spread(2.0),
    )


small_fasterrcnn_resnet = partial(_two_stage, fasterrcnn_resnet)
small_fasterrcnn_mobilenet = partial(_two_stage, fasterrcnn_mobilenet)
small_maskrcnn = partial(_two_stage, maskrcnn)

DETECTORS: dict[str, Callable[[], nn.Module]] = {
    "ssdlite": small_ssdlite,
    "ssd": small_ssd,
    "retinanet": small_retinanet,
    "fcos": small_fcos,
    "fasterrcnn_resnet": small_fasterrcnn_resnet,
    "fasterrcnn_mobilenet": small_fasterrcnn_mobilenet,
    "maskrcnn": small_maskrcnn,
}
"""Name to what makes it."""

__all__ = [
    "CLASSES",
    "DETECTORS",
    "example",
    "small_fasterrcnn_mobilenet",
    "small_fasterrcnn_resnet",
    "small_fcos",
    "small_maskrcnn",
    "small_retinanet",
    "small_ssd",
    "small_ssdlite",
]
