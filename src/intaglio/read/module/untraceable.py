"""Why torch.export cannot follow a network, and where: in words of the user's own code."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import FrameType

import torch
from torch import nn
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from intaglio.read.module.quiet import one_line

OTHERS = (str(Path(torch.__file__).parent), str(Path(__file__).parent))
"""Folders whose code is not the user's."""
NUMPY = (".numpy() is not supported", "numpy", "__array__")


def why(error: Exception, model: nn.Module) -> str:
    """Return what stopped torch.export, where in the network and its code, and what to do."""
    where = _place(error, model)
    if isinstance(error, GuardOnDataDependentSymNode) or "data-dependent" in str(error):
        return (
            f"control flow or sizes that depend on values{where}: a file does the same for every"
            " image. Take such code out of forward(): an `if` on a tensor, .item(), nonzero, NMS"
        )
    if any(word in str(error) for word in NUMPY):
        return (
            f"values leave torch for NumPy{where}: {one_line(error)}. Compute them with torch, or"
            " take them out of forward()"
        )
    return f"{one_line(error)}{where}. Take what torch.export cannot follow out of forward()"


def _place(error: Exception, model: nn.Module) -> str:
    """Return the innermost layer and line of code that is not torch's, as words; "" for none."""
    names = {id(module): name for name, module in model.named_modules()}
    layer, line = "", ""
    step = error.__traceback__
    while step is not None:
        frame = step.tb_frame
        layer = names.get(id(frame.f_locals.get("self")), "") or layer
        if _is_users(frame):
            file = Path(frame.f_code.co_filename).name
            line = f" in {file}, line {step.tb_lineno}, {frame.f_code.co_name}()"
        step = step.tb_next
    return (f" (layer '{layer}')" if layer else "") + line


def _is_users(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    is_file = not file.startswith("<") and file != contextlib.__file__
    return is_file and not file.startswith(OTHERS)
