"""Bilinear and nearest resizing: the file's every integer is the twin's."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F

from intaglio.errors import UnsupportedByTarget
from intaglio.numerics.spec import per_tensor
from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.ops.resize import nearest_indices, taps_agree, xnnpack_taps
from intaglio.targets.target import Target
from runtimes.litert.ops.harness import TARGETS, Network
from runtimes.litert.ops.operands import assert_bits

both_targets = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
aligned_or_not = pytest.mark.parametrize("align", [False, True], ids=["half_pixel", "aligned"])


def resize_network(
    network: Network,
    size: tuple[int, int],
    out: tuple[int, int],
    *,
    mode: str = "bilinear",
    align: bool = False,
    scales: tuple[float, float] | None = None,
) -> Network:
    """Append input and resize to an empty network; return it."""
    x = network.input((network.choose(1, 2, 3), *size))
    attrs = {"size": out, "mode": mode, "align_corners": align, "scales": scales}
    network.add("resize", [x], attrs, grid=network.grids[x])
    return network


def sizes_that_agree(network: Network, align: bool) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return random (in, out) of height and width that have one meaning on all processors."""
    pairs = []
    while len(pairs) < 2:
        size = int(network.random.integers(1, 20))
        out = network.choose(int(network.random.integers(1, 40)), 2 * size, 3 * size, size)
        if taps_agree(size, out, align):
            pairs.append((size, out))
    return pairs[0], pairs[1]


@both_targets
@aligned_or_not
def test_bilinear_resizing_gives_the_bits_of_the_runtime(align: bool, target: Target) -> None:
    def make(seed: int) -> Network:
        network = Network(seed)
        height, width = sizes_that_agree(network, align)
        size, out = (height[0], width[0]), (height[1], width[1])
        return resize_network(network, size, out, align=align)

    assert_bits(make, target, cases=100)


@both_targets
def test_nearest_resizing_gives_the_bits_of_the_runtime(target: Target) -> None:
    def make(seed: int) -> Network:
        network = Network(seed)
        size = (int(network.random.integers(1, 20)), int(network.random.integers(1, 20)))
        out = (int(network.random.integers(1, 40)), int(network.random.integers(1, 40)))
        return resize_network(network, size, out, mode="nearest")

    # the delegate does not take it; the built-in kernel copies
    assert_bits(make, target, builtin="RESIZE_NEAREST_NEIGHBOR" if target is LITERT else None)


@both_targets
@aligned_or_not
@pytest.mark.parametrize(
    ("size", "out"), [((1, 3), (9, 700)), ((2, 33), (200, 1)), ((5, 1), (1, 1))]
)
def test_extreme_factors_are_held(
    size: tuple[int, int], out: tuple[int, int], align: bool, target: Target
) -> None:
    resize_network(Network(1), size, out, align=align).assert_same_bits(target)


def test_sizes_that_arm_weights_otherwise_are_refused_by_name() -> None:
    assert not taps_agree(7, 11, align=False)

    with pytest.raises(UnsupportedByTarget, match="resizing 7 to 11 gives other weights on ARM"):
        resize_network(Network(1), (4, 7), (8, 11)).assert_same_bits(LITERT)
    resize_network(Network(1), (4, 7), (8, 11)).assert_same_bits(LITERT_REFERENCE)


def test_the_reference_kernel_is_refused_where_it_would_read_past_the_image() -> None:
    with pytest.raises(UnsupportedByTarget, match="past the image's end"):
        resize_network(Network(1), (3, 4), (2047, 4)).assert_same_bits(LITERT_REFERENCE)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_a_factor_that_does_not_lead_to_the_size_is_refused(mode: str) -> None:
    network = resize_network(Network(1), (10, 12), (16, 19), mode=mode, scales=(1.6, 1.6))

    with pytest.raises(UnsupportedByTarget, match="does not lead from 10x12 exactly to 16x19"):
        network.assert_same_bits(LITERT)


@both_targets
def test_a_factor_that_leads_to_the_size_is_held(target: Target) -> None:
    network = resize_network(Network(1), (10, 12), (15, 18), scales=(1.5, 1.5))

    network.assert_same_bits(target)


def test_input_and_result_must_be_on_one_grid() -> None:
    network = resize_network(Network(1), (4, 4), (8, 8))
    network.grids["resize"] = per_tensor(float(network.grids["x"].scale) * 2, 0)

    with pytest.raises(UnsupportedByTarget, match="different grids"):
        network.assert_same_bits(LITERT)


@aligned_or_not
def test_weights_are_the_real_ones_to_the_precision_of_float32(align: bool) -> None:
    for size, out in ((5, 10), (7, 14), (3, 9), (16, 8), (14, 13)):
        taps = xnnpack_taps(size, out, align)
        for index in range(out):
            if align:
                position = Fraction(index * (size - 1), out - 1)
            else:
                position = Fraction((2 * index + 1) * size, 2 * out) - Fraction(1, 2)
            position = min(max(position, Fraction(0)), Fraction(size - 1))
            found = int(taps.first[index]) + Fraction(int(taps.weight[index]), 2048)
            assert abs(found - position) <= Fraction(1, 4096) + Fraction(1, 2**18)


def test_half_pixel_resizing_is_torchs_interpolation_without_aligned_corners() -> None:
    network = resize_network(Network(3), (6, 5), (12, 15))
    x = network.images

    network.assert_same_bits(LITERT)
    twin = build_twin(network.graph, network.encodings(), LITERT)
    wanted = F.interpolate(x, (12, 15), mode="bilinear", align_corners=False)

    step = float(network.grids["x"].step)
    assert (twin(x) - wanted).abs().max() <= step * (0.5 + 255 * 2 / 4096)


def test_nearest_indices_are_torchs() -> None:
    for size in range(1, 40):
        row = torch.arange(float(size)).reshape(1, 1, 1, size)
        for out in range(1, 80):
            wanted = F.interpolate(row, (1, out), mode="nearest").flatten()
            assert torch.equal(nearest_indices(size, out), wanted.long()), (size, out)


def test_integer_factors_agree_on_all_processors() -> None:
    assert all(
        taps_agree(size, size * factor, align=False)
        for size in range(1, 65)
        for factor in range(1, 25)
    )
