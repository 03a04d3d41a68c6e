"""What two processes do together. They are started once: all tests of them are in this file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.distributed import TCPStore

from intaglio.methods.learn.processes import ALONE
from intaglio.methods.learn.sharded import measured_by_parts
from intaglio.tasks import CLASSIFY, VALUES
from intaglio.tasks.evaluate import NOTHING
from methods.learn.numbered import CLASSES, Numbered, scores, two_values
from methods.learn.small_net import trained

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent / "one_of_two.py"
SECONDS = 100


@dataclass(frozen=True)
class Found:
    """What one of two processes wrote.

    Attributes:
        tensors: By name.
        said: All else.
        code: With which it ended.
    """

    tensors: dict[str, Tensor]
    said: dict[str, Any]
    code: int


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    """Start two processes as torchrun does, the place where they meet being held here."""
    folder = tmp_path_factory.mktemp("two_processes")
    # port 0: a free one is chosen and held, as by torchrun's agent
    store = TCPStore(
        "127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=SECONDS)
    )
    shared = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "OMP_NUM_THREADS": "1",
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "error", str(SCRIPT), str(folder)],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=SECONDS)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    missing = [rank for rank in range(2) if not (folder / f"{rank}.json").exists()]
    assert not missing, "\n".join(said)
    return [
        Found(
            load_file(folder / f"{rank}.safetensors"),
            json.loads((folder / f"{rank}.json").read_text(encoding="utf-8")),
            started[rank].returncode,
        )
        for rank in range(2)
    ]


def test_all_processes_have_the_sums_and_the_extremes_of_all(two_processes):
    expected = {
        "sum": torch.tensor([3.0, -2.0]),
        "sum of turned": torch.arange(6.0).reshape(2, 3).t() * 3,
        "sum in float64": torch.tensor([2.0**40 + 2.0**-10], dtype=torch.float64),
        "sum of integers": torch.tensor([2**41 + 1]),
        "lowest": torch.tensor([1.0, -2.0]),
        "highest": torch.tensor([2.0, 0.0]),
        "total": torch.tensor(7),
    }

    for rank, found in enumerate(two_processes):
        for name, value in expected.items():
            assert torch.equal(found.tensors[name], value), name
            assert found.tensors[name].dtype == value.dtype
        assert torch.equal(found.tensors["own"], torch.tensor([1.0 + rank, -2.0 * rank]))


def test_gradients_are_summed_where_some_process_has_one(two_processes):
    steps = torch.arange(5.0)[:, None] * 2 + 10

    for found in two_processes:
        assert found.tensors["gradient of both"].eq(3.0).all()
        assert found.tensors["gradient of first"].eq(1.0).all()
        assert found.tensors["gradient in float64"].tolist() == [1.0, 3.0, 5.0, 7.0]
        assert torch.equal(found.tensors["gradients in pieces"], steps.expand(5, 7))


def test_the_first_says_what_is_agreed(two_processes):
    for found in two_processes:
        assert found.said["agreed"] == [0.1, 2**62 + 1, "ä \n'", True]


def test_tensors_of_any_types_and_numbers_are_gathered_by_rank(two_processes):
    base = torch.arange(6.0)
    expected = {
        "0 0": base.reshape(2, 3).t(),
        "0 1": torch.tensor([True, False]),
        "0 2": torch.tensor(3),
        "1 0": base.half()[2:],
    }

    for found in two_processes:
        kept = {name: value for name, value in found.tensors.items() if name.startswith("gathered")}
        assert set(kept) == {f"gathered {name}" for name in expected}
        for name, value in expected.items():
            assert torch.equal(kept[f"gathered {name}"], value)
            assert kept[f"gathered {name}"].dtype == value.dtype


@pytest.mark.parametrize(("dtype", "apart"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
def test_two_processes_train_what_one_trains_with_the_same_batches(two_processes, dtype, apart):
    alone = trained(ALONE, dtype)

    first, second = ({name: f.tensors[f"{dtype} {name}"] for name in alone} for f in two_processes)

    for name, value in alone.items():
        assert torch.equal(first[name], second[name])
        assert (first[name] - value).abs().max() < apart, name


def test_a_process_whose_partner_has_died_says_so_and_ends(two_processes):
    first, second = two_processes

    assert (first.code, second.code) == (0, 3)
    assert first.said["lost"].startswith(
        "process 0 (of 2, from 0) lost the others: one of them has"
    )


@pytest.mark.parametrize(
    ("place", "count", "unreadable"), [(0, 1, ()), (1, 10, ()), (2, 23, (3, 8, 9, 20))]
)
def test_two_processes_find_what_one_finds_and_look_at_each_image_once(
    two_processes, place, count, unreadable
):
    samples = Numbered(frozenset(unreadable))
    read = [number for number in range(count) if number not in unreadable]
    right = sum((number // 3) % CLASSES == 0 for number in read)

    alone = measured_by_parts(
        scores,
        samples,
        indices=range(count),
        task=CLASSIFY,
        names=["scores"],
        processes=ALONE,
        batch=4,
    )

    assert alone["n"] == len(read)
    assert alone["top1"] == 100.0 * right / len(read)
    found = [process.said["measured"][place] for process in two_processes]
    assert [figures for figures, _ in found] == [alone, alone]
    assert sorted(found[0][1] + found[1][1]) == list(range(count))


def test_labels_of_several_tensors_are_measured_to_the_bit_too(two_processes):
    alone = measured_by_parts(
        two_values,
        Numbered(with_targets=True),
        indices=range(17),
        task=VALUES,
        names=["a", "b"],
        processes=ALONE,
        batch=5,
    )

    assert set(alone) == {"rmse.a", "rmse.b", "n"}
    assert [process.said["measured"][3][0] for process in two_processes] == [alone, alone]


def test_both_say_that_no_image_could_be_read(two_processes):
    assert [process.said["measured"][4] for process in two_processes] == [NOTHING, NOTHING]
