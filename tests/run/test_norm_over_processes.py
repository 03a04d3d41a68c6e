from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.run.norm_over_processes import Running, batch_norm_over

C, EPS, MOMENTUM = 3, 1e-5, 0.3
NAMES = ("y", "dx", "dweight", "dbias", "running_mean", "running_var")
Norm = Callable[..., Tensor]


def results(norm: Norm, x: Tensor, gradient: Tensor, statistics: torch.dtype) -> list[Tensor]:
    """Return all that a batch norm makes of its part of a batch, in the order of NAMES."""
    x = x.clone().requires_grad_()
    weight = torch.tensor([0.5, -2.0, 1.0], dtype=statistics, requires_grad=True)
    bias = torch.tensor([1.0, 0.0, -3.0], dtype=statistics, requires_grad=True)
    running = torch.tensor([0.1, 0.2, 0.3]).to(statistics), torch.ones(C, dtype=statistics)
    y = norm(x, weight, bias, *running)
    return [y.detach(), *torch.autograd.grad(y, (x, weight, bias), gradient), *running]


def torchs(x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor) -> Tensor:
    return F.batch_norm(x, mean, var, weight, bias, True, MOMENTUM, EPS)


def whole(x: Tensor, gradient: Tensor, statistics: torch.dtype) -> dict[str, Tensor]:
    """Return what torch's own batch norm makes of the whole batch."""
    return dict(zip(NAMES, results(torchs, x, gradient, statistics), strict=True))


def by_parts(x: Tensor, gradient: Tensor, sizes: Sequence[int]) -> list[list[Tensor]]:
    """Return the results of each part, the parts being threads that wait for one another."""
    given: dict[int, Tensor] = {}
    together = Barrier(len(sizes), timeout=20.0)
    statistics = torch.float64 if x.dtype == torch.float64 else torch.float32

    def run(number: int) -> list[Tensor]:
        def summed(value: Tensor) -> Tensor:
            assert value.dtype == torch.float64
            given[number] = value
            together.wait()
            total = torch.stack([given[place] for place in range(len(sizes))]).sum(0)
            together.wait()
            return total

        def norm(*values: Tensor) -> Tensor:
            x, weight, bias, mean, var = values
            return batch_norm_over(
                x, weight, bias, Running(mean, var, MOMENTUM, EPS), summed=summed
            )

        parts = x.split(list(sizes))[number], gradient.split(list(sizes))[number]
        return results(norm, *parts, statistics)

    with ThreadPoolExecutor(len(sizes)) as pool:
        return list(pool.map(run, range(len(sizes))))


def joined(parts: list[list[Tensor]]) -> dict[str, Tensor]:
    """Return the results of all parts as those of the whole batch."""
    y, dx, dweight, dbias, *_ = zip(*parts, strict=True)
    values = torch.cat(y), torch.cat(dx), sum(dweight), sum(dbias), *parts[0][4:]
    return dict(zip(NAMES, values, strict=True))


def batch(*shape: int, mean: float = 1.5) -> tuple[Tensor, Tensor]:
    """Return values and gradients, the parts unlike one another."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    drift = torch.arange(shape[0], dtype=torch.float64).reshape(-1, *[1] * (len(shape) - 1))
    gradient = torch.randn(shape, generator=generator, dtype=torch.float64)
    return x * (1 + drift) + drift + mean, gradient


@pytest.mark.parametrize("sizes", [(7,), (4, 3), (6, 1), (0, 7), (3, 0, 4), (1, 2, 1, 3)])
@pytest.mark.parametrize("shape", [(7, C), (7, C, 5), (7, C, 4, 2), (7, C, 2, 3, 2)])
def test_parts_are_normalized_as_torch_does_the_whole_batch(sizes, shape):
    x, gradient = batch(*shape)

    parts = by_parts(x, gradient, sizes)

    expected = whole(x, gradient, torch.float64)
    for name, value in joined(parts).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-11, atol=1e-12, msg=name)
    for part in parts[1:]:
        assert torch.equal(part[4], parts[0][4])
        assert torch.equal(part[5], parts[0][5])


def test_images_that_lie_channels_last_stay_so():
    x, gradient = (value.float() for value in batch(6, C, 4, 4))
    x = x.contiguous(memory_format=torch.channels_last)

    parts = by_parts(x, gradient, (3, 3))

    expected = whole(x, gradient, torch.float32)
    for name, value in joined(parts).items():
        # float32: sums of 96 numbers of up to a few tens, in another order
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-4, msg=name)
    assert parts[0][0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("mean", [1e3, -1e4])
def test_a_mean_far_from_zero_costs_no_more_than_float32_does(mean):
    x, gradient = (value.float() for value in batch(8, C, 6, 6, mean=mean))

    found = joined(by_parts(x, gradient, (5, 3)))

    exact = whole(x.double(), gradient.double(), torch.float64)
    # a mean is a float32 number, off by half a unit of its last place; deviations are about 5
    place = 2**-23 * abs(mean)
    for name, off in (("y", place), ("running_var", 10 * place)):
        torch.testing.assert_close(found[name].double(), exact[name], rtol=1e-5, atol=off + 1e-5)


def test_half_precision_goes_in_and_comes_out_and_statistics_stay_float32():
    x, gradient = (value.bfloat16() for value in batch(6, C, 4, 4))

    found = joined(by_parts(x, gradient, (4, 2)))

    exact = whole(x.double(), gradient.double(), torch.float64)
    assert [found[name].dtype for name in NAMES] == [torch.bfloat16] * 2 + [torch.float32] * 4
    torch.testing.assert_close(
        found["running_var"].double(), exact["running_var"], rtol=1e-5, atol=0
    )
    torch.testing.assert_close(found["y"].double(), exact["y"], rtol=2**-8, atol=1e-5)


def test_a_channel_with_one_value_in_all_has_no_variance_and_its_bias_comes_out():
    x, gradient = batch(1, C)

    found = joined(by_parts(x, gradient, (1, 0)))

    bias = torch.tensor([[1.0, 0.0, -3.0]], dtype=torch.float64)
    torch.testing.assert_close(found["y"], bias, rtol=0, atol=1e-12)
    torch.testing.assert_close(found["dx"], torch.zeros_like(bias), rtol=0, atol=1e-12)
    assert torch.allclose(found["running_var"], torch.full((C,), 1 - MOMENTUM).double())
