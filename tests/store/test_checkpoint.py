"""The forms that training scripts save weights in: what is taken of each, and what is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from intaglio.errors import WeightsError
from intaglio.store.checkpoint import places, readings
from intaglio.store.weights import load_weights

State = dict[str, Tensor]


def small() -> nn.Sequential:
    """Return a network with a batch norm."""
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))


@pytest.fixture
def trained() -> State:
    """A state dict of `small`."""
    torch.manual_seed(1)
    return small().state_dict()


def under(prefix: str, state: State) -> State:
    return {f"{prefix}{key}": value for key, value in state.items()}


def other(state: State) -> State:
    """Return a state dict of the same keys and other weights."""
    return {key: value + 1 for key, value in state.items()}


def loaded(content: object, folder: Path, part: str = "") -> tuple[State, str]:
    """Return the state of a network into which a checkpoint was loaded, and what was said."""
    network = small()
    torch.save(content, folder / "w.pth")
    said = load_weights(network, f"{folder / 'w.pth'}{part}")
    return network.state_dict(), " ".join(said)


def same(one: State, another: State) -> bool:
    return all(torch.equal(one[key], another[key]) for key in another)


NAMES = (
    *("state_dict", "model", "model_state_dict", "net", "network", "params", "generator"),
    *("ema", "model_ema", "state_dict_ema", "params_ema", "ema_state_dict", "anything"),
)
PREFIXES = (
    *("module.", "_orig_mod.", "model.", "module._orig_mod.", "_orig_mod.module.", "net."),
    *("model.module.", "module.model.", "model._orig_mod.", "backbone.net.model."),
)


@pytest.mark.parametrize("name", NAMES)
def test_weights_under_a_name_are_taken_whatever_stands_beside_them(trained, tmp_path, name):
    optimizer = {"state": {0: {"step": torch.ones(1), "exp_avg": torch.ones(3)}}, "groups": [{}]}
    content = {"epoch": 3, name: trained, "optimizer": optimizer, "best": 0.5, "args": {"lr": 0.1}}

    found, said = loaded(content, tmp_path)

    assert same(found, trained)
    assert f"weights '{name}' of 'w.pth' were taken" in said


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("name", ["", "state_dict"])
def test_any_prefix_that_all_keys_have_is_taken_off(trained, tmp_path, prefix, name):
    state = under(prefix, trained)

    found, _ = loaded({name: state, "epoch": 1} if name else state, tmp_path)

    assert same(found, trained)


def test_names_may_be_nested(trained, tmp_path):
    found, said = loaded({"model": {"state_dict": under("module.", trained)}, "it": 1}, tmp_path)

    assert same(found, trained)
    assert "'model.state_dict'" in said


def test_a_file_as_the_network_has_it_needs_no_words(trained, tmp_path):
    assert loaded(trained, tmp_path)[1] == ""


@pytest.mark.parametrize(
    ("plain", "averaged"),
    [("model", "model_ema"), ("params", "params_ema"), ("state_dict", "ema"), ("it", "net_ema")],
)
def test_plain_weights_come_first_and_averaged_ones_are_offered(trained, tmp_path, plain, averaged):
    content = {averaged: other(trained), plain: trained}

    found, said = loaded(content, tmp_path)
    chosen, said_of_chosen = loaded(content, tmp_path, f"#{averaged}")

    assert same(found, trained)
    assert f"averaged ones are there as well: w.pth#{averaged}" in said
    assert same(chosen, other(trained))
    assert f"the averaged weights '{averaged}'" in said_of_chosen


def test_lightning_weights_are_found_among_those_of_a_loss_and_an_average(trained, tmp_path):
    state = {
        **under("ema_model.module.", other(trained)),
        **under("model.", trained),
        "criterion.weight": torch.ones(7),
    }

    found, said = loaded({"state_dict": state, "hyper_parameters": {"lr": 1}}, tmp_path)

    assert same(found, trained)
    assert "'state_dict.model'" in said
    assert "w.pth#state_dict.ema_model" in said
    assert "other tensors were left" in said


def test_of_two_networks_that_fit_neither_is_taken_unasked(trained, tmp_path):
    content = {"netG_A": trained, "netG_B": other(trained)}

    with pytest.raises(WeightsError, match=r"'netG_A', 'netG_B': say which, such as '.*#netG_A'"):
        loaded(content, tmp_path)

    assert same(loaded(content, tmp_path, "#netG_B")[0], other(trained))


def test_a_part_that_is_not_there_names_those_that_are(trained, tmp_path):
    with pytest.raises(WeightsError, match="no part 'emma' that fits the network: these do, 'ema'"):
        loaded({"ema": trained}, tmp_path, "#emma")


def test_a_wrapper_inside_of_keys_is_no_part_of_them(trained, tmp_path):
    state = {key.replace("0.", "0.module.", 1): value for key, value in trained.items()}

    assert same(loaded(state, tmp_path)[0], trained)


def test_a_network_that_is_wrapped_itself_takes_plain_keys(trained, tmp_path):
    torch.save(trained, tmp_path / "w.pth")
    wrapped = nn.Sequential()
    wrapped.add_module("inner", small())
    parallel = nn.DataParallel(small())

    load_weights(wrapped, tmp_path / "w.pth")
    load_weights(parallel, tmp_path / "w.pth")

    assert same(wrapped.inner.state_dict(), trained)
    assert same(parallel.module.state_dict(), trained)


def test_a_layer_of_a_chain_is_no_network_of_its_own(tmp_path):
    chain = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    torch.save(chain.state_dict(), tmp_path / "w.pth")

    with pytest.raises(WeightsError, match="4 unexpected keys"):
        load_weights(nn.Linear(3, 2), tmp_path / "w.pth")


def test_counters_that_nothing_reads_may_be_there_or_not(trained, tmp_path):
    counted = {**trained, "total_ops": torch.zeros(1), "0.total_params": torch.zeros(1)}
    averaged = {"n_averaged": torch.tensor(5), **under("module.", trained)}
    without = {key: value for key, value in trained.items() if "num_batches" not in key}

    for content in (counted, averaged, without):
        assert same(loaded(content, tmp_path)[0], without)


def test_counters_as_halves_are_taken_where_they_are_whole_and_left_where_not(trained, tmp_path):
    halves = {key: value.half() for key, value in trained.items()}
    halves["1.num_batches_tracked"] = torch.tensor(70_000).half()  # infinity

    found, said = loaded(halves, tmp_path)

    assert int(found["1.num_batches_tracked"]) == 0
    assert torch.equal(found["0.weight"], trained["0.weight"].half().float())
    assert "float16 of 'w.pth' became float32" in said


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight


def test_of_tied_weights_one_key_is_enough_and_two_have_to_be_equal(tmp_path):
    state = {key: torch.rand_like(value) for key, value in Tied().state_dict().items()}
    del state["first.weight"]
    save_file(state, tmp_path / "w.safetensors")
    network = Tied()

    load_weights(network, tmp_path / "w.safetensors")

    assert torch.equal(network.first.weight, state["second.weight"])

    save_file({**state, "first.weight": state["second.weight"] + 1}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"1 weight the network ties: second.weight"):
        load_weights(network, tmp_path / "w.safetensors")


def test_safetensors_have_prefixes_too(trained, tmp_path):
    save_file(under("model._orig_mod.", trained), tmp_path / "w.safetensors")
    network = small()

    assert "'model'" in " ".join(load_weights(network, tmp_path / "w.safetensors"))
    assert same(network.state_dict(), trained)


def test_a_wrong_shape_behind_a_prefix_is_named_with_both_shapes(trained, tmp_path):
    trained["3.bias"] = torch.zeros(5)

    with pytest.raises(WeightsError, match=r"1 wrong shape: 3.bias \(file \[5\], network \[2\]\)"):
        loaded({"state_dict": under("model.", trained), "epoch": 3}, tmp_path)


def test_the_work_on_a_hostile_checkpoint_is_bounded(trained):
    nest: dict[str, object] = {}
    nest["itself"] = nest
    deep: dict[str, object] = {"x": torch.zeros(1)}
    for _ in range(50):
        deep = {"inner": deep}
    many = {f"{number}.a.b": torch.zeros(1) for number in range(1000)}

    assert len(places(nest)) == 1
    assert len(places(deep)) == 1
    assert len(list(readings(places(many)[0], {"a.b": torch.zeros(1)}))) == 1
    few = {str(number): {"x": torch.zeros(1)} for number in range(2000)}
    assert len(places(few)) == 1000
