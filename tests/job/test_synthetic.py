"""Images that a run without images made: what is told of them, and that they are kept if asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import intaglio
from intaglio.errors import RequestError
from intaglio.host.sums import write_sums
from intaglio.methods.datafree.synthesis import Synthesis
from intaglio.recipe.recipe import Recipe
from job.test_data_free import X, network
from report.test_sheet import sheets

FILE = "synthetic.safetensors"


def made(**words: object) -> intaglio.Result:
    synthesis = Synthesis(**{"images": 10, "batch": 5, "steps": 3, **words})
    recipe = Recipe(name="mine", calibrator="minmax", synthetic=synthesis)
    return intaglio.compress(network(), X, recipe=recipe)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[intaglio.Result, Path]:
    result = made(save=True, label=0.1)
    folder = tmp_path_factory.mktemp("saved") / "out"
    result.save(folder)
    return result, folder


def test_the_report_tells_of_images_that_were_made_and_that_none_was_opened(saved):
    report = saved[0].report

    assert report.data == "none"
    told = report.synthetic
    assert (told.images, told.steps, told.events) == (10, 3, 0)
    assert told.norms_last < told.norms_first
    assert told.settings == {"batch": 5, "lr": 0.5, "label": 0.1}
    assert saved[0].report.check.mismatches == 0


def test_a_run_that_makes_none_tells_of_none():
    result = intaglio.compress(network(), X, recipe="dfq")

    assert result.synthetic is None
    assert "synthetic" not in result.report.to_dict()


def test_images_are_kept_with_their_labels_where_that_was_asked(saved):
    result, folder = saved

    found = load_file(folder / FILE)

    assert found["images"].shape == (10, 3, 16, 16)
    assert torch.equal(found["images"], result.synthetic.images)
    assert found["labels"].tolist() == [0, 1, 2, 3, 4] * 2
    assert FILE in (folder / "SHA256SUMS").read_text()
    assert len(sheets((folder / "report.html").read_text(encoding="utf-8"))) == 1


def test_images_that_are_not_kept_are_shown_all_the_same(tmp_path: Path):
    result = made()
    result.save(tmp_path / "out")

    assert not (tmp_path / "out" / FILE).exists()
    assert result.synthetic.labels is None
    assert len(sheets((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))) == 1
    assert intaglio.load(tmp_path / "out").synthetic is None


def test_a_loaded_result_has_its_images_and_saves_them_again(saved, tmp_path: Path):
    _, folder = saved
    again = intaglio.load(folder)

    again.save(tmp_path / "again")

    assert torch.equal(again.synthetic.images, saved[0].synthetic.images)
    assert (tmp_path / "again" / FILE).read_bytes() == (folder / FILE).read_bytes()
    pages = [(at / "report.html").read_text("utf-8") for at in (tmp_path / "again", folder)]
    assert sheets(pages[0]) == sheets(pages[1])


@pytest.mark.parametrize("content", [b"", b"no tensors", None])
def test_a_file_of_images_that_holds_something_else_is_named(saved, tmp_path: Path, content):
    folder = tmp_path / "out"
    intaglio.load(saved[1]).save(folder)
    other = (folder / "graph.safetensors").read_bytes() if content is None else content
    (folder / FILE).write_bytes(other)
    (folder / "SHA256SUMS").unlink()
    write_sums(folder)

    with pytest.raises(RequestError, match=FILE):
        intaglio.load(folder)
