"""Integer RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR; input and output share one grid.

Bilinear, for output index k; align = 1 where corners are aligned and there is more than one output:
    xnnpack    step = f32((in - align) / (out - align))
               position = f32(k step) where corners are aligned
                          f32(f32(k step) + f32(f32(step / 2) - 1/2)) where not; clamped
               first = floor(position), weight = rint((position - first) 2048)
               t = (left << 11) + (right - left) weight_x, b likewise from the row below
               q_y = ((t << 11) + (b - t) weight_y + 2^21) >> 22
    reference  step = (1024 in + out / 2) / out in integers; position = k step + step / 2 - 512
               four products with weights of 1024 in all, / 2^20 rounded half away from zero
ARM fuses the multiply-add of `position`: xnnpack refuses sizes on which that changes anything.

Nearest: first = min(floor(f32(k f32(in / out))), in - 1), a copy on every target and processor.

Kernels: XNNPACK's indirection.c and s8-ibilinear, LiteRT's reference resize_bilinear and
resize_nearest_neighbor; ai-edge-litert 2.3.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from intaglio.ir.graph import Node
from intaglio.numerics.fused import fused_multiply_add
from intaglio.ops.resize import follows_sizes
from intaglio.runtimes.litert.ops.site import LitertSite, integer_kernel
from intaglio.runtimes.litert.ops.writing import Writing, tflite_op
from intaglio.targets.site import Kernel, as_float, refuse_other_grid

XNNPACK_WEIGHT_BITS = 11
REFERENCE_WEIGHT_BITS = 10
Positions = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Taps:
    """Where one axis of a bilinear resize reads, and with which weight.

    Attributes:
        first, second: Indices of the two entries, int64 [out].
        weight: Share of the second one in units of 2**-bits, int64 [out].
        bits: See `weight`.
    """

    first: Tensor
    second: Tensor
    weight: Tensor
    bits: int

    def blend(self, values: Tensor, axis: int) -> Tensor:
        """Return int32 `values` interpolated along `axis`, times 2**bits."""
        shape = [1] * values.ndim
        shape[axis] = -1
        left = values.index_select(axis, self.first)
        right = values.index_select(axis, self.second)
        return (left << self.bits) + (right - left) * self.weight.to(torch.int32).reshape(shape)


@integer_kernel("resize")
def prepare_resize(site: LitertSite) -> Kernel:
    """Bilinear or nearest interpolation to a fixed size."""
    refuse_other_grid(site)
    # (in, out) of height and width
    sizes = [(site.input_shapes[0][axis], site.node.shape[axis]) for axis in (2, 3)]
    _require_sizes_from_scales(site, sizes)
    if site.node.attrs["mode"] == "nearest":
        return _prepare_nearest(sizes)
    align = bool(site.node.attrs["align_corners"])
    if site.is_reference:
        return _prepare_reference(site, [reference_taps(*pair, align) for pair in sizes])
    for pair in sizes:
        if not taps_agree(*pair, align):
            raise site.refuse(
                f"resizing {pair[0]} to {pair[1]} gives other weights on ARM than on x86-64",
                "Choose another size: an integer factor always works",
            )
    return _prepare_xnnpack([xnnpack_taps(*pair, align) for pair in sizes])


def _require_sizes_from_scales(site: LitertSite, sizes: Sequence[tuple[int, int]]) -> None:
    if not follows_sizes(site.node, site.input_shapes[0]):
        (height, new_height), (width, new_width) = sizes
        raise site.refuse(
            f"scale_factor {site.node.attrs['scales']} does not lead from {height}x{width} exactly"
            f" to {new_height}x{new_width}",
            "Give interpolate the size, or recompute_scale_factor=True",
        )


def _prepare_nearest(sizes: Sequence[tuple[int, int]]) -> Kernel:
    rows, columns = (nearest_indices(*pair) for pair in sizes)

    def kernel(inputs: Sequence[Tensor]) -> Tensor:
        """Return copies of the nearest integers, [N, C, H_out, W_out]."""
        return inputs[0].index_select(2, rows).index_select(3, columns)

    return kernel


def nearest_indices(size: int, out: int) -> Tensor:
    """Return the index that each of `out` entries copies, int64 [out]."""
    step = np.float32(size) / np.float32(out)
    indices = np.floor(np.arange(out, dtype=np.float32) * step).astype(np.int64)
    return torch.from_numpy(np.minimum(indices, size - 1))


def _prepare_xnnpack(taps: Sequence[Taps]) -> Kernel:
    shift = 2 * XNNPACK_WEIGHT_BITS

    def kernel(inputs: Sequence[Tensor]) -> Tensor:
        """Return the blend of four integers, rounded half up, [N, C, H_out, W_out]."""
        # |q - z| <= 255: everything stays below 2**31
        total = taps[0].blend(taps[1].blend(inputs[0].to(torch.int32), 3), 2)
        return as_float(total.add_(1 << (shift - 1)).bitwise_right_shift_(shift))

    return kernel


def xnnpack_taps(size: int, out: int, align: bool) -> Taps:
    """Return XNNPACK's taps of one axis, as x86-64 computes them."""
    step, offset = _xnnpack_step(size, out, align)
    products = np.arange(out, dtype=np.float32) * step
    return _taps_at(products if align else products + offset, size)


def taps_agree(size: int, out: int, align: bool) -> bool:
    """Whether x86-64 and ARM, which fuses a multiply-add, read the same with the same weights."""
    if align:
        return True
    step, offset = _xnnpack_step(size, out, align)
    ours = xnnpack_taps(size, out, align)
    fused = fused_multiply_add(np.arange(out, dtype=np.float32), step, offset)
    return all(
        torch.equal(ours.first, theirs.first) and torch.equal(ours.weight, theirs.weight)
        for theirs in (_taps_at(positions, size) for positions in fused)
    )


def _xnnpack_step(size: int, out: int, align: bool) -> tuple[np.float32, np.float32]:
    corners = int(align and out > 1)
    step = np.float32(size - corners) / np.float32(out - corners)
    return step, np.float32(np.float32(0.5) * step) - np.float32(0.5)


def _taps_at(positions: Positions, size: int) -> Taps:
    positions = positions.clip(np.float32(0), np.float32(size - 1))
    first = positions.astype(np.int64)
    share = (positions - first.astype(np.float32)) * np.float32(1 << XNNPACK_WEIGHT_BITS)
    return Taps(
        torch.from_numpy(first),
        torch.from_numpy(np.minimum(first + 1, size - 1)),
        torch.from_numpy(np.rint(share).astype(np.int64)),
        XNNPACK_WEIGHT_BITS,
    )


def _prepare_reference(site: LitertSite, taps: Sequence[Taps]) -> Kernel:
    size_in, zero = site.input_shapes[0], site.output.zero
    for axis, tap in zip((2, 3), taps, strict=True):
        if int(tap.first.max()) >= size_in[axis]:
            raise site.refuse(
                f"resizing {size_in[axis]} to {site.node.shape[axis]} reads past the image's end in"
                " the reference kernel",
                "Resize in two steps",
            )
    half = 1 << (2 * REFERENCE_WEIGHT_BITS - 1)

    def kernel(inputs: Sequence[Tensor]) -> Tensor:
        """Return the blend of four raw integers, rounded half away from zero, then centered."""
        # the rounding looks at the sign of the raw integers, zero point included
        total = taps[0].blend(taps[1].blend(inputs[0].to(torch.int32).add_(zero), 3), 2)
        rounded = (total.abs() + half) >> (2 * REFERENCE_WEIGHT_BITS)
        return as_float(rounded * total.sign() - zero)

    return kernel


def reference_taps(size: int, out: int, align: bool) -> Taps:
    """Return the reference kernel's taps of one axis; `first` may lie outside for huge factors."""
    one = 1 << REFERENCE_WEIGHT_BITS
    if align and out > 1:
        step = (one * (size - 1) + (out - 1) // 2) // (out - 1)
    else:
        step = (one * size + out // 2) // out
    positions = torch.arange(out) * step
    if not align:
        positions += step // 2 - one // 2
    first = positions.div(one, rounding_mode="trunc").clamp(min=0)
    second = (positions + one - 1).div(one, rounding_mode="trunc").clamp(max=size - 1)
    return Taps(first, second, positions - first * one, REFERENCE_WEIGHT_BITS)


@tflite_op("resize")
def write_resize(node: Node, writing: Writing) -> None:
    """RESIZE_BILINEAR; or RESIZE_NEAREST_NEIGHBOR, which runs in a built-in kernel."""
    size = writing.integers(f"{node.name}.size", list(node.shape[2:]))
    inputs, output = [*writing.inputs(node), size], [writing.output(node)]
    if node.attrs["mode"] == "nearest":
        made = writing.build.options(
            "ResizeNearestNeighborOptions", alignCorners=False, halfPixelCenters=False
        )
        build = writing.build
        build.operator("RESIZE_NEAREST_NEIGHBOR", inputs, output, version=2, options=made)
        return
    align = bool(node.attrs["align_corners"])
    made = writing.build.options(
        "ResizeBilinearOptions", alignCorners=align, halfPixelCenters=not align
    )
    writing.build.operator("RESIZE_BILINEAR", inputs, output, version=3, options=made)
