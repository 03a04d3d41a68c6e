"""Images that are wrong, for a sound network: preprocessing and representativeness."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from doctor import patients
from doctor.clinic import SEEDS, examined, named, sound_images, verdict_on
from intaglio.data.preprocess import Preprocess, parse_preprocess
from intaglio.doctor.finding import InputChange
from intaglio.doctor.preprocessing import preprocess_for

MEAN = torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)
WRONG: dict[str, Callable[[Tensor], Tensor]] = {
    "0..1 for -1..1": lambda images: (images + 1) / 2,
    "bytes for -1..1": lambda images: (images + 1) * 127.5,
    "mean and std of ImageNet for 0.5": lambda images: ((images + 1) / 2 - MEAN) / STD,
    "shifted": lambda images: images + 1.0,
    "BGR for RGB": lambda images: images.flip(1),
    "BGR for RGB, and 0..1": lambda images: (images.flip(1) + 1) / 2,
}


def noise(images: Tensor) -> Tensor:
    return torch.rand(images.shape, generator=torch.Generator().manual_seed(7)) * 2 - 1


UNLIKE: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "copies of one image": (lambda images: images[:1].repeat(32, 1, 1, 1), "all alike"),
    "noise": (noise, "of another kind"),
    "one colour each": (lambda images: images[:, :, :1, :1].repeat(1, 1, 32, 32), "flat"),
    "black": (lambda images: torch.full_like(images, -1.0), "flat"),
    "a single image": (lambda images: images[:1], "1 are too few"),
    "four images": (lambda images: images[:4], "4 are too few"),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mistake", WRONG)
def test_wrong_preprocessing_is_named_in_the_first_layer(mistake: str, seed: int) -> None:
    found = examined(patients.healthy, WRONG[mistake](sound_images(seed)), seed=seed)

    assert named(found) == [("wrong-preprocessing", "stem.0")]
    assert ("other order" in found.findings[0].remedy) is mistake.startswith("BGR")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mistake", UNLIKE)
def test_unrepresentative_images_are_named_with_the_reason(mistake: str, seed: int) -> None:
    change, reason = UNLIKE[mistake]

    found = examined(patients.healthy, change(sound_images(seed)), seed=seed)

    assert named(found) == [("unrepresentative-data", "stem.0")]
    assert reason in found.findings[0].remedy


@pytest.mark.parametrize("seed", SEEDS)
def test_images_of_one_half_beyond_the_other_are_unrepresentative(seed: int) -> None:
    images = sound_images(seed).clone()
    images[::2] *= 5.0

    found = examined(patients.healthy, images, seed=seed)

    assert found.findings[0].cause == "unrepresentative-data"
    assert "one half" in found.findings[0].remedy


@pytest.mark.parametrize("count", [8, 16, 64])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_few_right_images_are_enough_for_a_clean_bill(count: int, seed: int) -> None:
    assert examined(patients.healthy, sound_images(seed, count), seed=seed).healthy


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_a_little_more_or_less_contrast_is_not_wrong(factor: float) -> None:
    assert examined(patients.healthy, sound_images() * factor).healthy


def test_what_ails_the_network_is_named_beside_too_few_images() -> None:
    found = examined(patients.with_outliers, sound_images(count=4))

    assert named(found) == [
        ("outlier-activations", "project.0"),
        ("unrepresentative-data", "stem.0"),
    ]


def test_of_two_images_nothing_is_said_of_values() -> None:
    found = examined(patients.with_outliers, sound_images(count=2))

    assert named(found) == [("unrepresentative-data", "stem.0")]
    assert (found.findings[0].evidence["images"], found.findings[0].evidence["images_needed"]) == (
        2,
        8,
    )


def test_a_network_whose_batch_norms_were_never_trained_is_not_judged_by_them() -> None:
    def untrained(seed: int) -> patients.Healthy:
        network = patients.healthy(seed)
        network.stem[1].reset_running_stats()
        return network

    causes = {cause for cause, _ in named(examined(untrained, (sound_images() + 1) * 127.5))}

    assert "wrong-preprocessing" not in causes


def test_noise_that_a_network_was_made_for_is_right() -> None:
    def made_for_noise(seed: int) -> patients.Healthy:
        network = patients.healthy(seed)
        generator = torch.Generator().manual_seed(1)
        for norm in (m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)):
            norm.reset_running_stats()
        network.train()
        with torch.no_grad():
            for _ in range(4):
                network(torch.rand((32, 3, 32, 32), generator=generator) * 2 - 1)
        return network.eval()

    assert examined(made_for_noise, noise(sound_images())).healthy


def test_the_remedy_names_the_option_that_makes_the_images_right() -> None:
    given = parse_preprocess("resize=none,mean=0,std=1", Preprocess())

    found = examined(patients.healthy, (sound_images() + 1) / 2, preprocess=given)

    assert "--preprocess mean=0.5,std=0.5" in found.findings[0].remedy


def test_an_uncommon_change_is_told_in_numbers() -> None:
    given = parse_preprocess("mean=0,std=1", Preprocess())

    # 10 * image + 3 of images that are bytes / 255: (image - mean) / std with std 0.1, mean -0.3
    assert preprocess_for(InputChange(10.0, (3.0,)), given) == "mean=-0.3,std=0.1"


def test_a_sound_verdict_does_not_depend_on_the_order_of_the_images() -> None:
    order = torch.randperm(32, generator=torch.Generator().manual_seed(3))

    assert examined(patients.healthy, sound_images()[order]) == verdict_on(
        patients.healthy, "w8a8", 0
    )
