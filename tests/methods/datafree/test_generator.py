"""The generator: any size, the network's own ends, mixed classes, and no hidden modes."""

from __future__ import annotations

import pytest
import torch

from intaglio.methods.datafree.generator import Form, Generator
from intaglio.methods.datafree.pixels import Pixels
from methods.datafree.small import digest


def pixels(shape=(3, 9, 9)):
    unit = torch.ones(shape[0])
    return Pixels(shape, 0.5 * unit, 2.0 * unit, -1.0 * unit, 3.0 * unit)


def made(form=Form(6, 8), shape=(3, 9, 9), seed=0):  # noqa: B008  frozen
    return Generator(form, pixels(shape), seed)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 9, 14), (4, 5, 1), (2, 1, 3)])
def test_images_have_any_shape_and_stay_between_the_ends(shape):
    generator = made(shape=shape)

    images = generator(generator.draw(5, source()).latent)

    assert images.shape == (5, *shape)
    assert images.min() >= -1.0
    assert images.max() <= 3.0


def test_images_have_the_mean_and_deviation_of_the_network_but_for_its_ends():
    unit = torch.ones(3)
    wide = Pixels((3, 16, 16), 0.5 * unit, 2.0 * unit, -100.0 * unit, 100.0 * unit)
    generator = Generator(Form(6, 8), wide, 0)

    images = generator(generator.draw(16, source()).latent)

    assert torch.allclose(images.mean((0, 2, 3)), 0.5 * unit, atol=1e-3)
    assert torch.allclose(images.std((0, 2, 3)), 2.0 * unit, rtol=1e-2)


def test_the_same_seed_makes_the_same_generator_and_leaves_torch_s_own_draws_alone():
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)

    first, second, other = made(seed=1), made(seed=1), made(seed=2)

    assert torch.equal(torch.rand(1), wanted)
    assert digest(first.state_dict()) == digest(second.state_dict())
    assert digest(first.state_dict()) != digest(other.state_dict())


def test_making_images_changes_nothing_in_the_generator_in_either_mode():
    generator = made()
    before, latent = digest(generator.state_dict()), generator.draw(5, source()).latent

    trained, measured = generator.train()(latent), generator.eval()(latent)

    assert torch.equal(trained, measured)
    assert digest(generator.state_dict()) == before


def test_labels_are_single_classes_unless_they_are_superposed():
    generator = made(Form(6, 8, classes=5))

    single = generator.draw(200, source())
    mixed = generator.draw(200, source(), superposed=1.0)

    assert torch.equal(single.labels.amax(1), torch.ones(200))
    assert torch.allclose(mixed.labels.sum(1), torch.ones(200))
    assert ((mixed.labels > 0).sum(1) == 2).float().mean() > 0.7  # else twice the same class
    assert set(single.labels.argmax(1).tolist()) == set(range(5))


def test_a_mixed_label_s_row_is_the_mixture_of_the_rows_of_its_classes():
    generator = made(Form(6, 8, classes=3))
    latent = generator.draw(4, source()).latent
    share = torch.tensor([0.25, 0.75, 0.0]).expand(4, 3)
    row = 0.25 * generator.embedding[0] + 0.75 * generator.embedding[1]

    found = generator(latent, share)

    generator.form = Form(6, 8)
    embedding, generator.embedding = generator.embedding, None
    assert embedding is not None
    assert torch.allclose(found, generator(latent * row), atol=1e-6)


def test_the_published_eps_changes_the_inner_norms_alone():
    generator = made(Form(6, 8, norm_eps=0.8))

    assert [generator.norm_0.eps, generator.norm_3.eps] == [1e-5, 1e-5]
    assert [generator.norm_1.eps, generator.norm_2.eps] == [0.8, 0.8]
