"""Ways to write a network in PyTorch, one class each."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from architectures.blocks import Classifier, conv_norm


class Functional(nn.Module):
    """No layer modules: parameters and functional calls only."""

    def __init__(self) -> None:
        super().__init__()
        self.stem_weight = nn.Parameter(torch.randn(8, 3, 3, 3) * 0.2)
        self.stem_bias = nn.Parameter(torch.randn(8) * 0.1)
        self.gamma = nn.Parameter(torch.rand(8) + 0.5)
        self.beta = nn.Parameter(torch.randn(8) * 0.1)
        self.register_buffer("mean", torch.randn(8) * 0.1)
        self.register_buffer("variance", torch.rand(8) + 0.5)
        self.head_weight = nn.Parameter(torch.randn(10, 8))

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 1, 0, 1))
        x = F.conv2d(x, self.stem_weight, self.stem_bias, stride=2)
        x = F.batch_norm(x, self.mean, self.variance, self.gamma, self.beta, training=False)
        x = F.max_pool2d(F.relu6(x), 2)
        x = F.hardtanh(F.avg_pool2d(x, 2), -0.5, 0.5)
        x = F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1)
        x = F.dropout(x, 0.5, training=self.training)
        return F.linear(x, self.head_weight)


class Reused(nn.Module):
    """One convolution, one batch norm and one ReLU, called several times."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.conv = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.head = Classifier(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(x))
        x = self.relu(self.norm(self.conv(x)))
        x = self.relu(self.norm(self.conv(x)))
        return self.head(self.relu(self.conv(x)))


class InPlace(nn.Module):
    """Values changed where they are."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 2, 1)
        self.conv2 = nn.Conv2d(8, 8, 3, 1, 1)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        y = self.norm(self.conv2(x))
        y += x
        y.relu_()
        y.add_(x).mul_(0.5)
        y[:, 0] = 0.25
        y[:, 1:3].clamp_(max=0.5)
        F.relu(y, inplace=True)
        return y.sub_(1.0).clamp_(-0.5, 0.5)


class Containers(nn.Module):
    """Sequential, ModuleList and ModuleDict inside each other."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            [nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU()), conv_norm(8, 8, 3)]
        )
        self.heads = nn.ModuleDict(
            {"scores": nn.Conv2d(8, 4, 1), "offsets": nn.Sequential(nn.Conv2d(8, 2, 1), nn.Tanh())}
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return torch.cat([head(x) for head in self.heads.values()], 1)


class ConvolutionForms(nn.Module):
    """Padding by name, even kernels, groups, dilation, unequal sizes, other padding modes."""

    def __init__(self) -> None:
        super().__init__()
        self.same = nn.Conv2d(3, 8, 3, padding="same")
        self.same_even = nn.Conv2d(8, 8, 4, padding="same", bias=False)
        self.same_dilated = nn.Conv2d(8, 8, (2, 3), padding="same", dilation=(3, 2))
        self.valid = nn.Conv2d(8, 8, (3, 1), padding="valid")
        self.grouped = nn.Conv2d(8, 12, 3, stride=(2, 1), padding=(1, 0), groups=4)
        self.multiplied = nn.Conv2d(12, 24, 3, groups=12, dilation=2)
        self.reflected = nn.Conv2d(24, 8, 3, padding=1, padding_mode="reflect")
        self.transposed = nn.ConvTranspose2d(8, 8, 3, dilation=2, groups=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.same_dilated(self.same_even(self.same(x)))
        return self.transposed(self.reflected(self.multiplied(self.grouped(self.valid(x)))))


class PoolForms(nn.Module):
    """Every pooling that is written differently."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.max = nn.MaxPool2d((3, 2), stride=(2, 1), padding=(1, 0), ceil_mode=True)
        self.dilated = nn.MaxPool2d(2, stride=1, dilation=2)
        self.average = nn.AvgPool2d(2, ceil_mode=True)
        self.adaptive = nn.AdaptiveAvgPool2d((4, None))
        self.adaptive_max = nn.AdaptiveMaxPool2d(3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.average(self.dilated(self.max(self.stem(x))))
        x = F.avg_pool2d(self.adaptive(x), 2, stride=1, divisor_override=3)
        return self.adaptive_max(x).amax((2, 3)) + x.mean(dim=[-1, -2])


class ReturnsTuple(nn.Module):
    """Two outputs, one of which the other is made from."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv_norm(3, 8, 3, stride=2)
        self.head = Classifier(8)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.conv(x)
        return features, self.head(features)


class ReturnsDict(nn.Module):
    """Outputs by name, nested."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv_norm(3, 8, 3, stride=2)
        self.box = nn.Conv2d(8, 4, 1)
        self.score = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> dict[str, object]:
        x = self.conv(x)
        return {"boxes": self.box(x), "rest": [self.score(x).sigmoid(), x]}


class ConstantBuffer(nn.Module):
    """Stored tensors in arithmetic: normalization inside the network, a tensor made in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.rand(1, 3, 1, 1))
        self.register_buffer("deviation", torch.rand(3) + 0.5, persistent=False)
        self.conv = nn.Conv2d(3, 8, 3, 2)
        self.temperature = nn.Parameter(torch.tensor(1.5))

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / self.deviation[None, :, None, None]
        x = 1 - self.conv(x) * torch.tensor(0.5)
        return -x / self.temperature + torch.arange(x.shape[-1], dtype=x.dtype)


class Vocabulary(nn.Module):
    """Ops that few networks have, all of which are held."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2, 1)
        self.norm = nn.GroupNorm(2, 8)
        self.prelu = nn.PReLU(8)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.prelu(self.norm(self.conv(x))))  # [N, 8, 16, 16]
        x = torch.maximum(x, x.flip(1)) - torch.minimum(x, x.amax((2, 3), keepdim=True))
        rows = F.avg_pool2d(x, 2).flatten(2)  # [N, 8, 64]
        x = x + (rows @ rows.transpose(1, 2)).mean(2)[..., None, None] / 64
        return self.shuffle(x)


class Choices(nn.Module):
    """Yes and no, which are no numbers on a grid."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return torch.where(x > x.flip(1), x, x * 0.1)


class UnknownOps(nn.Module):
    """Ops that intaglio has no name for, one with two results and one that needs the batch size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.conv(x)
        x = torch.atan2(x, x + 1)
        values, places = x.flatten(2).max(dim=2)
        x = torch.cat([x, x.new_zeros(x.shape[0], 1, *x.shape[2:])], 1)
        return values + x.sum((2, 3))[:, :8], places


class Views(nn.Module):
    """Every spelling of a change of shape."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)  # [N, 8, 8, 8]
        first, second = x.unbind(1)[:2]
        third = x[:, 2:4].narrow(1, 1, 1).squeeze(1)
        joined = torch.stack([first, second, third, x.select(1, -1)], 1)
        joined = joined.unflatten(1, (2, 2)).movedim(1, 2).flatten(1, 2).swapaxes(2, 3)
        columns = joined.reshape(joined.shape[0], 4, -1).unsqueeze(1).squeeze(1)
        return torch.cat(torch.tensor_split(columns, 2, dim=2)[::-1], 1).mT
