"""The bodies of detectors: classifiers without their last layers, and their weights into them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from intaglio.errors import RequestError, WeightsError
from intaglio.zoo.frozen_norm import COUNTER
from intaglio.zoo.mobilenet_v2 import mobilenet_v2, mobilenet_v2_tf
from intaglio.zoo.mobilenet_v3 import mobilenet_v3_large
from intaglio.zoo.resnet import resnet50_layers

Layers = OrderedDict[str, nn.Module]
NAMED = 3  # how many keys a message names


@dataclass(frozen=True)
class Body:
    """A classifier without its last layers.

    Attributes:
        layers: Its layers by name, run one behind the other.
        prefix: What stands before these names in the classifier's keys.
    """

    layers: Layers
    prefix: str


def _mobilenet_v2(width: float) -> Body:
    return Body(_numbered(mobilenet_v2(width, num_classes=1).features), "features.")


def _mobilenet_v2_tf(width: float) -> Body:
    return Body(_numbered(mobilenet_v2_tf(width, num_classes=1).features), "features.")


def _mobilenet_v3_large(width: float) -> Body:
    return Body(_numbered(mobilenet_v3_large(width, num_classes=1).features), "features.")


def _resnet50(width: float) -> Body:
    return Body(resnet50_layers(width), "")


BODIES: Mapping[str, Callable[[float], Body]] = {
    "mobilenet_v2": _mobilenet_v2,
    "mobilenet_v2_tf": _mobilenet_v2_tf,
    "mobilenet_v3_large": _mobilenet_v3_large,
    "resnet50": _resnet50,
}


def body(detector: str, name: str, *, known: tuple[str, ...], width: float = 1.0) -> Body:
    """Return the randomly initialized body called `name`, its channels times `width`.

    Raises:
        RequestError: If `name` is not among the bodies that the detector is `known` to take.
    """
    if name not in known:
        choices = ", ".join(f"'{one}'" for one in known)
        raise RequestError(f"{detector}: backbone must be one of {choices}, got {name!r}")
    return BODIES[name](width)


def channels_of(layer: nn.Module) -> int:
    """Return the channels that a layer puts out: those of its last convolution."""
    return [m for m in layer.modules() if isinstance(m, nn.Conv2d)][-1].out_channels


def load_backbone(
    detector: nn.Module, weights: Mapping[str, Tensor], *, called: str = "these weights"
) -> tuple[str, ...]:
    """Copy a classifier's weights into the body of a detector of the zoo.

    Which keys are taken the detector's attribute `backbone_keys` says: where its own keys start
    with one of the names there, the classifier's go on from what stands beside it. The classifier's
    last layers are passed over, and so are counters of batches.

    Args:
        detector: One that has `backbone_keys`; changed in place, or on any error not at all.
        weights: A classifier's state dict.
        called: What messages call the weights.

    Returns the classifier's keys that were taken, sorted.

    Raises:
        RequestError: If the module says nothing of a classifier in it.
        WeightsError: If weights of the body are missing or have another shape.
    """
    own = backbone_tensors(detector)
    wrong = [
        _complaint(key, tensor, weights.get(key))
        for key, tensor in own.items()
        if key not in weights or weights[key].shape != tensor.shape
    ]
    if wrong:
        more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        raise WeightsError(
            f"{called} do not fit the body of {type(detector).__name__}:"
            f" {'; '.join(wrong[:NAMED])}{more}. Give those of its classifier, of the same width"
        )
    with torch.no_grad():
        for key, tensor in own.items():
            tensor.copy_(weights[key])
    return tuple(sorted(own))


def backbone_tensors(detector: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a detector's body, those it computes with, by the classifier's keys.

    Raises:
        RequestError: If the module says nothing of a classifier in it.
    """
    prefixes = getattr(detector, "backbone_keys", None)
    if not isinstance(prefixes, Mapping):
        raise RequestError(
            f"{type(detector).__name__} has no backbone_keys, which say where in it a classifier's"
            " layers stand: give a detector or a segmenter of the zoo"
        )
    own = {key: tensor for key, tensor in detector.state_dict().items() if not _is_counter(key)}
    return {
        theirs: tensor
        for key, tensor in own.items()
        if (theirs := _classifier_key(key, prefixes)) is not None
    }


def _classifier_key(key: str, prefixes: Mapping[str, str]) -> str | None:
    for prefix, theirs in prefixes.items():
        if key.startswith(prefix):
            return theirs + key.removeprefix(prefix)
    return None


def _complaint(key: str, wanted: Tensor, got: Tensor | None) -> str:
    if got is None:
        return f"'{key}' is missing"
    return f"'{key}' has the shape {list(got.shape)}, not {list(wanted.shape)}"


def _is_counter(key: str) -> bool:
    return key.endswith(f".{COUNTER}")


def _numbered(features: nn.Sequential) -> Layers:
    return OrderedDict(features.named_children())
