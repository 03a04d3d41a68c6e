"""The networks whose training steps are timed and weighed: float, ours, and those of other tools.

Each is built from the same network with random weights under seed 0; what cannot be built here says
why. Peers are imported by name when they are asked for: they stand in requirements.txt, and nobody
needs them for the other tables.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.training.runs import Start, network_of, start_of
from benchmarks.training.settings import COST_LR, COST_MOMENTUM, CostCase
from intaglio.zoo.catalog import ZOO

CLASSES = 10
"""Labels are below that number."""
CALIBRATION = 8


@dataclass(frozen=True, eq=False)
class Learner:
    """A network in training.

    Attributes:
        module: Which.
        note: What the row has to say beside.
    """

    module: nn.Module
    note: str = ""


@dataclass(frozen=True, eq=False)
class Given:
    """What learners are made of.

    Attributes:
        case: What is measured.
        module: The network as a user has it, in float, not to be changed.
        images: A batch, [N, 3, H, W], channels last.
        start: The network in integers.
    """

    case: CostCase
    module: nn.Module
    images: Tensor
    start: Start


def given_for(case: CostCase) -> Given:
    """Return what the learners of a case are made of."""
    torch.manual_seed(0)
    module = ZOO[case.network].build().to(memory_format=torch.channels_last)
    shape = (1, 3, case.size, case.size)
    images = torch.randn(case.batch, *shape[1:]).contiguous(memory_format=torch.channels_last)
    start = start_of(module, shape, case.scheme, images[:CALIBRATION])
    return Given(case, module, images, start)


def stepping(learner: Learner, given: Given) -> Callable[[], None]:
    """Return a step of training: forward, loss, backward, SGD with momentum."""
    labels = torch.arange(len(given.images)) % CLASSES
    parameters = [one for one in learner.module.parameters() if one.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=COST_LR, momentum=COST_MOMENTUM)

    def step() -> None:
        optimizer.zero_grad()
        made = learner.module(given.images)
        outputs = made if isinstance(made, Tensor) else made[0]
        F.cross_entropy(outputs, labels).backward()
        optimizer.step()

    return step


def _float(given: Given) -> Learner:
    return Learner(_copy(given), "the user's module, channels last")


def _lsq(given: Given) -> Learner:
    return Learner(network_of(given.start, "lsq").train(), "batch statistics")


def _lsq_frozen(given: Given) -> Learner:
    network = network_of(given.start, "lsq").train()
    network.freeze_norms()
    return Learner(network, "norms folded")


def _exact(given: Given) -> Learner:
    network = network_of(given.start, "exact").train()
    network.freeze_norms()  # until then there are no integers to be exact about
    return Learner(network, "norms folded, the twin on the way forward")


def _compiled(make: Callable[[Given], Learner]) -> Callable[[Given], Learner]:
    def made(given: Given) -> Learner:
        torch._dynamo.reset()
        learner = make(given)
        compiled = torch.compile(learner.module)
        return Learner(compiled, f"{learner.note}; torch.compile")

    return made


def _torchao(given: Given) -> Learner:
    """torchao's PT2E flow, 8 bits; its quantizer for x86 refuses a sum with a ReLU behind it."""
    flow = _imported("torchao.quantization.pt2e.quantize_pt2e")
    moved = _imported("torchao.quantization.pt2e")
    rules = _imported("torchao.testing.pt2e._xnnpack_quantizer")
    exported = torch.export.export(_copy(given), (given.images,)).module()
    config = rules.get_symmetric_quantization_config(is_per_channel=True, is_qat=True)
    quantizer = rules.XNNPACKQuantizer().set_global(config)
    prepared = flow.prepare_qat_pt2e(exported, quantizer)
    moved.move_exported_model_to_train(prepared)
    return Learner(prepared, "PT2E QAT, XNNPACKQuantizer, w8a8")


def _nncf(given: Given) -> Learner:
    """NNCF's quantized module, whose ranges learn: 8 bits."""
    nncf = _imported("nncf")
    data = nncf.Dataset([given.images[:CALIBRATION]])
    module = _copy(given).eval()
    network = nncf.quantize(module, data, preset=nncf.QuantizationPreset.MIXED, subset_size=1)
    return Learner(network.train(), "nncf.quantize, w8a8")


def _brevitas(given: Given) -> Learner:
    """Brevitas, layer by layer, with learned scales; batch norms stay layers."""
    graph = _imported("brevitas.graph.quantize")
    common = _imported("brevitas_examples.imagenet_classification.ptq.ptq_common")
    scheme = given.start.settings.scheme
    _, layers, _, _ = common.create_quant_maps(
        dtype=torch.float32,
        weight_bit_width=scheme.weight_bits,
        act_bit_width=scheme.activation_bits,
        bias_bit_width=None,
        weight_param_method="stats",
        weight_scale_type="float_scale",
        weight_quant_type="sym",
        weight_quant_granularity="per_channel",
        weight_narrow_range=True,
        weight_quant_format="int",
        act_quant_format="int",
        act_scale_type="float_scale",
        act_scale_computation_type="static",
        act_param_method="stats",
        act_quant_type="asym",
        act_quant_granularity="per_tensor",
        act_quant_percentile=99.99,
    )
    traced = torch.fx.symbolic_trace(_copy(given))
    network = graph.layerwise_quantize(traced, compute_layer_map=layers)
    return Learner(network.train(), f"layerwise_quantize, {scheme.name}")


FLOAT, FLOAT_COMPILED = "float", "float compiled"
LEARNERS: dict[str, Callable[[Given], Learner]] = {
    FLOAT: _float,
    "lsq": _lsq,
    "lsq frozen": _lsq_frozen,
    "exact": _exact,
    "torchao": _torchao,
    "nncf": _nncf,
    "brevitas": _brevitas,
    FLOAT_COMPILED: _compiled(_float),
    "lsq compiled": _compiled(_lsq),
    "lsq frozen compiled": _compiled(_lsq_frozen),
    "torchao compiled": _compiled(_torchao),
}
"""By the name of their rows; each returns a network in training mode, or raises."""
COMPILED = tuple(name for name in LEARNERS if name.endswith("compiled"))


def _copy(given: Given) -> nn.Module:
    """Return the user's module once more, in training mode."""
    module = ZOO[given.case.network].build()
    module.load_state_dict(given.module.state_dict())
    return module.to(memory_format=torch.channels_last).train()


def _imported(name: str) -> Any:
    return importlib.import_module(name)
