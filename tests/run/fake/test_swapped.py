"""The number that counts, with the gradient for the number that learns."""

from __future__ import annotations

import torch

from intaglio.run.fake.swapped import swapped


def test_the_second_number_counts_and_the_first_gets_the_gradient_times_the_factor():
    learned = torch.tensor([1.0, 2.0], requires_grad=True)
    used = torch.tensor([5.0, 7.0], requires_grad=True)

    (swapped(learned, used, factor=0.25) * torch.tensor([4.0, 8.0])).sum().backward()

    assert swapped(learned, used).tolist() == [5.0, 7.0]
    assert learned.grad.tolist() == [1.0, 2.0]
    assert used.grad is None


def test_what_comes_out_may_be_changed_without_changing_what_counts():
    used = torch.tensor([5.0])

    swapped(torch.tensor([1.0]), used).mul_(2.0)

    assert used.tolist() == [5.0]
