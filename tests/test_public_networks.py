"""Rows about public networks: which outputs are wrecked without a word, and the page of them."""

from __future__ import annotations

import json
import os
import time

import pytest
import torch
from benchmarks.places import rows_in, save_rows
from benchmarks.public.attempt import sqnr_db
from benchmarks.public.child import Died, Late, in_a_child
from benchmarks.public.definitions import read_definitions
from benchmarks.public.images import random_images, settle
from benchmarks.public.outputs import low_outputs, unsaid
from benchmarks.public.page import is_integer, latest, page, rows_of_all
from torch import nn

from intaglio.calibrate.float_islands import TAIL

WARNING = "output '{}' has an SQNR of 5.0 dB beside the float network's: below 20 dB little is left"
END = ["softmax", TAIL]


def row(name: str, **other: object) -> dict[str, object]:
    found = {"name": name, "task": "pose", "recipe": "plain", "allow_float": False}
    return found | {"outcome": "ok", "kept_float": [], "capture_s": 1.0} | other


@pytest.mark.parametrize(
    ("sqnr", "control", "is_low"),
    [
        (19.9, 40.0, True),
        (20.0, 40.0, False),  # good enough, whatever noise does
        (10.0, 18.0, False),  # no further below than it may be
        (9.9, 18.0, True),
        (float("nan"), 40.0, True),
        (-3.0, float("nan"), True),
    ],
)
def test_an_output_is_low_below_20_db_and_8_db_below_its_control(sqnr, control, is_low):
    found = low_outputs({"sqnr": [30.0, sqnr], "control": [40.0, control]})

    assert [number for number, _, _ in found] == ([1] if is_low else [])


def test_an_output_is_said_where_a_warning_names_it_and_not_where_it_names_another():
    poor = {"sqnr": [5.0, 5.0], "control": [40.0, 40.0], "outputs": ["box", "box:1"]}

    assert [number for number, *_ in unsaid(poor | {"warnings": [WARNING.format("box")]})] == [1]
    assert [number for number, *_ in unsaid(poor | {"warnings": [WARNING.format("mask")]})] == [
        0,
        1,
    ]
    assert not unsaid(poor | {"warnings": [WARNING.format("box"), WARNING.format("box:1")]})


def test_outputs_beyond_those_named_are_said_by_their_number():
    names = [f"out{number}" for number in range(4)]
    poor = {"sqnr": [5.0] * 4, "control": [40.0] * 4, "outputs": names}
    named = [WARNING.format("out0"), WARNING.format("out1")]

    assert not unsaid(poor | {"warnings": [*named, "and 2 more outputs"]})
    assert len(unsaid(poor | {"warnings": [*named, "and 1 more outputs"]})) == 1
    assert len(unsaid(poor | {"warnings": named})) == 2


def test_without_names_of_outputs_warnings_are_counted():
    poor = {"sqnr": [5.0, 5.0], "control": [40.0, 40.0], "warnings": [WARNING.format("a")]}

    assert len(unsaid(poor)) == 1
    assert len(unsaid(poor | {"warnings": []})) == 2


def test_a_network_is_all_integer_where_only_its_ends_stay_in_float():
    moved = ["reshape", "it only moves values from layers in float to others"]

    assert is_integer(row("a", kept_float=[END, moved]))
    assert not is_integer(row("a", kept_float=[END, ["norm", "layer norm has no integer form"]]))
    assert not is_integer(row("a", outcome="refused"))


def test_the_page_counts_by_task_and_gives_the_reasons():
    rows = [
        row("fine", sqnr=[30.0], control=[40.0], partitions=1, outside={}, capture_s=2.0),
        row("wrecked", sqnr=[5.0], control=[40.0], warnings=[], partitions=3, outside={"EXP": 2}),
        row("far", outcome="refused", message="no form of a|b", capture_s=4.0),
        row("far", allow_float=True, kept_float=[["n", "no form"]], partitions=2, outside={}),
        row("lost", task="face", outcome="refused", message="images mix"),
        row("lost", task="face", allow_float=True, outcome="refused", message="they still mix"),
        row("broken", outcome="not built", message="no module"),
    ]

    made = page(rows)

    assert "| pose | 3 | 2 (67 %) | 2 (67 %) | 3 (100 %) | 0 | 0 | 1 | 2.00 |" in made
    assert "| all | 4 | 2 (50 %) | 2 (50 %) | 3 (75 %) | 0 | 0 | 1 | 1.50 |" in made
    assert "| wrecked | no | 0 | 5.0 | 40.0 |" in made
    assert "| wrecked | 3 | 2 EXP |" in made
    assert "| far | pose | refused | ok | no form of a\\|b |" in made
    assert "refused | refused | images mix **With float:** they still mix |" in made
    assert "| broken | pose | not built | not run | no module |" in made


def test_rows_of_several_files_are_one_set_and_the_last_of_a_network_counts(tmp_path):
    save_rows(tmp_path / "a.json", "a command", [row("x", at=2), row("y", at=1)])
    (tmp_path / "b.jsonl").write_text(json.dumps({"name": "y", "at": 5, "outcome": "crash"}) + "\n")

    found = latest(rows_of_all([tmp_path / "a.json", tmp_path / "b.jsonl"]))

    assert {one["name"]: one["outcome"] for one in found} == {"x": "ok", "y": "crash"}
    assert rows_in(tmp_path / "none.json") == []
    assert [path.name for path in tmp_path.glob("a.*")] == ["a.json"]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # threads of other tests
def test_a_child_returns_its_row_or_is_late_or_dies():
    assert in_a_child(lambda: {"outcome": "ok"}, 10.0) == {"outcome": "ok"}
    with pytest.raises(Late):
        in_a_child(lambda: time.sleep(60.0) or {}, 0.05)
    with pytest.raises(Died, match="ended with 7"):
        in_a_child(lambda: os._exit(7), 10.0)


def test_sqnr_is_ten_times_the_logarithm_of_the_powers():
    real = torch.full((10,), 10.0)

    assert sqnr_db(real, real + 1.0) == pytest.approx(20.0)
    assert (sqnr_db(real, real), sqnr_db(0.0 * real, real)) == (99.0, -99.0)


def test_settled_norms_have_the_mean_statistics_of_the_images_they_saw():
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout())
    seen = torch.stack([random_images((3, 16, 16), seed) for seed in (100, 101)])
    variances = seen.transpose(1, 2).flatten(2).var(2)  # of each batch, [2, 3]

    settle(network, (3, 16, 16))

    assert not any(module.training for module in network.modules())
    assert network[0].momentum == 0.1
    torch.testing.assert_close(network[0].running_mean, seen.mean((1, 3, 4)).mean(0))
    torch.testing.assert_close(network[0].running_var, variances.mean(0))


def test_definitions_are_read_from_a_module_that_lies_anywhere(tmp_path):
    (tmp_path / "some.py").write_text(
        "from torch import nn\n"
        "made = dict(pkg='p', task='pose', build=lambda: nn.ReLU(), channels=1)\n"
        "SPECS = [dict(made, name='a', size=8, opts={}),\n"
        "         dict(made, name='b', size=(8, 16), opts=dict(post=nn.Sequential))]\n"
    )

    first, second = read_definitions(tmp_path / "some.py")

    assert (first.shape, second.shape) == ((1, 8, 8), (1, 8, 16))
    assert first.post is None
    assert isinstance(second.post(second.build()), nn.Sequential)
