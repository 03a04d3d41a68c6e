"""Pooling and means: the file's every integer is the twin's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from intaglio.errors import UnsupportedByTarget
from intaglio.numerics.affine import dequantize
from intaglio.numerics.spec import QuantParams, per_tensor
from intaglio.ops.padding import same_margins
from intaglio.runtimes import LITERT
from intaglio.targets.target import Target
from runtimes.litert.ops.harness import ACTIVATIONS, IMAGES, TARGETS, Network, cases

CASES = cases(200)

both_targets = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)

AXES: dict[int, list[tuple[int, ...]]] = {
    2: [(1,)],
    3: [(1,), (2,), (1, 2)],
    4: [(1,), (2,), (3,), (2, 3), (1, 2), (1, 3), (1, 2, 3)],
    5: [(1,), (2,), (4,), (3, 4), (1, 3), (2, 3, 4)],
}


def max_pool2d(seed: int) -> Network:
    """Return a network of one max pool, with no padding, SAME, or any below the window's size."""
    network = Network(seed)
    choose = network.choose
    kernel, stride = (choose(1, 2, 3), choose(1, 2, 5)), (choose(1, 2, 3), choose(1, 2))
    size = (choose(3, 5, 6, 9), choose(5, 7, 8))
    grid = per_tensor(network.scale(2.0**-6, 2.0**-2), network.zero_point())
    any_padding = tuple(choose(*range(side)) for side in (*kernel[:1] * 2, *kernel[1:] * 2))
    attrs: dict[str, Any] = {
        "kernel": kernel,
        "stride": stride,
        "padding": choose((0, 0, 0, 0), same_margins(size, kernel, stride, (1, 1)), any_padding),
        "dilation": (1, 1),
        "ceil_mode": False,
        "activation": choose(*ACTIVATIONS),
    }
    x = network.input((choose(1, 3, 17), *size), grid)
    network.add("max_pool2d", [x], attrs, grid=grid)
    return network


@both_targets
def test_max_pool2d_gives_the_bits_of_the_runtime(target: Target) -> None:
    for seed in range(CASES):
        network = max_pool2d(seed)
        attrs = network.graph["max_pool2d"].attrs

        counts = network.assert_same_bits(target)

        # the delegate leaves windows with gaps between them to the built-in kernel
        gaps = attrs["stride"] > attrs["kernel"] or attrs["stride"][1] > attrs["kernel"][1]
        if target is LITERT:
            assert counts.builtin == (["MAX_POOL_2D"] if gaps else []), f"seed {seed}: {attrs}"


@both_targets
def test_the_largest_over_axes_gives_the_bits_of_the_runtime(target: Target) -> None:
    for seed in range(CASES):
        network = Network(seed)
        rank = network.choose(2, 3, 4, 4, 5)
        x = network.input([int(size) for size in network.random.integers(1, 7, rank - 1)])
        attrs = {"axes": network.choose(*AXES[rank]), "keepdim": bool(seed % 2)}
        network.add("reduce_max", [x], attrs, grid=network.grids[x])

        counts = network.assert_same_bits(target)

        assert target.is_reference or not counts.builtin, f"seed {seed}: {counts.builtin}"


def avg_pool2d(seed: int, **changes: Any) -> Network:
    """Return a network of one average pool of whole windows."""
    network = Network(seed)
    choose = network.choose
    attrs = {
        "kernel": (choose(1, 2, 3, 7), choose(1, 2, 5)),
        "stride": (choose(1, 2, 3), choose(1, 2)),
        "padding": (0, 0),
        "ceil_mode": False,
        "count_include_pad": True,
        "divisor": None,
        **changes,
    }
    x = network.input((choose(1, 3, 17), choose(7, 9), choose(5, 7, 8)))
    network.add("avg_pool2d", [x], attrs, grid=network.grids[x])
    return network


@both_targets
def test_avg_pool2d_gives_the_bits_of_the_runtime(target: Target) -> None:
    for seed in range(CASES):
        counts = avg_pool2d(seed).assert_same_bits(target)

        assert "AVERAGE_POOL_2D" in counts.builtin


@both_targets
@pytest.mark.parametrize("changes", [{"padding": (1, 1)}, {"ceil_mode": True}, {"divisor": 5}])
def test_avg_pool2d_refuses_windows_that_differ(changes: dict[str, Any], target: Target) -> None:
    network = avg_pool2d(0, kernel=(3, 3), stride=(2, 2), **changes)

    with pytest.raises(UnsupportedByTarget, match="layer 'avg_pool2d'"):
        network.assert_same_bits(target)


@both_targets
@pytest.mark.parametrize("op", ["max_pool2d", "avg_pool2d"])
def test_pools_refuse_a_result_on_another_grid(op: str, target: Target) -> None:
    network = max_pool2d(1) if op == "max_pool2d" else avg_pool2d(1)
    network.grids[op] = per_tensor(1.0, 3)

    with pytest.raises(UnsupportedByTarget, match="different grids"):
        network.assert_same_bits(target)


def mean(seed: int, rank: int) -> Network:
    """Return a network of one mean over some axes of a value with `rank` axes."""
    network = Network(seed)
    sizes = network.random.integers(1, 9, rank - 1)
    attrs = {"axes": network.choose(*AXES[rank]), "keepdim": bool(network.choose(False, True))}
    x = network.input(tuple(int(size) for size in sizes))
    grid = network.grids[x] if network.random.random() < 0.2 else None
    network.add("mean", [x], attrs, grid=grid)
    return network


@both_targets
@pytest.mark.parametrize("rank", sorted(AXES))
def test_mean_gives_the_bits_of_the_runtime(rank: int, target: Target) -> None:
    for seed in range(CASES if rank == 4 else cases(60)):
        counts = mean(seed, rank).assert_same_bits(target)

        assert (not target.is_reference) == (counts.builtin == []), f"seed {seed}: {counts.builtin}"


@both_targets
def test_mean_next_to_ties_gives_the_bits_of_the_runtime(target: Target) -> None:
    """The means of 255 * 251 values lie so dense that an ulp in a constant turns many of these."""
    for seed in range(12):
        network = Network(seed)
        x = network.input((16, 255, 251), per_tensor(network.scale(), network.zero_point()))
        grid = per_tensor(
            float(network.grids[x].step) * network.scale(0.6, 1.9), network.zero_point()
        )
        integers = images_near_ties(network, network.grids[x], grid)
        network.values[x] = dequantize(integers, network.grids[x])
        network.add("mean", [x], {"axes": (2, 3), "keepdim": True}, grid=grid)

        network.assert_same_bits(target)


def images_near_ties(network: Network, x: QuantParams, y: QuantParams) -> Tensor:
    """Return integers [IMAGES, 16, 255, 251] whose means come next to the middle of two steps."""
    count = 255 * 251
    wanted = network.random.uniform(x.spec.qmin, x.spec.qmax - 1, IMAGES * 16)
    ratio = float(x.step) / float(y.step)
    middle = np.floor((wanted - x.zero) * ratio) + 0.5
    sums = np.round((middle / ratio + x.zero) * count).astype(np.int64)
    sums += network.random.integers(-1, 2, sums.shape)
    lowest, highest = count * x.spec.qmin, count * (x.spec.qmax - 1)
    base, rest = np.divmod(sums.clip(lowest, highest), count)
    pixels = base[:, None] + (np.arange(count) < rest[:, None])
    return torch.from_numpy(pixels.reshape(IMAGES, 16, 255, 251))


@both_targets
def test_mean_refuses_sums_beyond_float32(target: Target) -> None:
    network = Network(0)
    network.input((1, 1, 1))
    network.graph["x"].shape = (-1, 1, 257, 257)
    network.values["x"] = torch.zeros(1, 1, 257, 257)
    network.add("mean", ["x"], {"axes": (2, 3), "keepdim": True})

    with pytest.raises(UnsupportedByTarget, match="sums beyond"):
        network.assert_same_bits(target)


@both_targets
@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("zero_point", [-3, -2, 3, 4])
def test_a_fused_clamp_on_a_tie_rounds_as_the_kernel_that_runs(
    target: Target, stride: int, zero_point: int
) -> None:
    ties = [np.float32(6.0) / np.float32(steps + 0.5) for steps in range(8, 90)]
    ties = [scale for scale in ties if float(np.float32(6.0) / scale) % 1.0 == 0.5]
    assert len(ties) > 20
    for seed, scale in enumerate(ties):
        network = Network(seed)
        attrs: dict[str, Any] = {
            "kernel": (2, 2),
            "stride": (stride, stride),  # 3 leaves gaps: a built-in kernel on both targets
            "padding": (0, 0, 0, 0),
            "dilation": (1, 1),
            "ceil_mode": False,
            "activation": (0.0, 6.0),
        }
        grid = per_tensor(float(scale), zero_point)
        network.add("max_pool2d", [network.input((3, 8, 8), grid)], attrs, grid=grid)

        network.assert_same_bits(target)
