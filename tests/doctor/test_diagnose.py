"""Every planted cause is named first, in its layer; a sound network has none."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from doctor import patients
from doctor.clinic import LITERT, SEEDS, captured, examined, named, sound_images, verdict_on
from intaglio.doctor import CAUSES, diagnose
from intaglio.errors import DataError, NonFiniteError, UnknownName
from intaglio.read.module.export import capture

Patient = Callable[[int], patients.Healthy]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("patient", "scheme", "cause", "layer"), patients.PLANTS)
def test_a_planted_cause_is_named_first_and_no_other_layer_is_accused(
    patient: Patient, scheme: str, cause: str, layer: str, seed: int
) -> None:
    found = verdict_on(patient, scheme, seed)

    assert not found.healthy
    assert named(found)[0] == (cause, layer)
    assert {finding.layer for finding in found.findings} == {layer}
    assert {finding.cause for finding in found.findings} <= set(CAUSES)


@pytest.mark.parametrize("scheme", ["w8a8", patients.PER_TENSOR])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("patient", [patients.healthy, patients.joined])
def test_a_sound_network_gets_a_clean_bill(patient: Patient, seed: int, scheme: str) -> None:
    assert verdict_on(patient, scheme, seed).healthy


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_of_the_weight_do_no_harm_where_each_has_its_own_scale(seed: int) -> None:
    found = verdict_on(patients.with_dead_channels, "w8a8", seed)

    assert found.healthy


@pytest.mark.parametrize(("patient", "scheme", "cause", "layer"), patients.PLANTS[:2])
def test_weights_and_batch_norms_are_judged_without_images(
    patient: Patient, scheme: str, cause: str, layer: str
) -> None:
    assert named(examined(patient, None, scheme=scheme)) == [(cause, layer)]


def test_without_images_a_sound_network_has_nothing() -> None:
    assert examined(patients.healthy, None, scheme=patients.PER_TENSOR).healthy


def test_two_causes_are_both_named_and_the_worse_is_first() -> None:
    found = verdict_on(patients.with_two_causes, patients.PER_TENSOR, 0)

    assert named(found)[:2] == [
        ("dead-channels", "depthwise.0"),
        ("outlier-activations", "project.0"),
    ]
    harms = [finding.harm_db for finding in found.findings]
    assert harms == sorted(harms)


def test_the_evidence_of_unequal_ranges_is_the_ratio_and_the_variance_behind_it() -> None:
    found = verdict_on(patients.with_unequal_ranges, patients.PER_TENSOR, 0)

    evidence = found.findings[0].evidence
    assert evidence["widest_channel"] == 3
    assert evidence["range_ratio_max_to_median"] > 50
    assert evidence["widest_channel_variance"] < 1e-3 * evidence["median_variance"]


def test_the_evidence_of_dead_channels_counts_them() -> None:
    found = verdict_on(patients.with_dead_channels, patients.PER_TENSOR, 0)

    evidence = found.findings[0].evidence
    assert evidence["dead_channels"] == 2
    assert evidence["channels"] == 16
    assert evidence["smallest_variance"] == 0.0


def test_a_diagnosis_is_plain_json_with_the_promised_keys() -> None:
    found = verdict_on(patients.with_outliers, "w8a8", 0).to_dict()

    assert found["healthy"] is False
    assert list(found["findings"][0]) == ["cause", "layer", "evidence", "remedy"]
    assert all(math.isfinite(value) for value in found["findings"][0]["evidence"].values())


def test_the_same_images_give_the_same_diagnosis() -> None:
    again = examined(patients.with_outliers, sound_images())

    assert again == verdict_on(patients.with_outliers, "w8a8", 0)


def test_the_captured_network_is_not_changed() -> None:
    graph = captured(patients.with_dead_channels, 0)
    nodes, params = dict(graph.nodes), {key: value.clone() for key, value in graph.params.items()}

    examined(patients.with_dead_channels, sound_images(), scheme=patients.PER_TENSOR)

    assert graph.nodes == nodes
    assert all(torch.equal(graph.params[key], value) for key, value in params.items())


def test_no_images_at_all_are_refused() -> None:
    with pytest.raises(DataError, match="no images"):
        diagnose(captured(patients.healthy, 0), [], target=LITERT, scheme="w8a8")


def test_a_layer_that_overflows_is_named() -> None:
    network = patients.healthy()
    with torch.no_grad():
        network.squeeze.fc1.weight.fill_(3e38)
    graph = capture(network, torch.zeros(1, 3, 32, 32))

    with pytest.raises(NonFiniteError, match=r"squeeze\.fc1"):
        diagnose(graph, [sound_images()], target=LITERT, scheme="w8a8")


def test_a_target_may_be_named_and_what_is_not_said_is_its_first_scheme() -> None:
    graph, photographs = captured(patients.with_dead_channels, 0), [sound_images()]

    told = diagnose(graph, photographs, target=LITERT, scheme="w8a8")

    assert diagnose(graph, photographs) == told
    assert diagnose(graph, photographs, target="litert") == told
    with pytest.raises(UnknownName, match="unknown target 'litrt': did you mean litert"):
        diagnose(graph, photographs, target="litrt")
