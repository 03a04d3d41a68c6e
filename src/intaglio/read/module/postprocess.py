"""What a module's outputs are made into, where it says so itself: boxes, or classes of pixels."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from intaglio.errors import CaptureError
from intaglio.targets.ending import Ending


def own_postprocess(module: nn.Module, input_shape: Sequence[int]) -> Ending | None:
    """Return what the module itself says by a method `postprocess(input_size)`; None without one.

    Args:
        input_shape: (1, C, H, W) that it is deployed at.

    Raises:
        CaptureError: If the method gives anything else.
    """
    method = getattr(module, "postprocess", None)
    if not callable(method) or len(input_shape) != 4 or isinstance(method, nn.Module):
        return None
    found = method((input_shape[2], input_shape[3]))
    if not isinstance(found, Ending):
        raise CaptureError(
            f"{type(module).__name__}.postprocess returns {type(found).__name__}: let it return an"
            " intaglio.boxes.postprocess.PostProcess or TwoStage, or an"
            " intaglio.maps.postprocess.MapPostProcess, or call it something else"
        )
    return found
