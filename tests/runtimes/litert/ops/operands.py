"""Pairs of operands in every broadcast form, and scales on which all processors agree.

The formulas of x86-64 are tested on scales as they come, where the tests run there. On every second
network, and on all of them elsewhere, the scales are first moved as calibration moves them: the
twin is then the same on every processor.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from calibrate.planned import plan_of
from intaglio.numerics.spec import QuantParams, per_tensor
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.scales.nudge import nudge_scales
from intaglio.targets.target import Target
from runtimes.litert.ops.harness import Network, cases

CASES = cases(200)
IS_X86 = platform.machine().lower() in ("x86_64", "amd64")
FORMS = ("value", "constant", "scalar", "channel", "pixel", "means", "channel_mean", "crossed")


def size(network: Network) -> int:
    """Return a small size; odd ones and 1 among them."""
    return int(network.random.integers(1, 9))


def operands(network: Network, form: str, rank: int = 4) -> tuple[str, str]:
    """Return two values whose shapes broadcast in the way that `form` says, in either order.

    "crossed" is [N, C, 1, 1] beside [N, 1, H, W]; forms with means have four axes.
    """
    rank = 4 if form in ("means", "channel_mean", "crossed") else rank
    channels, sizes = size(network), tuple(size(network) for _ in range(rank - 2))
    x = network.input((2 * channels, *sizes), per_tensor(network.scale(), network.zero_point()))
    first = network.operand(x, 0, channels)
    ones = (1,) * len(sizes)
    shapes = {
        "constant": (1, channels, *sizes),
        "scalar": (1, 1, *ones),
        "channel": (1, channels, *ones),
        "pixel": (1, 1, *sizes),
    }
    if form == "value":
        second = network.operand(x, channels, 2 * channels)
    elif form in shapes:
        largest = float(network.values[first].abs().max())
        second = constant(network, shapes[form], largest * network.scale(2.0**-4, 2.0**2))
    else:
        axes = (1,) if form == "channel_mean" else (2, 3)
        second = network.add("mean", [first], {"axes": axes, "keepdim": True})
        if form == "crossed":
            first = network.add("mean", [first], {"axes": (1,), "keepdim": True})
    return network.choose((first, second), (second, first))


def constant(network: Network, shape: tuple[int, ...], largest: float = 1.0) -> str:
    """Add a constant of random reals up to about `largest`; return its name."""
    reals = network.random.uniform(-largest, largest, shape)
    value = torch.from_numpy(np.asarray(reals, np.float32))
    grid = network.grid_around(value)
    return network.add("constant", [], params={"value": value}, grid=grid, output=False)


def settle(network: Network, target: Target) -> None:
    """Move the scales to where all processors agree, unless this network tests x86-64 as it is."""
    if target is LITERT and not (IS_X86 and network.seed % 2):
        settle_always(network)


def settle_always(network: Network) -> None:
    """Move the scales to where all processors agree, grids that would be prescribed included."""
    plan = replace(plan_of(network.graph, LITERT, "w8a8"), fixed={}, derived={})
    network.grids.update(nudge_scales(network.graph, plan, network.grids, LITERT.name)[1])


def assert_bits(
    make: Callable[[int], Network],
    target: Target,
    *,
    cases: int = CASES,
    builtin: str | None = None,
) -> None:
    """Assert that file and twin agree on `cases` networks, and that the delegate takes all of them.

    Args:
        make: Seed to network.
        builtin: The op, if any, that is known to run outside the delegate.
    """
    for seed in range(cases):
        network = make(seed)
        settle(network, target)

        counts = network.assert_same_bits(target)

        if target is LITERT:
            assert set(counts.builtin) == ({builtin} if builtin else set()), f"seed {seed}"
            assert builtin or counts.partitions == 1, f"seed {seed}"


def every_integer(grid: QuantParams) -> Tensor:
    """Return one image [1, 1, 16, 16] with every integer of a grid."""
    integers = torch.arange(grid.spec.qmin, grid.spec.qmax + 1).reshape(1, 1, 16, 16)
    return (integers - grid.zero_point).float() * grid.scale
