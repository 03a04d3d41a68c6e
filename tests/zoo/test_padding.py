"""TensorFlow's SAME padding: amounts in closed form, the module by a second computation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from intaglio.zoo.padding import AvgPool2dSame, Conv2dSame, MaxPool2dSame, same_padding


@pytest.mark.parametrize(
    ("size", "stride_1", "stride_2"),
    [
        (224, (1, 1), (0, 1)),
        (112, (1, 1), (0, 1)),
        (7, (1, 1), (1, 1)),
        (15, (1, 1), (1, 1)),
    ],
)
def test_a_3x3_kernel_pads_symmetrically_except_at_stride_2_and_even_size(size, stride_1, stride_2):
    assert same_padding(size, 3, stride=1) == stride_1
    assert same_padding(size, 3, stride=2) == stride_2


def test_wider_and_dilated_kernels_pad_by_their_extent():
    assert same_padding(224, 5, stride=2) == (1, 2)
    assert same_padding(224, 7, stride=2) == (2, 3)
    assert same_padding(15, 5, stride=2) == (2, 2)
    assert same_padding(33, 3, stride=1, dilation=2) == (2, 2)
    assert same_padding(33, 3, stride=1, dilation=4) == (4, 4)


def test_a_kernel_smaller_than_its_stride_needs_no_padding():
    assert same_padding(224, 1, stride=2) == (0, 0)
    assert same_padding(7, 1, stride=2) == (0, 0)


@given(
    size=st.integers(1, 300),
    kernel_size=st.integers(1, 11),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 3),
)
def test_padding_is_the_least_that_gives_ceil_of_size_over_stride_outputs(
    size, kernel_size, stride, dilation
):
    before, behind = same_padding(size, kernel_size, stride=stride, dilation=dilation)

    extent = (kernel_size - 1) * dilation + 1
    last_start = (-(-size // stride) - 1) * stride  # of the last output, in padded pixels
    assert behind - before in (0, 1)
    assert size + before + behind >= last_start + extent
    assert before + behind == 0 or size + before + behind == last_start + extent


@pytest.mark.parametrize("size", [224, 112, 7, 15])
def test_conv2d_same_counts_the_pixels_under_its_kernel(size):
    convolution = Conv2dSame(1, 1, 3, stride=2, bias=False)
    nn.init.ones_(convolution.weight)

    with torch.no_grad():
        counts = convolution(torch.ones(1, 1, size, size))[0, 0]

    outputs = (size + 1) // 2
    along_axis = torch.full((outputs,), 3.0)
    along_axis[-1] = 2.0  # the last column always hangs over by one
    if size % 2:
        along_axis[0] = 2.0  # the first one only where the padding is symmetric
    assert_close(counts, torch.outer(along_axis, along_axis), rtol=0, atol=0)


def test_conv2d_same_is_a_plain_convolution_of_the_padded_image():
    torch.manual_seed(0)
    convolution = Conv2dSame(4, 8, (3, 5), stride=2, groups=2)
    images = torch.randn(2, 4, 20, 21)

    ours = convolution(images)

    padded = F.pad(images, (2, 2, 0, 1))
    expected = F.conv2d(padded, convolution.weight, convolution.bias, stride=2, groups=2)
    assert ours.shape == (2, 8, 10, 11)
    assert_close(ours, expected)


def test_conv2d_same_is_not_the_symmetric_convolution_on_even_sizes():
    torch.manual_seed(0)
    same = Conv2dSame(3, 4, 3, stride=2)
    symmetric = nn.Conv2d(3, 4, 3, stride=2, padding=1)
    symmetric.load_state_dict(same.state_dict())
    images = torch.randn(1, 3, 16, 16)

    assert not torch.allclose(same(images), symmetric(images))
    assert_close(same(images[..., :15, :15]), symmetric(images[..., :15, :15]))


def test_conv2d_same_exports_with_symbolic_batch_and_constant_padding():
    module = nn.Sequential(Conv2dSame(3, 4, 3, stride=2), Conv2dSame(4, 4, 3, stride=2)).eval()
    batch = torch.export.Dim("batch", min=1, max=64)

    program = torch.export.export(
        module, (torch.randn(2, 3, 30, 30),), dynamic_shapes=({0: batch},), strict=False
    )

    images = torch.randn(5, 3, 30, 30)
    called = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert torch.equal(program.module()(images), module(images))
    assert called.count("aten.pad.default") == 1  # 30 is even, 15 is odd
    assert not any("sym_size" in name for name in called)


@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    kernel_size=st.sampled_from([3, 5, 7]),
    stride=st.integers(1, 3),
)
def test_pools_put_their_windows_where_same_puts_them_and_count_no_padding(
    height, width, kernel_size, stride
):
    images = torch.randn(1, 2, height, width, generator=torch.Generator().manual_seed(0)) - 5.0

    largest = MaxPool2dSame(kernel_size, stride)(images)
    mean = AvgPool2dSame(kernel_size, stride)(images)

    rows, columns = (same_padding(size, kernel_size, stride=stride) for size in (height, width))
    around = (*columns, *rows)
    low = F.pad(images, around, value=float("-inf"))
    assert torch.equal(largest, F.max_pool2d(low, kernel_size, stride))
    total, count = (
        F.avg_pool2d(F.pad(values, around), kernel_size, stride, divisor_override=1)
        for values in (images, torch.ones_like(images))
    )
    assert_close(mean, total / count)
