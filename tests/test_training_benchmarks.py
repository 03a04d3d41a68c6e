"""Tables about training: rows that go on, what the page makes of them, and what runs are told."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch
from benchmarks.rows import Job, Wish, all_rows, part_of, run
from benchmarks.training.page import page, shown
from benchmarks.training.resume import digest
from benchmarks.training.runs import epochs_for, place_of
from benchmarks.training.settings import CIFAR_ROWS

from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.learn.schedule import steps_of


def wish(out: Path, **other: object) -> Wish:
    asked = {"table": "cifar", "data": out, "out": out, "only": (), "part": (1, 1), "threads": 1}
    return Wish(**(asked | {"device": "cpu", "images": None, "minutes": None} | other))


def counting(name: str, done: list[str]) -> Job:
    return Job(name, lambda: done.append(name) or [{"final": float(len(done))}])


def test_a_row_that_is_there_is_not_measured_again_in_any_part_but_by_name(tmp_path):
    done: list[str] = []
    jobs = [counting(name, done) for name in "abcd"]

    run(jobs, wish(tmp_path, part=(2, 2)), "a command")
    run(jobs, wish(tmp_path), "a command")
    run(jobs, wish(tmp_path, only=("a",)), "a command")

    assert done == ["b", "d", "a", "c", "a"]
    assert sorted(row["row"] for row in all_rows(tmp_path, "cifar")) == ["a", "b", "c", "d"]


def test_a_row_that_failed_says_why_and_is_tried_again_while_the_others_go_on(tmp_path):
    def broken() -> list[dict[str, object]]:
        raise ValueError("no such thing")

    done: list[str] = []
    run([Job("a", broken), counting("b", done)], wish(tmp_path), "a command")

    first, second = all_rows(tmp_path, "cifar")
    assert (first["failed"], second["final"]) == ("ValueError: no such thing", 1.0)

    run([counting("a", done), counting("b", done)], wish(tmp_path), "a command")

    assert done == ["b", "a"]
    assert not [row for row in all_rows(tmp_path, "cifar") if "failed" in row]


def test_drops_are_against_the_float_row_of_any_part_and_failed_rows_have_none():
    rows = [{"row": "lsq w4a4", "final": 80.5}, {"row": "float", "final": 86.0}]
    rows.append({"row": "pact w4a4", "failed": "why"})

    assert [row.get("drop") for row in shown("cifar", rows)] == [5.5, 0.0, None]
    assert "drop" not in shown("cifar", rows[:1])[0]


def test_the_page_counts_what_is_told_of_batch_norms_and_has_no_bars_in_cells(tmp_path):
    events = ["2: the running statistics of 'a' were off", "9: back to |0|"]
    job = Job("float", lambda: [{"final": 1.0, "events": events}])

    assert page(tmp_path) == ""
    run([job], wish(tmp_path), "a command")

    made = page(tmp_path)
    assert "| row | final | drop | events |" in made
    assert "9: back to \\|0\\|; 1 on statistics of batch norms |" in made
    assert "## exact" not in made


@pytest.mark.parametrize(("budget", "batch", "images"), [(50_000, 64, 50_000), (500, 128, 300)])
def test_a_budget_of_images_is_seen_in_whole_batches(budget, batch, images):
    options = TrainOptions(batch=batch, held_out=500)
    epochs = epochs_for(budget, options, images)
    learned = images - min(500, images // 10)

    steps = steps_of(options.model_copy(update={"epochs": epochs}), learned)

    assert budget - batch < steps * batch <= budget


def test_a_run_with_other_settings_has_another_place():
    places = {
        place_of(Path("x"), "a b", TrainOptions(lr=rate), images)
        for rate, images in ((0.1, 10), (0.2, 10), (0.1, 20), (0.1, 10))
    }

    assert len(places) == 3
    assert all(place.name.startswith("a-b-") for place in places)


def test_digests_tell_values_shapes_and_names_apart():
    one = torch.arange(4.0)

    assert digest({"a": one}) == digest({"a": one.clone()})
    assert len({digest(found) for found in ({"a": one}, {"b": one}, {"a": one.view(2, 2)})}) == 3
    assert digest({"a": one}) != digest({"a": one + 1e-6})


def test_rows_have_names_of_their_own():
    assert len({row.name for row in CIFAR_ROWS}) == len(CIFAR_ROWS)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b"])
def test_a_part_that_is_none_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        part_of(text)
