"""Functions of one value: every entry of the table is the twin's, whoever makes the table."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from intaglio.errors import UnsupportedByTarget
from intaglio.numerics.spec import QuantParams, per_tensor
from intaglio.ops.function import FUNCTIONS, Call, evaluate_chain
from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.ops.function import (
    FORMS,
    NEGATION,
    STORED,
    form_of,
    stored_steps,
    wished_form,
)
from intaglio.targets.target import Target
from runtimes.litert.ops.harness import TARGETS, Network, cases
from runtimes.litert.ops.operands import every_integer, settle_always

CASES = cases(200)
LOOKED_UP = ["CAST", "CAST", "GATHER"]
SETTINGS = {
    "add": (0.3,),
    "clamp": (-0.5, 1.5),
    "elu": (0.7, 1.1, 0.9),
    "hardshrink": (0.5,),
    "leaky_relu": (0.1,),
    "mul": (-0.7,),
    "pow": (1.5,),
    "softplus": (1.0, 20.0),
    "softshrink": (0.4,),
    "threshold": (0.2, -1.0),
}
CHAINS: list[tuple[Call, ...]] = [((name, *SETTINGS.get(name, ())),) for name in FUNCTIONS]
CHAINS += [(*first, *second) for first, second in zip(CHAINS, CHAINS[7:], strict=False)]

both_targets = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


def network_of(chain: tuple[Call, ...], seed: int, grid: QuantParams | None = None) -> Network:
    """Return a network of one function of every integer of a grid, where it makes numbers of any.

    Its result's grid is settled as calibration settles it.
    """
    network = Network(seed)
    grid = grid or per_tensor(network.scale(2.0**-8, 2.0**-3), network.zero_point())
    x = network.input((1, 16, 16), grid)
    network.values[x] = every_integer(grid)
    values = evaluate_chain(chain, network.values[x])
    values = values[values.isfinite()]
    made = network.grid_around(values.clamp(-1e3, 1e3)) if len(values) else grid
    network.add("function", [x], {"chain": chain}, grid=made)
    settle_always(network)
    return network


@both_targets
def test_functions_give_the_bits_of_the_runtime(target: Target) -> None:
    held = 0
    for seed in range(CASES):
        network = network_of(CHAINS[seed % len(CHAINS)], seed)
        values = evaluate_chain(network.graph["function"].attrs["chain"], network.images)
        if bool(values.isnan().all()):
            continue
        counts = network.assert_same_bits(target)
        assert target.is_reference or counts.builtin in ([], ["EXP"], ["GELU"], LOOKED_UP)
        held += 1
    assert held > 0.9 * CASES


@both_targets
@pytest.mark.parametrize("chain", [chain for chain in FORMS if chain != NEGATION], ids=str)
def test_tables_of_the_runtime_have_its_bits_on_every_grid(
    chain: tuple[Call, ...], target: Target
) -> None:
    word, own = FORMS[chain].word, 0
    for seed in range(CASES):
        counts = network_of(chain, seed).assert_same_bits(target)

        own += word in counts.builtin or (target is LITERT and counts.builtin == [])
    assert own >= (0 if word == "ELU" and target.is_reference else 0.9 * CASES)


@both_targets
def test_a_negation_on_one_grid_around_zero_saturates_at_the_highest_integer(
    target: Target,
) -> None:
    for seed in range(CASES):
        network = Network(seed)
        x = network.input((1, 16, 16), per_tensor(network.scale(), 0))
        network.values[x] = every_integer(network.grids[x])
        network.add("function", [x], {"chain": NEGATION}, grid=network.grids[x])

        counts = network.assert_same_bits(target)

        found = build_twin(network.graph, network.encodings(), target).integers(network.images)[0]
        assert found.flatten().tolist() == [127, *range(127, -128, -1)]
        assert target.is_reference or counts.builtin == []


@both_targets
def test_a_function_of_values_with_any_number_of_axes_stays_in_place(target: Target) -> None:
    for seed in range(cases(30)):
        network = Network(seed)
        grid = per_tensor(network.scale(2.0**-8, 2.0**-3), network.zero_point())
        x = network.input(network.choose((5,), (3, 4), (3, 4, 5), (2, 3, 4, 5)), grid)
        network.add("function", [x], {"chain": (("mish",), ("square",))})

        network.assert_same_bits(target)


def test_a_clamp_that_a_grid_never_reaches_is_no_part_of_the_form() -> None:
    chain = ("clamp", -16.0, 0.0), ("exp",)

    assert wished_form(chain, per_tensor(16 / 255, 127)).word == "EXP"
    assert wished_form(chain, per_tensor(17 / 255, 127)) is STORED
    assert wished_form(chain, per_tensor(16 / 255, 126)) is STORED


def test_an_exponential_beyond_float32_is_a_stored_table() -> None:
    assert wished_form((("exp",),), per_tensor(0.5, 0)).word == "EXP"
    assert wished_form((("exp",),), per_tensor(1.0, 0)) is STORED


def test_the_reference_kernels_have_no_elu() -> None:
    elu, x, y = (("elu", 1.0, 1.0, 1.0),), per_tensor(0.1, 0), per_tensor(0.07, -100)

    assert form_of(elu, x, y, "xnnpack").word == "ELU"
    assert form_of(elu, x, y, "reference") is STORED
    assert form_of((("elu", 0.5, 1.0, 1.0),), x, y, "xnnpack") is STORED


def test_a_table_that_a_processor_could_make_otherwise_is_stored() -> None:
    half = (("gelu",),), per_tensor(1.0, 0), per_tensor(2.0, 0)  # gelu(9) is 9, half a step too far
    exponential = (("exp",),), per_tensor(0.05, 100), per_tensor(2.0, -128)  # exp(0) is half a step

    for chain, x, y in (half, exponential):
        assert wished_form(chain, x).kind == "built-in"
        assert form_of(chain, x, y, "xnnpack") is STORED
        assert form_of(chain, x, y, "reference") is STORED


def test_a_stored_table_by_hand() -> None:
    x, y = per_tensor(0.25, 0), per_tensor(0.5, -100)

    steps = stored_steps((("abs",),), x, y)

    # |q| / 4 in steps of 1 / 2: half of |q|, ties to even
    assert steps[:4].tolist() == [-36, -36, -37, -38]
    assert steps[126:131].tolist() == [-99, -100, -100, -100, -99]


def test_entries_that_are_no_numbers_are_those_of_the_nearest_and_infinities_saturate() -> None:
    x, y = per_tensor(0.5, 0), per_tensor(0.05, 0)

    logarithms = stored_steps((("log",),), x, y)
    roots = stored_steps((("add", 0.25), ("sqrt",)), x, y)
    inverses = stored_steps((("reciprocal",),), x, y)

    assert set(logarithms[:129].tolist()) == {-128.0}
    assert logarithms[130] == 0
    assert set(roots[:128].tolist()) == {round(math.sqrt(0.25) / 0.05)}
    assert inverses[127:130].tolist() == [-40, 127, 40]


@both_targets
def test_a_function_that_makes_numbers_of_nothing_is_refused(target: Target) -> None:
    network = network_of((("add", -1e3), ("log",)), 1)

    with pytest.raises(UnsupportedByTarget, match="a number of none of its input's integers"):
        network.assert_same_bits(target)


def test_tables_are_computed_in_float64() -> None:
    x = per_tensor(0.1, 7)
    reals = (np.arange(-128, 128) - 7) * float(x.step)

    steps = stored_steps((("silu",), ("softsign",)), x, per_tensor(1 / 128, 0))

    silu = reals / (1 + np.exp(-reals))
    expected = np.rint(128 * silu / (1 + abs(silu)))
    assert np.array_equal(steps, expected.clip(-128, 127))
    assert torch.tensor(steps).dtype == torch.float64
