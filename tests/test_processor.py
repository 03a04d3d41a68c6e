"""What the tests say of the processor, and the kernels that stand for those of any processor."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from other_kernels import with_noise
from processor import description

NOISY = with_noise(torch.conv2d)


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_the_header_names_processor_and_kernels() -> None:
    processor, kernels, *_ = description()

    assert "avx2=" in processor
    assert torch.backends.cpu.get_cpu_capability() in kernels


def test_other_kernels_repeat_themselves_and_differ_with_the_batch() -> None:
    x, weight = numbers(4, 3, 9, 9), numbers(8, 3, 3, 3)

    first, again, alone = NOISY(x, weight), NOISY(x, weight), NOISY(x[:1], weight)

    assert torch.equal(first, again)
    assert not torch.equal(first[:1], alone)
    torch.testing.assert_close(first[:1], alone, rtol=1e-5, atol=1e-5)


def test_other_kernels_differ_with_the_address_of_a_weight() -> None:
    x, weight = numbers(1, 3, 9, 9), numbers(8, 3, 3, 3)
    room = torch.zeros(weight.numel() + 1)
    moved = room[1:].reshape(weight.shape).copy_(weight)

    assert not torch.equal(NOISY(x, weight), NOISY(x, moved))


def test_exact_sums_are_exact_in_other_kernels_too() -> None:
    x, weight = (numbers(2, 3, 9, 9) * 50).round(), (numbers(8, 3, 3, 3) * 50).round() / 64

    assert torch.equal(NOISY(x, weight), F.conv2d(x.double(), weight.double()).float())
