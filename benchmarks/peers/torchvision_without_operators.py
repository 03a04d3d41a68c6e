"""Importing this lets torchvision be imported next to a torch without its compiled operators.

Some tools import torchvision and use nothing of it that matters here. Beside a CPU build of torch
its own import fails, because the schemas of operators that its library brings are unknown.
"""

from __future__ import annotations

import torch

LIBRARY = torch.library.Library("torchvision", "DEF")  # the schemas live as long as this does
for name in ("nms", "qnms"):
    LIBRARY.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
