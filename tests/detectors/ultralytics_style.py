"""A detector laid out as YOLOv8: no anchors, sides as distributions, decoded inside forward()."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detectors.fitting import Spread, fit
from detectors.pictures import batch
from detectors.yolo_layers import C2f, Conv, Layered, path_aggregation

CLASSES = 4
WIDTHS = (16, 24, 32)
STRIDES = (8, 16, 32)


class DFL(nn.Module):
    """The mean of a distribution over `c1` steps, by a convolution whose weights are the steps."""

    def __init__(self, c1: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c1, 1, 1, bias=False).requires_grad_(False)
        self.conv.weight.copy_(torch.arange(c1, dtype=torch.float).view(1, c1, 1, 1))
        self.c1 = c1

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, 4, P] from [N, 4 * c1, P]."""
        batch_size, _, places = x.shape
        likely = x.view(batch_size, 4, self.c1, places).transpose(2, 1).softmax(1)
        return self.conv(likely).view(batch_size, 4, places)


class Detect(nn.Module):
    """Boxes (centre, size, in pixels) and class scores: [N, 4 + K, P].

    The raw maps come with them where `export` is off. Places are kept from call to call.
    """

    def __init__(self, classes: int, widths: tuple[int, ...], export: bool) -> None:
        super().__init__()
        self.nc, self.reg_max, self.export = classes, 16, export
        self.no = classes + self.reg_max * 4
        self.stride = torch.tensor(STRIDES, dtype=torch.float)
        self.shape: torch.Size | None = None
        self.anchors, self.strides = torch.empty(0), torch.empty(0)
        self.cv2 = nn.ModuleList([self._branch(width, 4 * self.reg_max) for width in widths])
        self.cv3 = nn.ModuleList([self._branch(width, classes) for width in widths])
        self.dfl = DFL(self.reg_max)

    @staticmethod
    def _branch(channels: int, out_channels: int) -> nn.Sequential:
        return nn.Sequential(Conv(channels, 16, 3), Conv(16, 16, 3), nn.Conv2d(16, out_channels, 1))

    def forward(self, x: list[Tensor]) -> Tensor | tuple[Tensor, list[Tensor]]:
        for index in range(len(x)):
            x[index] = torch.cat((self.cv2[index](x[index]), self.cv3[index](x[index])), 1)
        decoded = self._inference(x)
        return decoded if self.export else (decoded, x)

    def _inference(self, x: list[Tensor]) -> Tensor:
        shape = x[0].shape
        joined = torch.cat([maps.view(shape[0], self.no, -1) for maps in x], 2)
        if self.shape != shape[2:]:
            self.anchors, self.strides = (one.transpose(0, 1) for one in self._places(x))
            self.shape = shape[2:]
        box, scores = joined.split((self.reg_max * 4, self.nc), 1)
        boxes = self.decode_bboxes(self.dfl(box), self.anchors.unsqueeze(0)) * self.strides
        return torch.cat((boxes, scores.sigmoid()), 1)

    def _places(self, x: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the centres [P, 2] of all places, in strides, and the strides [P, 1]."""
        centres, strides = [], []
        for maps, stride in zip(x, self.stride, strict=True):
            rows, columns = maps.shape[2:]
            y, x_ = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
            centres.append(torch.stack((x_, y), -1).view(-1, 2) + 0.5)
            strides.append(torch.full((rows * columns, 1), float(stride)))
        return torch.cat(centres), torch.cat(strides)

    def decode_bboxes(self, distances: Tensor, anchors: Tensor) -> Tensor:
        """Return centre and size [N, 4, P] from distances to the sides [N, 4, P]."""
        before, after = distances.chunk(2, 1)
        start, end = anchors - before, anchors + after
        return torch.cat(((start + end) / 2, end - start), 1)


def small_yolov8(seed: int = 0, *, export: bool = True) -> nn.Module:
    """Return a detector that takes [N, 3, H, W], with sides that are multiples of 32."""
    layers = path_aggregation(C2f, Conv(3, 8, 3, 2), Detect(CLASSES, WIDTHS, export))
    wanted = {}
    for level in range(len(WIDTHS)):
        # Probability falls with distance: boxes of a few strides, not of fifteen.
        wanted[f"22.cv2.{level}.2"] = Spread(1.0, tuple(-0.8 * step for step in range(16)))
        wanted[f"22.cv3.{level}.2"] = Spread(1.6, (-4.0,))
    return fit(Layered(layers), lambda module: module(batch(4, seed=seed + 100)), wanted, seed)
