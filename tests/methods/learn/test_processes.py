from __future__ import annotations

from datetime import timedelta

import pytest
import torch
from torch import nn

from intaglio.errors import RequestError
from intaglio.methods.learn.processes import ALONE, Processes, joined_processes

SET = {
    "RANK": "0",
    "WORLD_SIZE": "2",
    "LOCAL_RANK": "0",
    "MASTER_ADDR": "localhost",
    "MASTER_PORT": "1",
}


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [0, 1, 2, 7, 64])
def test_parts_follow_one_another_and_differ_by_one_item_at_most(count, size):
    items = list(range(size))

    parts = [items[Processes(rank, count).part(size)] for rank in range(count)]

    assert [item for part in parts for item in part] == items
    sizes = [len(part) for part in parts]
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes) - min(sizes) <= 1


def test_alone_everything_is_ones_own():
    value = torch.tensor([1.0, 2.0])
    parameter = nn.Parameter(value.clone())
    parameter.grad = value

    ALONE.sum_gradients([parameter, nn.Parameter(value)])
    ALONE.barrier()

    assert ALONE.is_first
    assert all(how(value) is value for how in (ALONE.summed, ALONE.lowest, ALONE.highest))
    assert parameter.grad is value
    assert (ALONE.total(5), ALONE.agreed("a"), ALONE.gathered([value])) == (5, "a", [[value]])


@pytest.mark.parametrize("environment", [{}, {"MASTER_ADDR": "there"}, {**SET, "WORLD_SIZE": "1"}])
def test_without_others_a_process_is_alone_on_the_device_that_was_asked_for(environment):
    with joined_processes("mps", environment=environment) as processes:
        assert processes == Processes(0, 1, "mps")
        assert not torch.distributed.is_initialized()


@pytest.mark.parametrize("name", list(SET))
def test_what_is_missing_in_the_environment_is_named(name):
    environment = {key: value for key, value in SET.items() if key != name}

    with (
        pytest.raises(RequestError, match=rf"but not {name}: start them with torchrun"),
        joined_processes(environment=environment),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "value"), [("RANK", "-1"), ("WORLD_SIZE", "two"), ("MASTER_PORT", "")]
)
def test_what_is_no_number_in_the_environment_is_shown(name, value):
    with (
        pytest.raises(RequestError, match=rf"has {name}={value}, which is no number"),
        joined_processes(environment={**SET, name: value}),
    ):
        pass


def test_a_rank_beyond_the_count_is_refused():
    with (
        pytest.raises(RequestError, match="RANK=2 and WORLD_SIZE=2"),
        joined_processes(environment={**SET, "RANK": "2"}),
    ):
        pass


def test_a_device_that_several_processes_cannot_share_is_refused():
    local = str(torch.cuda.device_count())

    with (
        pytest.raises(RequestError, match="has no GPU of its own"),
        joined_processes("cuda", environment={**SET, "LOCAL_RANK": local}),
    ):
        pass
    with (
        pytest.raises(RequestError, match="on cpu or cuda, not on mps"),
        joined_processes("mps", environment=SET),
    ):
        pass


def test_others_that_do_not_come_are_named_with_the_place_where_they_should_have():
    with (
        pytest.raises(RequestError, match=r"process 1 .* could not join the others at localhost:1"),
        joined_processes(environment={**SET, "RANK": "1"}, wait=timedelta(seconds=0.2)),
    ):
        pass
