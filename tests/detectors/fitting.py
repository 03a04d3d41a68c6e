"""Random weights at which signals keep their size and heads say something.

Each layer is fitted when it first runs, so that the layers after it see what they will see: norms
take the statistics of what comes in, convolutions and linear layers are scaled until what comes out
has the spread that is asked for (Mishkin and Matas 2016).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Spread:
    """What a layer's outputs look like over random images.

    Attributes:
        deviation: Standard deviation over all outputs.
        means: Of the channels; repeated until there is one for each.
    """

    deviation: float = 1.0
    means: tuple[float, ...] = (0.0,)


def fit(
    module: nn.Module, run: Callable[[nn.Module], object], wanted: Mapping[str, Spread], seed: int
) -> nn.Module:
    """Return the module in eval mode with random weights, fitted while `run` runs it once.

    Args:
        wanted: End of a layer's name to what it shall give; others get Spread().

    Layers whose weights need no gradient keep them.
    """
    generator = torch.Generator().manual_seed(seed)
    module.eval()
    hooks = []
    for name, layer in module.named_modules():
        if any(not own.requires_grad for own in layer.parameters(recurse=False)):
            continue
        _draw(layer, generator)
        if hasattr(layer, "running_mean"):
            hooks.append(layer.register_forward_pre_hook(_take_statistics()))
        elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            spreads = [spread for end, spread in wanted.items() if name.endswith(end)]
            hooks.append(layer.register_forward_hook(_scale(*spreads)))
    with torch.no_grad():
        run(module)
    for hook in hooks:
        hook.remove()
    return module.requires_grad_(False)


@torch.no_grad()
def _draw(layer: nn.Module, generator: torch.Generator) -> None:
    """Fill the weights of one layer; norms scale by about 1 and shift by about 0."""
    is_norm = hasattr(layer, "running_mean") or isinstance(layer, nn.GroupNorm)
    for name in ("weight", "bias"):
        values = getattr(layer, name, None)
        if isinstance(values, Tensor):
            noise = torch.randn(values.shape, generator=generator)
            values.copy_(0.2 * noise + (name == "weight") if is_norm else noise)


def _take_statistics() -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    is_fitted = False

    def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal is_fitted
        if not is_fitted:
            layer.running_mean.copy_(inputs[0].mean((0, 2, 3)))
            # Maps of a single pixel hardly vary: their channels are not blown up.
            layer.running_var.copy_(inputs[0].var((0, 2, 3), correction=0).clamp(min=0.1))
            is_fitted = True

    return hook


def _scale(
    spread: Spread = Spread(),
) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor | None]:
    is_fitted = False

    def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        nonlocal is_fitted
        if is_fitted or not output.numel():
            return None
        is_fitted = True
        bias = layer.bias if layer.bias is not None else torch.zeros(1)
        shape = (1, -1, *(1,) * (output.ndim - 2))
        plain = output - bias.view(shape)
        factor = spread.deviation / plain.std().clamp(min=1e-6)
        layer.weight.mul_(factor)
        if layer.bias is None:
            return plain * factor
        means = torch.tensor(spread.means).repeat(len(layer.bias) // len(spread.means))
        # A bias takes the channel's mean away: else some channels would always win.
        layer.bias.copy_(means - (plain * factor).transpose(0, 1).flatten(1).mean(1))
        return plain * factor + layer.bias.view(shape)

    return hook
