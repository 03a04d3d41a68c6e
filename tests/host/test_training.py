"""What is kept of a training beside its place: never cleared by others, gone when it is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from host.results import write_result
from intaglio.errors import OutputError
from intaglio.host.folder import claim_place
from intaglio.host.training import (
    STATE,
    UNFINISHED,
    copy_state,
    drop_training,
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
