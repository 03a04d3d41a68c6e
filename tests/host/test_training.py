"""What is kept of a training beside its place: never cleared by others, gone when it is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from host.results import write_result
from intaglio.errors import OutputError
from intaglio.host.folder import claim_place
from intaglio.host.training import (
    ABOUT,
    NOT_KEPT,
    STATE,
    UNFINISHED,
    Kept,
    copy_state,
    drop_stages,
    drop_training,
    has_stages,
    has_training,
    training_folder,
)

KEPT = ".out.intaglio-training"


def test_a_folder_with_a_state_stays_and_one_without_goes(tmp_path: Path) -> None:
    place = claim_place(tmp_path / "out")

    with training_folder(place) as folder:
        assert folder == tmp_path / KEPT
    assert not folder.exists()
    assert not has_training(place)
    with training_folder(place) as folder:
        (folder / STATE).write_text("first")
    assert has_training(place)
    with training_folder(place) as folder:
        assert (folder / STATE).read_text() == "first"
    drop_training(folder)
    assert list(tmp_path.iterdir()) == []


def test_other_runs_that_clear_up_leave_it_alone(tmp_path: Path) -> None:
    with training_folder(claim_place(tmp_path / "out")) as folder:
        (folder / STATE).write_text("state")

    write_result(tmp_path / "out")
    claim_place(tmp_path / "out", replace=True)

    assert (folder / STATE).read_text() == "state"


def test_two_runs_for_one_place_at_a_time_are_refused(tmp_path: Path) -> None:
    place = claim_place(tmp_path / "out")

    with training_folder(place) as folder:
        (folder / STATE).write_text("state")
        with pytest.raises(OutputError, match="another run trains for"), training_folder(place):
            pass
    assert (folder / STATE).read_text() == "state"


def test_what_a_kill_left_half_written_is_dropped_and_foreign_files_are_not(tmp_path: Path) -> None:
    with training_folder(claim_place(tmp_path / "out")) as folder:
        (folder / STATE).write_text("state")
        (folder / UNFINISHED).write_text("sta")
        (folder / "mine").write_text("mine")

    drop_training(folder)

    assert [path.name for path in folder.iterdir()] == ["mine"]


def test_a_copied_state_is_not_changed_by_what_is_saved_later(tmp_path: Path) -> None:
    with training_folder(claim_place(tmp_path / "out")) as folder:
        (folder / STATE).write_text("first")
        (tmp_path / "result").mkdir()
        copy_state(folder, tmp_path / "result")
        (folder / "new").write_text("second")
        (folder / "new").replace(folder / STATE)

    assert (tmp_path / "result" / STATE).read_text() == "first"
    copy_state(folder, tmp_path / "result")
    assert (tmp_path / "result" / STATE).read_text() == "second"


def fill(folder: Path, *stages: str) -> None:
    """Write what a killed run of several stages leaves."""
    (folder / ABOUT).write_text("{}")
    for stage in stages:
        (folder / stage).mkdir(parents=True)
        (folder / stage / STATE).write_text(stage)
        (folder / stage / UNFINISHED).write_text("half")


def test_stages_have_folders_of_their_own_and_go_together(tmp_path: Path) -> None:
    place = claim_place(tmp_path / "out")

    with training_folder(place) as folder:
        (folder / ABOUT).write_text("{}")
    assert not folder.exists()
    with training_folder(place) as folder:
        fill(folder, "distill", "attempt-2/distill")
    assert has_stages(place)
    assert not has_training(place)
    drop_training(folder)
    assert list(tmp_path.iterdir()) == []


def test_dropping_stages_leaves_a_training_and_what_is_not_ours(tmp_path: Path) -> None:
    with training_folder(claim_place(tmp_path / "out")) as folder:
        fill(folder, "distill", "train-zaq")
        (folder / STATE).write_text("of a training")
        (folder / "train-zaq" / "mine").write_text("mine")

    drop_stages(folder)

    found = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    assert found == {STATE, "train-zaq", "train-zaq/mine"}


def test_a_stage_goes_on_only_where_it_was_saved(tmp_path: Path) -> None:
    fill(tmp_path, "distill")

    again = Kept(tmp_path, resume=True)

    assert again.stage("distill") == Kept(tmp_path / "distill", resume=True)
    assert again.stage("train-zaq") == Kept(tmp_path / "train-zaq")
    assert Kept(tmp_path).stage("distill") == Kept(tmp_path / "distill")
    assert again.attempt(1) == again
    assert again.attempt(2) == Kept(tmp_path / "attempt-2", resume=True)
    assert NOT_KEPT.attempt(2).stage("distill") == NOT_KEPT
