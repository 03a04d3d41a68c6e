"""Fisher importance against torch.autograd on the module itself."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from intaglio.methods.blocks.fisher import FLOOR, channel_importance
from methods.quantized import calibrated, random_images, separable


def labels_drawn_by_hand(logits, generator):
    return torch.multinomial(F.softmax(logits, dim=1), 1, generator=generator)


def test_importance_is_the_mean_squared_gradient_of_the_drawn_labels_likelihood():
    module, images = separable(), random_images(4)  # one piece: one draw of labels
    state, context = calibrated(module=module, images=images)

    found = channel_importance(state.reference, context)

    stem = module[1](module[0](images)).detach().requires_grad_()
    summed = module[2](stem)
    logits = module[3:](summed)
    labels = labels_drawn_by_hand(logits.detach(), torch.Generator().manual_seed(context.seed))
    likelihood = F.log_softmax(logits, dim=1).gather(1, labels).sum()
    for value in (stem, summed):
        (gradient,) = torch.autograd.grad(likelihood, value, retain_graph=True)
        wanted = gradient.double().square().mean(dim=(0, 2, 3))
        wanted = (wanted / wanted.mean()).clamp(min=FLOOR)
        wanted = (wanted / wanted.mean()).float().reshape(1, -1, 1, 1)
        assert any(
            one.shape == wanted.shape and torch.allclose(one, wanted, rtol=1e-3)
            for one in found.values()
        )


def test_a_channel_that_nothing_reads_gets_the_floor_and_the_mean_is_one():
    module = separable()
    with torch.no_grad():
        module[5].weight[:, 3] = 0.0  # the classifier is deaf to channel 3 of the sum
    state, context = calibrated(module=module)

    found = channel_importance(state.reference, context)

    of_sum = [one for one in found.values() if one.shape == (1, 8, 1, 1)][-1].flatten()
    assert int(of_sum.argmin()) == 3
    assert float(of_sum[3]) <= FLOOR  # normalized again after the floor
    for one in found.values():
        assert abs(float(one.mean()) - 1.0) < 1e-5


def test_an_output_of_no_influence_counts_evenly():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 1)).eval()
    with torch.no_grad():
        module[1].weight.zero_()
    state, context = calibrated(module=module, images=random_images(4, 8))

    found = channel_importance(state.reference, context)

    assert all(bool((one > 0).all()) for one in found.values())
