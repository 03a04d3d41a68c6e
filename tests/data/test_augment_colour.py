"""Images whose colours change."""

from __future__ import annotations

import torch

from intaglio.data.augment_colour import coloured


def images(count=6, seed=0):
    return torch.randn(count, 3, 5, 7, generator=torch.Generator().manual_seed(seed))


def test_colours_change_by_what_is_drawn_and_nothing_is_lost():
    given = images()
    before = given.clone()

    found = coloured(given, range(6), strength=0.3, seed=1, step=2)

    assert torch.equal(given, before)
    for old, new in zip(given, found, strict=True):
        spread = float(old.max() - old.min())
        # brightness alone moves the mean: contrast and saturation turn around it
        assert abs(float(new.mean() - old.mean())) <= 0.3 * spread * (1 + 1e-5)
        grey, after = (one - one.mean() for one in (old.mean(0), new.mean(0)))
        contrast = float((after * grey).sum() / grey.square().sum())
        assert torch.allclose(after, contrast * grey, atol=1e-5)
        assert 0.7 <= contrast <= 1.3
        colour, changed = (one - one.mean(0) for one in (old, new))
        factor = float((changed * colour).sum() / colour.square().sum())
        assert torch.allclose(changed, factor * colour, atol=1e-5)
        assert 0.7 <= factor / contrast <= 1.3


def test_what_is_drawn_depends_on_seed_step_and_place_alone():
    given = images()
    whole = coloured(given, range(6), strength=0.3, seed=1, step=2)

    assert torch.equal(coloured(given[4:], [4, 5], strength=0.3, seed=1, step=2), whole[4:])
    assert not torch.equal(coloured(given, range(6), strength=0.3, seed=2, step=2), whole)
    assert not torch.equal(coloured(given, range(6), strength=0.3, seed=1, step=3), whole)
    assert coloured(given[:0], [], strength=0.3, seed=1, step=2).shape == (0, 3, 5, 7)


def test_grey_images_have_no_saturation_and_strength_0_changes_nothing():
    given = images(2)[:, :1]

    found = coloured(given, range(2), strength=0.2, seed=0, step=0)

    centred, after = (one - one.mean((1, 2, 3), keepdim=True) for one in (given, found))
    ratio = after / centred
    assert torch.allclose(ratio, ratio.mean((1, 2, 3), keepdim=True).expand_as(ratio), rtol=1e-3)
    assert coloured(given, range(2), strength=0.0, seed=0, step=0) is given
