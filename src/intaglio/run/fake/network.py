"""A network that trains, made from the graph, plan and encodings that make its twin.

    network = trainable(graph, norms, Deployment(plan, encodings, target), method="lsq")
    loss = criterion(network(images)[0], labels)
    loss.backward()
    graph, encodings = network.read_out()

In training mode batch norms follow the batches until `freeze_norms`; else the network computes with
what is folded. An exact one is the integer twin itself on the way forward as soon as that is so,
and on the way back what it would be without: no integers are normalized by their batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intaglio.errors import SpecError
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.affine import fake_quantize as stored_on_grid
from intaglio.numerics.batch_norm import BatchNorm
from intaglio.numerics.encodings import Encodings
from intaglio.ops import OPS
from intaglio.ops.convolution import copies_values
from intaglio.ops.schema import activate_fresh, bare
from intaglio.ops.traits import ON_THE_GRID
from intaglio.run.fake.exact import Computed, ExactKernels
from intaglio.run.fake.fake_quantize import Edges, Scratch, fake_quantize
from intaglio.run.fake.grids import SETTLE_EVERY, Deployment, Grids
from intaglio.run.fake.layer import Layer
from intaglio.run.fake.make_layers import make_layers
from intaglio.run.fake.names import is_own, key_of
from intaglio.run.fake.norm_quantize import norm_quantize
from intaglio.run.fake.on_grid import OnGrid, on_grid
from intaglio.run.fake.present import present
from intaglio.run.fake.ranges import RANGE_METHODS, Together, WeightRange
from intaglio.run.fake.sum_quantize import can_be_one, sum_quantize
from intaglio.run.float import in_layout
from intaglio.run.norm_over_processes import Running, batch_norm_over
from intaglio.run.partial import Route
from intaglio.run.twin import quantize_input

USUAL_MOMENTUM = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Both:
    """A value on its way through the network.

    Attributes:
        real: With gradients.
        held: As the twin has it (integers minus zero point where there is a grid); None where the
            twin is not run.
    """

    real: Tensor
    held: Tensor | None


class FakeNetwork(nn.Module):
    """A network in training; see `trainable`.

    Attributes:
        network: What learns, under the names of the user's network.
        value_grids: Of its values; None: the network is float.
        scales: Of its weights, by layer.
        frozen: Whether batch norms keep their statistics, [] bool.
        steps: Training steps so far, [] int64.
        norm_momentum: How much of a batch's statistics goes into those of batch norms.
        observes: Whether ranges are observed in training; they are held where it is False.
        observer_delay: Training steps in which ranges that are observed do not round yet.
        together: Other processes that train the same network; None where there are none.
        rounds_outputs: Whether outputs that no layer reads are rounded: no loss can learn that.
    """

    frozen: Tensor
    steps: Tensor

    def __init__(
        self,
        graph: Graph,
        norms: Mapping[str, BatchNorm],
        deployment: Deployment | None,
        *,
        method: str,
        exact: bool,
        observer_delay: int,
    ) -> None:
        """Make the layers and grids; see `trainable`."""
        super().__init__()
        self.graph, self.deployment = graph, deployment
        self.value_grids: Grids | None = None
        self.scales = nn.ModuleDict()
        self.kernels = None
        if deployment is not None:
            ranges = RANGE_METHODS[method]
            self.value_grids = Grids(graph, deployment, ranges)
            for name, grid in deployment.encodings.weights.items():
                if not copies_values(graph, graph[name]):
                    weight = graph.param(graph[name], "weight")
                    self.scales[key_of(name)] = ranges.weights(grid, weight)
            self.kernels = ExactKernels(deployment.target) if exact else None
        by_layer = {node.name: self.scale_range(node.name) for node in graph}
        made = make_layers(graph, norms, {k: v for k, v in by_layer.items() if v is not None})
        self.network, self.layers, self.others = made.root, made.layers, made.others
        self.register_buffer("frozen", torch.tensor(False))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.norm_momentum = USUAL_MOMENTUM
        self.observes = True
        self.observer_delay = observer_delay
        self.together: Together | None = None
        self.rounds_outputs = True
        self._ends = {name for name in graph.outputs if not graph.readers(name)}
        self._bare = {node.name: bare(node) for node in graph}
        self._route = Route.through(list(graph), graph.outputs)
        self._scratch = Scratch()

    def scale_range(self, name: str) -> WeightRange | None:
        """Return the scales of a layer's weight; None where it stays in float."""
        key = key_of(name)
        found = self.scales[key] if key in self.scales else None  # noqa: SIM401  a ModuleDict has no get
        assert found is None or isinstance(found, WeightRange), "these are made here"
        return found

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the outputs [N, ...] for images [N, C, H, W], real numbers, in order.

        torch.compile leaves it as it is: what there is to fuse is fused already.
        """
        if torch.compiler.is_compiling():
            plainly = torch.compiler.disable(self._outputs)  # type: ignore[no-untyped-call]
            outputs: list[Tensor] = plainly(images)
            return outputs
        return self._outputs(images)

    def values(self, images: Tensor, names: Sequence[str]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the outputs, and the real values of named nodes as the next layer reads them."""
        route = Route.between(self.graph, self.graph.inputs, [*self.graph.outputs, *names])
        found = self._walked(images, route)
        return [found[name] for name in self.graph.outputs], [found[name] for name in names]

    def _outputs(self, images: Tensor) -> list[Tensor]:
        found = self._walked(images, self._route)
        return [found[output] for output in self.graph.outputs]

    def _walked(self, images: Tensor, route: Route) -> dict[str, Tensor]:
        grids = self.value_grids if self.training and self.observes else None
        if grids is not None:
            if int(self.steps) % SETTLE_EVERY == 0:
                grids.settle()
            self.steps += 1
        computed = self._computed()
        name = self.graph.inputs[0]
        given = {name: self._given(self.graph[name], in_layout(images), exact=computed is not None)}
        *_, (_, values) = route.walk(given, lambda node, inputs: self._step(node, inputs, computed))
        self._scratch = Scratch()  # this one goes with the way back
        if grids is not None:
            grids.follow(self.together)
        return {name: values[name].real for name in route.wanted}

    def train(self, mode: bool = True) -> FakeNetwork:
        """Choose between training and measuring; what is measured is on settled grids."""
        if not mode and self.training and self.value_grids is not None:
            self.value_grids.settle()
        super().train(mode)
        return self

    def freeze_norms(self) -> None:
        """Keep the statistics of all batch norms from now on, and fold them."""
        self.frozen.fill_(True)

    def read_out(self) -> tuple[Graph, Encodings]:
        """Return the graph and the encodings of what was trained; both are new.

        The twin and the file of them compute what the network computes in measuring mode: in every
        integer where it is exact.
        """
        if self.value_grids is not None:
            self.value_grids.settle()
        return self._present()

    def user_weights(self) -> dict[str, Tensor]:
        """Return the weights before folding, by the names that they have in the user's network.

        What is in the user's network and does not learn here (constants, counters) is not there,
        nor is what is only here (the gain of a batch norm that has none).
        """
        state = self.network.state_dict()
        return {
            name: value.detach().cpu().contiguous()
            for name, value in state.items()
            if not is_own(name)
        }

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters: "weights" of layers, "norms" and biases, "scales" of grids."""
        weights = {id(layer.weight.value) for layer in self.layers.values()}
        learned = list(self.network.parameters())
        scales = list(self.scales.parameters())
        if self.value_grids is not None:
            scales += list(self.value_grids.parameters())
        return {
            "weights": [one for one in learned if id(one) in weights],
            "norms": [one for one in learned if id(one) not in weights],
            "scales": scales,
        }

    @torch.no_grad()
    def grids(self) -> dict[str, Tensor]:
        """Return the scale that is wished for of each value, and of each weight, by name."""
        found: dict[str, Tensor] = {}
        if self.value_grids is not None:
            for name, leader in self.value_grids.leader.items():
                if name == leader:
                    learned = self.value_grids.range_of(name)
                    assert learned is not None, "a leader has one"
                    found[name] = learned.wished_scale()
        for name, layer in self.layers.items():
            if layer.range is not None:
                found[f"{name}.weight"] = layer.range.wished(layer.folded()[0])
        return found

    def weights_on_grids(self) -> dict[str, OnGrid]:
        """Return the weights that are rounded, by layer; none in a float network."""
        found = {}
        for name, layer in self.layers.items():
            latent = layer.weight.value
            if layer.range is not None and isinstance(latent, nn.Parameter):
                found[name] = on_grid(layer, latent, partial(self.weight_scale, name))
        return found

    def norm_statistics(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Return (mean, variance) [C] each of batch norms that follow the batches, by layer."""
        if bool(self.frozen):
            return {}
        return {
            name: (layer.norm.mean.value, layer.norm.var.value)
            for name, layer in self.layers.items()
            if layer.norm is not None
        }

    def weight_scale(self, name: str) -> Tensor:
        """Return the scales of a layer's weight that count, [C] or [], detached."""
        layer = self.layers[name]
        assert self.deployment is not None, "a float network has no scales"
        assert layer.range is not None, "nor has a layer in float"
        limit = self.deployment.target.bias_limit(layer.range.spec.bits)
        return layer.scale(self._input_scale(name), limit)

    def _computed(self) -> Computed | None:
        """Return the twin's kernels for the network as it is now; None where it is not exact.

        None as well where a number is not finite: its outputs then say so, for who watches.
        """
        if self.kernels is None or (self.training and self._follows):
            return None
        try:
            return self.kernels.of(*self._present())
        except SpecError:
            return None

    @property
    def _follows(self) -> bool:
        """Whether batch norms follow the batches in training."""
        has_norms = any(layer.norm is not None for layer in self.layers.values())
        return has_norms and not bool(self.frozen)

    def _present(self) -> tuple[Graph, Encodings]:
        start = Encodings({}, {})
        if self.value_grids is not None and self.deployment is not None:
            start = Encodings(self.value_grids.activations, self.deployment.encodings.weights)
        return present(
            self.graph, self.layers, self.others, start=start, scale_of=self.weight_scale
        )

    def _given(self, node: Node, images: Tensor, *, exact: bool) -> Both:
        if self.value_grids is None or node.name not in self.value_grids:
            return Both(images, images)
        held, grid = None, self.value_grids.used(node.name)
        if exact and self.deployment is not None:
            with torch.no_grad():
                held = quantize_input(images, grid, self.deployment.target)
        return Both(self._finished(node, images, held), held)

    def _step(self, node: Node, inputs: Sequence[Both], computed: Computed | None) -> Both:
        held = None
        if computed is not None:
            held = computed(node, [value.held for value in inputs if value.held is not None])
        reals = [value.real for value in inputs]
        layer = self.layers.get(node.name)
        if layer is not None:
            return Both(self._layer_value(node, layer, reals[0], held), held)
        if node.op == "constant":
            return Both(self._stored(node), held)
        params = {role: slot.value for role, slot in self.others.get(node.name, {}).items()}
        params = params or self.graph.params_of(node)
        has_grid = self._has_grid(node.name)
        if node.op == "add" and has_grid and not self._observes(node) and can_be_one(*reals):
            edges, exact = self._edges(node), self._exact(node, held)
            return Both(sum_quantize((reals[0], reals[1]), edges, self._scratch, exact), held)
        made = OPS[node.op].function(self._bare[node.name] if has_grid else node, reals, params)
        return Both(self._finished(node, made, held) if has_grid else made, held)

    def _stored(self, node: Node) -> Tensor:
        value = self.graph.param(node, "value")
        if self.value_grids is None or node.name not in self.value_grids:
            return value
        return stored_on_grid(value, self.value_grids.used(node.name))

    def _layer_value(self, node: Node, layer: Layer, x: Tensor, held: Tensor | None) -> Tensor:
        scale = self.weight_scale(node.name) if layer.range is not None else None
        follows = self.training and layer.norm is not None and not bool(self.frozen)
        if follows:
            weight, bias = layer.for_batch_statistics(scale)
        elif scale is None:
            weight, bias = layer.folded()
        else:
            weight, bias = layer.rounded(scale, self._input_scale(node.name))
        if bias is None and node.op == "affine":
            bias = torch.zeros_like(weight)
        params = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
        made = OPS[node.op].function(layer.node, [x], params)
        return self._normalized(node, layer, made) if follows else self._finished(node, made, held)

    def _input_scale(self, name: str) -> Tensor | None:
        """Return the scale of what a layer reads, []; None where its bias stays real."""
        source = self.graph[name].inputs[0]
        if self.value_grids is None or source not in self.value_grids:
            return None
        if self.deployment is None or self.deployment.target.computes_reals:
            return None
        return self.value_grids.used(source).scale.to(self.layers[name].weight.value.device)

    def _normalized(self, node: Node, layer: Layer, values: Tensor) -> Tensor:
        norm = layer.norm
        assert norm is not None, "there are statistics to follow"
        gamma, beta = norm.gamma.value, norm.beta.value
        running = Running(norm.mean.value, norm.var.value, self.norm_momentum, norm.eps)
        is_plain = not self._has_grid(node.name)
        if self.together is None and not is_plain and not self._observes(node):
            edges = self._edges(node)
            return norm_quantize(values, gamma, beta, running, edges, self._scratch)
        if self.together is None:
            made = F.batch_norm(
                values, running.mean, running.var, gamma, beta, True, running.momentum, running.eps
            )
        else:
            made = batch_norm_over(values, gamma, beta, running, summed=self.together.summed)
        return self._finished(node, made, None)

    def _has_grid(self, name: str) -> bool:
        is_open = not self.rounds_outputs and name in self._ends
        return self.value_grids is not None and name in self.value_grids and not is_open

    def _observes(self, node: Node) -> bool:
        learned = None if self.value_grids is None else self.value_grids.range_of(node.name)
        return learned is not None and learned.observes

    def _edges(self, node: Node) -> Edges:
        assert self.value_grids is not None, "a float network has none"
        count = math.prod(node.shape[1:])
        return self.value_grids.edges(node.name, count).within(node.attrs.get("activation"))

    def _finished(self, node: Node, values: Tensor, held: Tensor | None) -> Tensor:
        """Return a node's values on their grid, if they have one, behind the fused activation."""
        grids = self.value_grids
        if grids is None or not self._has_grid(node.name):
            return activate_fresh(values, node.attrs.get("activation"))
        bounds = node.attrs.get("activation")
        if node.op in ON_THE_GRID and bounds is None:
            return values
        learned = grids.range_of(node.name)
        if learned is not None and learned.observes and self.training and self.observes:
            learned.observe(values, bounds)
            if self.observer_delay and int(self.steps) <= self.observer_delay:
                return activate_fresh(values, bounds)
        return fake_quantize(values, self._edges(node), self._scratch, self._exact(node, held))

    def _exact(self, node: Node, held: Tensor | None) -> Tensor | None:
        """Return what the twin makes of a value, as real numbers; None where it is not run."""
        if held is None:
            return None
        assert self.value_grids is not None, "a float network runs no twin"
        return held * self.value_grids.used(node.name).scale.to(held.device)
