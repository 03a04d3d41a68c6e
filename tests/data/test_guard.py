"""While images are forbidden, nothing of the data floor opens one."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.generated_images import MakeImage
from intaglio.data.guard import forbid_images
from intaglio.data.images import batches, open_dataset
from intaglio.data.labels import class_names
from intaglio.data.preprocess import Preprocess
from intaglio.errors import IntaglioError, RequestError

SHAPE = (1, 3, 12, 12)


def test_no_data_set_is_opened_inside_the_guard(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("cat/a.png")

    with forbid_images():
        for use in (open_dataset, class_names):
            with pytest.raises(IntaglioError, match="without data tried to read") as caught:
                use(tmp_path)
            assert not isinstance(caught.value, RequestError)

    assert len(open_dataset(tmp_path)) == 1
    assert class_names(tmp_path) == ["cat"]


def test_a_data_set_opened_before_gives_nothing_inside_the_guard(
    tmp_path: Path, make_image: MakeImage
) -> None:
    make_image("a.png")
    make_image("b.png")
    dataset = open_dataset(tmp_path)
    stream = batches(dataset, Preprocess(), SHAPE, batch_size=1)
    next(stream)

    with forbid_images():
        with pytest.raises(IntaglioError, match="tried to read"):
            batches(dataset, Preprocess(), SHAPE, batch_size=1)
        with pytest.raises(IntaglioError, match="tried to read"):
            next(stream)
        with pytest.raises(IntaglioError, match="tried to read"):
            dataset.items[0].source.open()

    assert len(next(stream).names) == 1


def test_the_guard_falls_with_an_error_and_stands_while_an_outer_one_does(
    tmp_path: Path, make_image: MakeImage
) -> None:
    make_image("a.png")

    with forbid_images():
        with pytest.raises(ZeroDivisionError), forbid_images():
            raise ZeroDivisionError
        with pytest.raises(IntaglioError):
            open_dataset(tmp_path)

    assert len(open_dataset(tmp_path)) == 1
