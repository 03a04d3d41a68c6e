"""The cores of a detector: what is one, what comes out of it, and the whole with others inside.

The small detectors of tests/detectors are laid out as torchvision's; each small module below has
one thing that could go wrong.
"""

from __future__ import annotations

import copy
import functools
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detectors.torchvision_style import DETECTORS, example
from intaglio.errors import CaptureError, DataError, NonFiniteError, RequestError, UnknownName
from intaglio.read.module.core_inputs import core_inputs, core_outputs
from intaglio.read.module.core_networks import after, with_networks
from intaglio.read.module.core_whole import Whole
from intaglio.read.module.cores import find_cores
from intaglio.read.module.export import capture
from intaglio.run.float import run_float

ONE = ["ssd", "ssdlite", "retinanet", "fcos"]
TWO = ["fasterrcnn_mobilenet", "fasterrcnn_resnet", "maskrcnn"]
IMAGES = torch.linspace(0, 1, 2 * 3 * 16 * 16).reshape(2, 3, 16, 16)


@functools.cache
def detector(name: str) -> nn.Module:
    return DETECTORS[name]()


@functools.cache
def whole_of(name: str) -> Whole:
    return find_cores(detector(name), example(2))


def itself(whole: Whole) -> dict[str, nn.Module]:
    return {core.name: core.module for core in whole.cores}


def places(whole: Whole) -> list[tuple[str, ...]]:
    return sorted(core.places for core in whole.cores)


def same(made: object, known: object) -> bool:
    """Whether two results are of one structure, and equal bit for bit."""
    first, spec = torch.utils._pytree.tree_flatten(made)
    second, other = torch.utils._pytree.tree_flatten(known)
    return spec == other and all(map(torch.equal, first, second))


def conv(channels: int = 3, out_channels: int = 4) -> nn.Conv2d:
    return nn.Conv2d(channels, out_channels, 3, padding=1)


class Small(nn.Module):
    """A detector whose own code picks, from two maps, the places that are above the mean."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(conv(), nn.ReLU(inplace=True), conv(4, 4))
        self.scores, self.boxes = conv(4, 1), conv(4, 4)

    def forward(self, images: Tensor) -> list[dict[str, Tensor]]:
        maps = self.middle(self.body(images / 2))
        return self.picked(self.scores(maps), self.boxes(maps))

    def middle(self, maps: Tensor) -> Tensor:
        """Return what the heads are given."""
        return maps

    def picked(self, scores: Tensor, boxes: Tensor) -> list[dict[str, Tensor]]:
        """Return the boxes of each image."""
        found = []
        for score, box in zip(scores, boxes, strict=True):
            keep = score[0] > score.mean()
            found.append({"scores": score[0][keep], "boxes": box[:, keep].T})
        return found


# What is found in detectors as they are


@pytest.mark.parametrize("name", ONE)
def test_a_one_stage_detector_is_one_core_of_backbone_and_head(name):
    whole = whole_of(name)

    assert places(whole) == [("backbone", "head")]
    assert whole.cores[0].share == 1.0
    assert whole.left_out == ()
    assert {name.split(".")[0] for name in whole.cores[0].output_names} == {"head"}


@pytest.mark.parametrize("name", TWO)
def test_a_two_stage_detector_is_cut_where_regions_are_pooled(name):
    whole = whole_of(name)

    core = whole.core("roi_heads.box_head")

    assert ("backbone", "rpn.head") in places(whole)
    assert core.places == ("roi_heads.box_head", "roi_heads.box_predictor")
    assert core.example.shape[1:] == (16, 7, 7)
    assert len(core.output_names) == 2
    assert sum(core.share for core in whole.cores) == pytest.approx(1.0)
    # The last map is made for the proposals alone: of it, regions are not pooled.
    maps = [one for one in whole.core("backbone").output_names if one.startswith("backbone")]
    assert len(maps) == {"fasterrcnn_mobilenet": 2}.get(name, 4)


def test_the_masks_of_a_detector_are_a_core_of_their_own():
    core = whole_of("maskrcnn").core("roi_heads.mask_head")
    by_entry = sorted(whole_of("maskrcnn").cores, key=lambda one: one.entered)

    assert [one.name for one in by_entry] == ["backbone", "roi_heads.box_head", core.name]
    assert core.places == ("roi_heads.mask_head", "roi_heads.mask_predictor")
    assert core.example.shape[1:] == (16, 14, 14)


@pytest.mark.parametrize("name", ONE + TWO)
def test_with_its_own_cores_a_detector_finds_the_same_bit_for_bit_in_other_images(name):
    whole = whole_of(name)

    network = with_networks(whole, itself(whole))

    assert type(network) is type(detector(name))
    for seed, count in ((7, 1), (9, 3)):
        images = example(count, (96, 128), seed=seed) if name == "ssd" else example(2, seed=seed)
        with torch.no_grad():
            assert same(network(images), detector(name)(images))


@pytest.mark.parametrize("name", ["ssd", "maskrcnn"])
def test_a_core_is_captured_and_its_graph_computes_what_it_computes(name):
    for core in whole_of(name).cores:
        graph = capture(core.module, core.example)

        made, known = run_float(graph, core.example), core.module(core.example)
        assert len(made) == len(known) == len(core.output_names)
        assert all(node.op != "opaque" for node in graph)
        for one, other in zip(made, known, strict=True):
            # float32 rounding of some twenty layers, whose calls may be written with other ops
            assert torch.allclose(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))


@pytest.mark.parametrize("name", ["ssd", "maskrcnn"])
def test_what_reaches_a_core_is_what_its_first_piece_is_given(name):
    whole, images = whole_of(name), example(2, seed=5)

    for core in whole.cores:
        given = []
        part = detector(name).get_submodule(core.places[0])
        hook = part.register_forward_pre_hook(lambda _, args, given=given: given.append(args[0]))
        with torch.no_grad():
            detector(name)(images)
        hook.remove()
        (reached,) = core_inputs(whole, core, [images])

        assert torch.equal(reached, given[0])
        assert same(core_outputs(whole, core, images), core.module(given[0]))


def test_the_rest_of_a_detector_runs_on_given_outputs():
    whole, images = whole_of("fasterrcnn_mobilenet"), [example(2, seed=seed) for seed in (5, 6)]
    core = whole.core("backbone")

    runs = ((batch, {"backbone": core_outputs(whole, core, batch)}) for batch in images)
    made = list(after(whole, runs))

    with torch.no_grad():
        assert same(made, [detector("fasterrcnn_mobilenet")(batch) for batch in images])


# What is read outside


def test_a_core_is_pieces_that_read_one_another_and_its_outputs_are_what_others_read():
    whole = find_cores(Small(), IMAGES)

    assert places(whole) == [("body", "scores", "boxes")]
    assert whole.cores[0].output_names == ("scores", "boxes")
    assert torch.equal(whole.cores[0].example, IMAGES / 2)


@pytest.mark.parametrize(
    "look",
    [
        lambda maps: maps.shape[2:],
        lambda maps: torch.zeros_like(maps),
        lambda maps: (len(maps), maps.dtype, maps.new_zeros(3)),
    ],
)
def test_a_tensor_of_which_the_form_alone_is_asked_is_no_output(look):
    class Anchored(Small):
        def middle(self, maps: Tensor) -> Tensor:
            self.form = look(maps)
            return maps

    whole = find_cores(Anchored(), IMAGES)

    assert whole.cores[0].output_names == ("scores", "boxes")
    # and where it is asked for, it is NaN, of the right shape: a read of it would be seen
    network = with_networks(whole, itself(whole))
    assert same(network(IMAGES), Anchored().eval()(IMAGES))


@pytest.mark.parametrize(
    "look",
    [
        lambda maps: maps[0, 0] * 2,
        lambda maps: maps.detach().numpy().max(),
        lambda maps: maps.tolist(),
        lambda maps: [one.sum() for one in maps],
        lambda maps: torch.ops.aten.relu(maps),
    ],
)
def test_a_tensor_of_which_values_are_read_on_the_way_is_an_output(look):
    class Looked(Small):
        def middle(self, maps: Tensor) -> Tensor:
            look(maps)
            return maps

    assert find_cores(Looked(), IMAGES).cores[0].output_names == ("body", "scores", "boxes")


def test_a_tensor_that_others_make_from_a_pieces_result_is_no_result_of_it():
    class Between(Small):
        def middle(self, maps: Tensor) -> Tensor:
            return maps * 2

    class Changed(Small):
        def middle(self, maps: Tensor) -> Tensor:
            maps.mul_(2)  # the same tensor, with other values
            return maps

    for kind in (Between, Changed):
        whole = find_cores(kind(), IMAGES)

        assert places(whole) == [("body",), ("scores", "boxes")]
        assert torch.equal(
            whole.core("scores").example, whole.core("body").module(IMAGES / 2)[0] * 2
        )
        assert same(with_networks(whole, itself(whole))(IMAGES), kind().eval()(IMAGES))


def test_an_input_that_a_piece_changes_in_place_is_kept_as_it_was_given():
    class Rectified(Small):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.ReLU(inplace=True), conv(), conv(4, 4))

    images = IMAGES - 0.5

    whole = find_cores(Rectified(), images)

    assert torch.equal(whole.cores[0].example, images / 2)


def test_heads_that_change_a_map_in_place_lie_in_the_core_of_the_map():
    class Rectifying(Small):
        def __init__(self) -> None:
            super().__init__()
            for name in ("scores", "boxes"):
                head = nn.Sequential(nn.ReLU(inplace=True), getattr(self, name))
                setattr(self, name, head)

    whole = find_cores(Rectifying(), IMAGES)

    assert places(whole) == [("body", "scores", "boxes")]
    assert whole.cores[0].output_names == ("scores", "boxes")
    assert same(with_networks(whole, itself(whole))(IMAGES), Rectifying().eval()(IMAGES))


def test_where_reads_cannot_be_heard_all_that_pieces_return_is_an_output():
    class Unheard(Small):
        def middle(self, maps: Tensor) -> Tensor:
            with torch._C.DisableTorchFunction():
                self.level = float(maps.detach().mean())
            return maps

        def picked(self, scores: Tensor, boxes: Tensor) -> list[dict[str, Tensor]]:
            return super().picked(scores + self.level, boxes)

    whole = find_cores(Unheard(), IMAGES)

    assert whole.cores[0].output_names == ("body", "scores", "boxes")
    assert same(with_networks(whole, itself(whole))(IMAGES), Unheard().eval()(IMAGES))


def test_names_of_the_users_parts_may_be_any():
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps, self.values, self.shapes = conv(), conv(4, 4), conv(4, 2)

        def forward(self, images: Tensor) -> Tensor:
            maps = self.values(self.steps(images))
            return self.shapes(maps)[self.shapes(maps) > 0]

    whole = find_cores(Named(), IMAGES)

    assert places(whole) == [("steps", "values", "shapes", "shapes")]
    assert {key.split(".")[0] for key in whole.cores[0].module.state_dict()} == {
        *("steps", "values", "shapes")
    }


def test_a_part_that_is_called_again_lies_in_one_core():
    class Levels(Small):
        def forward(self, images: Tensor) -> list[dict[str, Tensor]]:
            maps = [self.body(images)]
            maps.append(self.down(maps[0]))
            scores, boxes = ([head(one) for one in maps] for head in (self.scores, self.boxes))
            return list(map(self.picked, scores, boxes))

        def __init__(self) -> None:
            super().__init__()
            self.down = nn.MaxPool2d(2)

    whole = find_cores(Levels(), IMAGES)

    assert places(whole) == [("body", "down", "scores", "scores", "boxes", "boxes")]
    assert whole.cores[0].output_names == ("scores", "scores:1", "boxes", "boxes:1")
    assert same(with_networks(whole, itself(whole))(IMAGES), Levels().eval()(IMAGES))


def test_a_part_that_is_called_on_something_else_as_well_is_in_no_core():
    class Twice(Small):
        def picked(self, scores: Tensor, boxes: Tensor) -> list[dict[str, Tensor]]:
            return super().picked(scores, boxes.where(scores > 0, self.boxes(boxes * 2)))

    whole = find_cores(Twice(), IMAGES)

    assert places(whole) == [("body", "scores")]
    assert whole.cores[0].output_names == ("body", "scores")
    assert "layer 'boxes' is in no core" in " ".join(whole.left_out)
    assert same(with_networks(whole, itself(whole))(IMAGES), Twice().eval()(IMAGES))


def test_a_part_that_cannot_be_captured_is_opened():
    class Body(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            x = self[1](self[0](x))
            return self[2](x if x.sum() > 0 else -x)

    class Opened(Small):
        def __init__(self) -> None:
            super().__init__()
            self.body = Body(*self.body)

    whole = find_cores(Opened(), IMAGES)

    assert places(whole) == [("body.0", "body.1", "body.2", "scores", "boxes")]
    assert whole.left_out == ()


def test_what_no_layer_does_behind_the_last_weights_is_left_outside():
    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scores, self.boxes = conv(4, 1), conv(4, 4)

        def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
            scores, at = self.scores(maps).flatten(1).topk(5)
            boxes = self.boxes(maps).flatten(2).gather(2, at[:, None].expand(-1, 4, -1))
            return scores, boxes

    class Decoded(Small):
        def __init__(self) -> None:
            super().__init__()
            self.head = Head()

        def forward(self, images: Tensor) -> list[dict[str, Tensor]]:
            scores, boxes = self.head(self.body(images))
            return [{"scores": scores[scores > 0], "boxes": boxes}]

    whole = find_cores(Decoded(), IMAGES)

    assert places(whole) == [("body", "head.scores", "head.boxes")]


def test_a_branch_that_nobody_reads_is_no_output():
    class Auxiliary(Small):
        def middle(self, maps: Tensor) -> Tensor:
            self.boxes(maps)
            return maps

    assert find_cores(Auxiliary(), IMAGES).cores[0].output_names == ("scores", "boxes")


# The whole with networks in the places of its cores


def test_networks_stand_in_for_cores_and_get_their_inputs():
    whole, seen = find_cores(Small(), IMAGES), []

    def network(x: Tensor) -> list[Tensor]:
        seen.append(x)
        return [torch.arange(256.0).reshape(1, 1, 16, 16), torch.zeros(1, 4, 16, 16)]

    (found,) = with_networks(whole, {"body": network})(IMAGES[:1])

    assert torch.equal(seen[0], IMAGES[:1] / 2)
    assert found["scores"].tolist() == list(range(128, 256))
    assert not found["boxes"].any()


def test_weights_that_a_network_stands_in_for_are_not_carried_along():
    whole = find_cores(Small(), IMAGES)

    network = with_networks(whole, itself(whole))

    assert list(network.parameters()) == []
    assert isinstance(network.body, nn.Sequential)
    assert len(list(whole.module.parameters())) == 8  # they are where they were


def test_a_whole_with_networks_inside_can_be_copied_and_copies_run_apart():
    whole = find_cores(Small(), IMAGES)
    network = with_networks(whole, itself(whole))

    again = copy.deepcopy(network)

    assert same(again(IMAGES), network(IMAGES))
    assert again.body.forward.stand_in is again.scores.forward.stand_in
    assert again.body.forward.stand_in is not network.body.forward.stand_in


def test_weights_that_others_read_are_carried_along():
    class Tied(Small):
        def picked(self, scores: Tensor, boxes: Tensor) -> list[dict[str, Tensor]]:
            return super().picked(scores, F.conv2d(boxes, self.boxes.weight, padding=1))

    whole = find_cores(Tied(), IMAGES)

    network = with_networks(whole, itself(whole))

    assert [name for name, _ in network.named_parameters()] == ["boxes.weight", "boxes.bias"]
    assert same(network(IMAGES), Tied().eval()(IMAGES))


def test_what_hooks_of_the_user_do_is_done_once():
    network = Small()
    network.boxes.register_forward_hook(lambda _, args, result: result * 2)
    network.body.register_forward_pre_hook(lambda _, args: (args[0] + 1,))

    whole = find_cores(network, IMAGES)

    assert same(with_networks(whole, itself(whole))(IMAGES), network.eval()(IMAGES))


def test_a_network_is_given_no_empty_batch():
    class Regions(Small):
        def forward(self, images: Tensor) -> list[Tensor]:
            found = self.picked(self.body(images)[:, :1], images)
            regions = torch.cat([one["boxes"] for one in found])
            return [self.rank(regions[regions.sum(1) > 0.9])]

        def __init__(self) -> None:
            super().__init__()
            self.rank = nn.Linear(3, 2)

    def refuse(x: Tensor) -> list[Tensor]:
        raise AssertionError(f"given {list(x.shape)}")

    whole = find_cores(Regions(), IMAGES)

    (made,) = with_networks(whole, {"rank": refuse})(torch.zeros(1, 3, 16, 16))

    assert made.shape == (0, 2)
    assert list(core_inputs(whole, whole.core("rank"), [torch.zeros(1, 3, 16, 16)])) == []


def test_an_example_in_which_nothing_is_found_is_said_to_leave_parts_out():
    blank = [torch.zeros(3, 96, 128)]

    class Blind(Small):
        def __init__(self) -> None:
            super().__init__()
            self.rank = nn.Linear(3, 2)

        def forward(self, images: list[Tensor]) -> Tensor:
            maps = self.body(images[0][None])
            return self.rank(maps[:, :3].movedim(1, -1)[maps[:, 0] > 1e6])

    whole = find_cores(Blind(), blank)

    assert places(whole) == [("body",)]
    (sentence,) = whole.left_out
    assert "layer 'rank'" in sentence
    assert "in which something is found" in sentence


def test_runs_end_where_a_core_is_entered_and_batches_are_read_one_by_one():
    ran = []

    class Counted(Small):
        def picked(self, scores: Tensor, boxes: Tensor) -> list[dict[str, Tensor]]:
            ran.append(1)
            return super().picked(scores, boxes)

    whole = find_cores(Counted(), IMAGES)
    ran.clear()

    endless = (torch.full((1, 3, 16, 16), float(at)) for at in itertools.count())
    first = list(itertools.islice(core_inputs(whole, whole.cores[0], endless), 3))

    assert [float(one.max()) for one in first] == [0.0, 0.5, 1.0]
    assert ran == []


# What is refused


def test_another_size_than_the_examples_is_refused_by_name():
    whole = find_cores(Small(), IMAGES)
    other = torch.zeros(1, 3, 16, 24)

    with pytest.raises(DataError, match="'body' is given 3 x 16 x 24, and is made for 3 x 16 x 16"):
        next(core_inputs(whole, whole.cores[0], [other]))
    with pytest.raises(DataError, match="is given 3 x 16 x 24"):
        with_networks(whole, itself(whole))(other)


def test_pieces_that_are_given_something_else_for_other_images_are_refused():
    class Dependent(Small):
        def middle(self, maps: Tensor) -> Tensor:
            return maps if maps.mean() < 100 else maps * 2

    whole = find_cores(Dependent(), IMAGES)
    network = with_networks(
        whole, {"body": lambda x: [torch.full((1, n, 16, 16), 1e3) for n in (4, 1, 4)]}
    )

    with pytest.raises(DataError, match="'scores' is given something else than for the example"):
        network(IMAGES[:1])


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ([torch.zeros(2, 1, 16, 16)], "returns 1 tensors, not 2: scores, boxes"),
        ([torch.zeros(2, 1, 16, 16)] * 2, r"\[2, 1, 16, 16\] for 'boxes', not \[2, 4, 16, 16\]"),
    ],
)
def test_a_network_that_returns_something_else_is_refused(made, words):
    network = with_networks(find_cores(Small(), IMAGES), {"body": lambda x: made})

    with pytest.raises(RequestError, match=words):
        network(IMAGES)


def test_a_core_that_there_is_not_is_refused_with_those_that_there_are():
    with pytest.raises(UnknownName, match="no core 'head': known: body"):
        with_networks(find_cores(Small(), IMAGES), {"head": lambda x: []})


def test_a_module_that_is_data_dependent_throughout_is_refused_with_the_line():
    class Layer(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x if x.sum() > 0 else -x)

    class Dependent(Small):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(*(Layer(size, 4, 3, padding=1) for size in (3, 4, 4)))

    with pytest.raises(CaptureError, match=r"31% lie.*50% must.*'body'.*test_cores\.py, line \d+"):
        find_cores(Dependent(), IMAGES)


def test_a_module_that_is_random_is_refused():
    class Random(Small):
        def middle(self, maps: Tensor) -> Tensor:
            return maps + torch.rand(1)

    with pytest.raises(CaptureError, match="returns something else than before: it is random"):
        find_cores(Random(), IMAGES)


def test_a_module_that_fails_on_the_example_is_refused_with_its_own_words():
    with pytest.raises(CaptureError, match=r"Small itself fails on the example input: .*channels"):
        find_cores(Small(), torch.zeros(1, 5, 16, 16))


def test_a_damaged_weight_is_refused_by_the_name_of_its_layer():
    network = Small()
    with torch.no_grad():
        network.body[2].weight[0] = torch.nan

    with pytest.raises(NonFiniteError, match=r"layer 'body\.2' has 36 NaN"):
        find_cores(network, IMAGES)


def test_the_users_module_and_example_stay_as_they_are():
    class Scaled(Small):
        def forward(self, images: Tensor) -> list[dict[str, Tensor]]:
            return super().forward(images.div_(2))

    network, images = Scaled(), IMAGES.clone()
    before = {name: one.clone() for name, one in network.state_dict().items()}

    whole = find_cores(network, images)
    with_networks(whole, itself(whole))(images.clone())

    assert torch.equal(images, IMAGES)
    assert network.training
    assert all(not part._forward_hooks for part in network.modules())
    assert all(not part._forward_pre_hooks for part in network.modules())
    assert all(torch.equal(one, before[name]) for name, one in network.state_dict().items())
