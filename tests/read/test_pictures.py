"""A list of pictures as the example input of a detector, and what is none."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from intaglio.errors import CaptureError, RequestError, Untraceable
from intaglio.read.source import read

X = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class TakesPictures(nn.Module):
    """A detector of a list of pictures, as far as reading goes."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 3))

    def forward(self, pictures: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        scores = self.body(torch.stack(pictures)).flatten(1)
        kept = [one[one > one.mean().item()] for one in scores]
        return [{"scores": one} for one in kept]


def pictures(count: int = 2) -> list[torch.Tensor]:
    return list(torch.rand(count, 3, 8, 10, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_list_of_pictures_is_an_example_of_a_detector(kind):
    source = read(TakesPictures().eval(), kind(pictures()))

    assert source.input_shape == (1, 3, 8, 10)
    with pytest.raises(Untraceable, match="TakesPictures takes a list of pictures, not one tensor"):
        source.capture()
    (core,) = source.cut().cores
    assert core.name == "body"
    assert core.example.shape == (2, 3, 8, 10)


def test_pictures_of_an_example_are_copies_and_stay_as_they_are():
    given = [one.double() for one in pictures()]
    before = [one.clone() for one in given]

    whole = read(TakesPictures().eval(), given).cut()

    assert all(torch.equal(one, old) for one, old in zip(given, before, strict=True))
    assert [one.dtype for one in whole.example] == [torch.float32] * 2


@pytest.mark.parametrize(
    "example",
    [
        [1, 2],
        [X],  # a batch in a list
        [X[0], X],
        [X[0], "a picture"],
        (X[0, 0],),
    ],
)
def test_a_list_of_anything_but_pictures_is_refused(example):
    with pytest.raises(CaptureError, match=r"a list, but not one of pictures \[C, H, W\]"):
        read(TakesPictures().eval(), example)


def test_pictures_go_with_a_module_alone_and_without_another_shape():
    for model, shape in (
        ("mobilenet_v2(width=0.25)", None),
        ("detectors.torchvision_style:small_ssd", None),
        (TakesPictures().eval(), (1, 3, 8, 10)),
    ):
        with pytest.raises(RequestError, match=r"a list of pictures .* goes with a module alone"):
            read(model, pictures(), input_shape=shape)


def test_an_empty_list_is_no_example():
    with pytest.raises(CaptureError, match="the example input must be a float32 tensor"):
        read(TakesPictures().eval(), [])
