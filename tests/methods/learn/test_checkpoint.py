"""The file of a checkpoint: whole, of this run, or refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from intaglio.errors import OutputError, RequestError
from intaglio.host.training import STATE
from intaglio.methods.learn.checkpoint import (
    UNFINISHED,
    Checkpoint,
    Facts,
    load,
    refuse_other,
    save,
)
from intaglio.methods.learn.options import TrainOptions

LEARNER = {"first.weight": torch.ones(3, 4), "frozen": torch.tensor(False)}


def facts(step=7, **options):
    return Facts(
        about={"scheme": "w8a8"},
        options=TrainOptions(**options).model_dump(),
        images=40,
        total=10,
        step=step,
        state={"best": math.nan, "losses": [1 / 3, math.inf]},
    )


def checkpoint(step=7, **options):
    tensors = {f"now.learner.{name}": tensor for name, tensor in LEARNER.items()}
    others = {"now.average.0": torch.tensor([1.5], dtype=torch.bfloat16), "none": torch.empty(0, 2)}
    return Checkpoint(facts(step, **options), {**tensors, **others})


def test_what_was_saved_is_what_is_loaded(tmp_path):
    save(checkpoint(), tmp_path / "new" / "folder")

    found = load(tmp_path / "new" / "folder")

    assert found.facts.state["losses"] == [1 / 3, math.inf]
    assert math.isnan(found.facts.state["best"])
    assert found.facts.model_copy(update={"state": {}}) == facts().model_copy(update={"state": {}})
    assert found.tensors.keys() == checkpoint().tensors.keys()
    for name, tensor in checkpoint().tensors.items():
        assert torch.equal(found.tensors[name], tensor)
        assert found.tensors[name].dtype == tensor.dtype


def test_a_newer_checkpoint_takes_the_place_of_the_older_one(tmp_path):
    for step in (1, 2):
        save(checkpoint(step), tmp_path)

    assert load(tmp_path).facts.step == 2
    assert [path.name for path in tmp_path.iterdir()] == [STATE]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_leaves_the_older_checkpoint_as_it_is(tmp_path):
    save(checkpoint(1), tmp_path)
    (tmp_path / UNFINISHED).symlink_to("/dev/full")

    with pytest.raises(OutputError, match=r"disk is full.*what was saved before is there still"):
        save(checkpoint(2), tmp_path)

    assert load(tmp_path).facts.step == 1
    assert [path.name for path in tmp_path.iterdir()] == [STATE]


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError, match=r"cannot be written: .*; nothing was written"):
        save(checkpoint(), tmp_path / "file" / "folder")


def test_what_a_killed_run_had_half_written_is_in_nobodys_way(tmp_path):
    save(checkpoint(1), tmp_path)
    (tmp_path / UNFINISHED).write_bytes(b"half of it")

    assert load(tmp_path).facts.step == 1
    save(checkpoint(2), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [STATE]


def test_where_nothing_is_there_is_nothing_to_go_on_with(tmp_path):
    with pytest.raises(RequestError, match=r"no state\.safetensors here.*without --resume"):
        load(tmp_path)


def changed(content, how):
    if how == "cut":
        return content[:-1]
    if how == "empty":
        return b""
    if how == "a bit of a tensor":
        return content[:-1] + bytes([content[-1] ^ 1])
    return content.replace(b'\\"step\\": 7', b'\\"step\\": 6')


@pytest.mark.parametrize("how", ["cut", "empty", "a bit of a tensor", "a fact"])
def test_a_damaged_checkpoint_is_refused(tmp_path, how):
    save(checkpoint(), tmp_path)
    path = tmp_path / STATE
    content = path.read_bytes()
    assert changed(content, how) != content
    path.write_bytes(changed(content, how))

    with pytest.raises(RequestError, match=r"cannot be used: .* start it anew, without --resume"):
        load(tmp_path)


def test_other_tensors_are_no_checkpoint(tmp_path):
    save_file({"weight": torch.ones(2)}, tmp_path / STATE)

    with pytest.raises(RequestError, match="it is no state of a training of intaglio"):
        load(tmp_path)


def test_a_checkpoint_of_another_version_is_refused(tmp_path):
    stored = checkpoint()
    save(Checkpoint(stored.facts.model_copy(update={"version": 2}), stored.tensors), tmp_path)

    with pytest.raises(RequestError, match=r"'version': .*another version of intaglio"):
        load(tmp_path)


def test_the_same_run_is_not_refused():
    refuse_other(checkpoint(save_seconds=5.0), facts(step=0, save_seconds=9.0), LEARNER)


def test_every_option_that_differs_is_named():
    now = facts(batch=32, minutes=3.0).model_copy(update={"about": {"scheme": "w4a8"}, "images": 9})

    with pytest.raises(RequestError) as refused:
        refuse_other(checkpoint(), now, LEARNER)

    for words in (
        "scheme was w8a8 and is w4a8",
        "batch was 64 and is 32",
        "minutes was not given and is 3.0",
        "images was 40 and is 9",
    ):
        assert words in str(refused.value)
    assert "seed" not in str(refused.value)


@pytest.mark.parametrize(
    ("learner", "words"),
    [
        (
            {"first.weight": torch.ones(3, 5), "frozen": torch.ones(2)},
            r"'first\.weight' was \[3, 4\] and is \[3, 5\]",
        ),
        ({**LEARNER, "third": torch.ones(1)}, "'third' is missing in what was saved"),
        ({"frozen": LEARNER["frozen"]}, r"'first\.weight' was saved, and the network has none"),
        (
            {**LEARNER, "frozen": torch.tensor(0)},
            r"'frozen' was torch\.bool and is torch\.int64",
        ),
    ],
)
def test_the_first_key_of_another_network_is_named(learner, words):
    with pytest.raises(RequestError, match=f"another network: {words}"):
        refuse_other(checkpoint(), facts(), learner)
