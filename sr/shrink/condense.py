"""The stage `condense`: a mixture of experts while it is overfitted, plain convolutions in the end.

    budget ─► even widths ─► MoeChain ─► overfit, condensed on the way ─► folded: a plain Chain

    steps:  |-- routed, balanced --|- layer by layer: constant gates -|-- condensed, to the end --|
                                   ^ begin                            rates fall with the cosine

CD-MoE ("Condense, Don't Just Prune", section 3) condenses a finished network and fine-tunes what
is left. A network overfitted to one video is never finished: condensed in the middle of its steps,
the kept experts and the shared convolutions get the half of the schedule that settles them, and
nothing is trained that is thrown away late. The whole is one run of `overfit`.

The widths come first: experts cost the server time and the phone nothing, so the network starts at
the size that the phone gets. What experts add over the dense network of that size is the claim.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from player.package.paths import HARD
from sr.models import Network
from sr.models.moe import ExpertLayer, ExpertPlan, MoeChain, balance_loss, moe_chain
from sr.shrink.expert_search import (
    GateStatistics,
    LayerOrder,
    greedy_experts,
    greedy_layers,
    mean_js,
)
from sr.shrink.stage import Stage, StageError, StageWork, check_chain
from sr.shrink.uniform import at_budget
from sr.training.data import Batch, CropSampler
from sr.training.loop import Companion, PixelErrors, overfit

CALIBRATION_BATCHES = 24
LOAD_MEMORY = 0.9  # of the running load: a batch of four crops says little alone
_CALIBRATION_STEP = 1_000_000  # crops that no training step draws
_PLACE_EVERY_PX = 6  # of a crop's pixels, those that the search judges by


@dataclass(frozen=True)
class LayerRecord:
    """One layer on the calibration crops: P pixels of O channels, before the ReLU.

    `base` [P, O]: shared convolution and bias; `target` [P, O]: the layer as routed;
    `contributions` [E, P, O]: every expert's output times its constant gate; `counts` [E]: the
    crops that chose it; `constants` [E].
    """

    base: Tensor
    target: Tensor
    contributions: Tensor
    counts: Tensor
    constants: Tensor


def calibration(sampler: CropSampler, batches: int) -> list[Batch]:
    """The crops that gates, experts and order are judged by; no training step sees them."""
    return [sampler.draw(_CALIBRATION_STEP + i) for i in range(batches)]


@torch.no_grad()
def record_layer(network: MoeChain, depth: int, batches: Sequence[Batch]) -> LayerRecord:
    """What the layer at `depth` of the trunk, still routing, does on these crops; in fp32."""
    layer = network.layers[depth]
    statistics = GateStatistics(layer.plan.experts)
    bases, targets, outputs = [], [], []
    for batch in batches:
        # The features that the layer reads, and what its router decides.
        *_, x, _ = network.activations(network.first(batch.lr, HARD), depth + 1)
        routing = layer.routing
        assert routing is not None
        statistics.add(routing.chosen, routing.gates)
        base, parts = _shared_and_experts(layer, x)
        gates = routing.all_gates()
        bases.append(_rows(base))
        targets.append(_rows(base + torch.einsum("ne,enohw->nohw", gates, parts)))
        outputs.append(torch.stack([_rows(part) for part in parts]))
    constants = statistics.means()
    contributions = torch.cat(outputs, dim=1) * constants[:, None, None]
    counts = statistics.counts
    return LayerRecord(torch.cat(bases), torch.cat(targets), contributions, counts, constants)


def _shared_and_experts(layer: ExpertLayer, x: Tensor) -> tuple[Tensor, Tensor]:
    """The shared convolution [N, O, h, w] and the experts [E, N, O, h, w] on some pixels of x."""
    plan = layer.plan
    inner, up = _thinned(layer.down(x)), layer.up.weight.flatten(1)
    always = torch.einsum("os,nshw->nohw", up[:, : plan.shared], inner[:, : plan.shared])
    apart = (plan.experts, plan.channels)
    routed = inner[:, plan.shared :].unflatten(1, apart)
    experts = torch.einsum("oer,nerhw->enohw", up[:, plan.shared :].unflatten(1, apart), routed)
    return _thinned(layer.shared(x)) + always, experts


def _thinned(x: Tensor) -> Tensor:
    return x[:, :, ::_PLACE_EVERY_PX, ::_PLACE_EVERY_PX]


def _rows(x: Tensor) -> Tensor:
    """[N, O, h, w] -> [N h w, O]."""
    return x.permute(0, 2, 3, 1).flatten(0, 2)


def layer_order(
    network: MoeChain, constants: dict[int, Tensor], batches: Sequence[Batch]
) -> LayerOrder:
    """CD-MoE's greedy order of all layers, judged by the last layer's output (nats).

    `constants`: each layer's gates [E] if it is condensed. The network is left as it was.
    """
    target = _last_output(network, batches)

    def divergence(condensed: frozenset[int]) -> float:
        with _condensed(network, {depth: constants[depth] for depth in condensed}):
            return mean_js(target, _last_output(network, batches))

    return greedy_layers(tuple(constants), divergence, len(constants))


@torch.no_grad()
def _last_output(network: MoeChain, batches: Sequence[Batch]) -> Tensor:
    depth = network.arch.exits[-1]
    lasts = (list(network.activations(network.first(b.lr, HARD), depth))[-1] for b in batches)
    return torch.cat([_rows(_thinned(last)) for last in lasts])


@contextmanager
def _condensed(network: MoeChain, constants: dict[int, Tensor]) -> Iterator[None]:
    """These layers condensed for a while."""
    layers = network.layers
    before = {d: (layers[d].constants.clone(), layers[d].constancy.clone()) for d in constants}
    for depth, gates in constants.items():
        layers[depth].condense(gates)
    try:
        yield
    finally:
        for depth, (gates, constancy) in before.items():
            layers[depth].constants.copy_(gates)
            layers[depth].constancy.copy_(constancy)


@dataclass(frozen=True)
class CondensingPlan:
    """When which layers condense: the first after `begin` steps, the next every `interval`.

    Each layer keeps `keep` experts. From routed to constant its gates go within
    `fade` steps. `balance` weighs the load-balance loss of the layers that route.
    """

    begin: int
    interval: int
    fade: int
    keep: int
    balance: float = 0.01
    seed: int = 0


class Condensation(Companion):
    """Balances the routers, then condenses layers of a MoeChain in CD-MoE's order.

    Raises StageError where the network has no experts.
    """

    def __init__(self, network: Network, batches: Sequence[Batch], plan: CondensingPlan) -> None:
        if not (isinstance(network, MoeChain) and network.layers):
            raise StageError(
                f"condense: the {network.arch.name} network has no experts to condense: make it a "
                "mixture of experts and train that first (the stage condense does both)"
            )
        self._network, self._batches, self._plan = network, batches, plan
        self.order: list[int] = []
        self.kept: dict[int, tuple[int, ...]] = {}

    def extra_loss(self, batch: Batch, errors: PixelErrors, step: int) -> Tensor | None:
        losses = []
        for layer in self._network.layers.values():
            if (routing := layer.routing) is not None:
                # By the layer's running load, which these crops' gates enter first.
                given = routing.all_gates().detach().mean(dim=0) / routing.chosen.shape[1]
                layer.load.lerp_(given, 1 - LOAD_MEMORY)
                losses.append(balance_loss(routing.probabilities, layer.load.clone()))
        return self._plan.balance * torch.stack(losses).sum() if losses else None

    def after_step(self, step: int) -> None:
        done = step + 1
        if done == self._plan.begin:
            # Each layer judged with the experts that it would keep now.
            constants = {depth: self.gates(depth)[1] for depth in self._network.layers}
            self.order = list(layer_order(self._network, constants, self._batches).layers)
        for place, depth in enumerate(self.order):
            since = done - self._plan.begin - place * self._plan.interval
            if since == 0:
                self.kept[depth], gates = self.gates(depth)
                self._network.layers[depth].constants.copy_(gates)
            if since >= 0:
                constancy = (since + 1) / (self._plan.fade + 1)
                self._network.layers[depth].constancy.fill_(min(1.0, constancy))

    def choose(self, record: LayerRecord, seed: int) -> tuple[int, ...]:
        """CD-MoE's greedy search, by Jensen-Shannon divergence on the layer's output."""
        found = greedy_experts(record.base, record.target, record.contributions, self._plan.keep)
        return found.experts

    def gates(self, depth: int) -> tuple[tuple[int, ...], Tensor]:
        """The experts that a routing layer would keep now, and its gates [E] then: 0 for the
        others."""
        record = record_layer(self._network, depth, self._batches)
        kept = self.choose(record, self._plan.seed + depth)
        gates = torch.zeros_like(record.constants)
        gates[list(kept)] = record.constants[list(kept)]
        return kept, gates

    def state_dict(self) -> dict[str, Any]:
        return {"order": self.order, "kept": self.kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.order, self.kept = list(state["order"]), dict(state["kept"])


@dataclass(frozen=True)
class Condense(Stage):
    """CD-MoE on the trunk of a chain.

    After `routed_share` of the steps the layers condense one by one, `interval_share` of the steps
    apart; the rest trains what is left.
    """

    experts: ExpertPlan = field(default_factory=ExpertPlan)
    keep: int = 6
    routed_share: float = 0.1
    interval_share: float = 0.02
    fade_share: float = 0.0
    balance: float = 0.01
    calibrated: int = CALIBRATION_BATCHES

    name = "condense"
    shrinks = "routed experts into the trunk's convolutions"
    condensation: ClassVar[type[Condensation]] = Condensation

    def apply(self, network: Network, work: StageWork) -> Network:
        self.check(network)
        moe = moe_chain(at_budget(network, work), self.experts, work.seed)
        plan = self.condensing(work, len(moe.layers))
        condensation = self.condensation(moe, calibration(work.sampler, self.calibrated), plan)
        checkpoint = work.checkpoint(self.name)
        overfit(moe, work.sampler, work.plan, checkpoint, work.on_step, condensation)
        return moe.folded()

    def check(self, network: Network) -> None:
        """Raises StageError where the network cannot have experts, or none would be kept."""
        check_chain(network, self.name)
        if network.arch.name != "chain" or len(network.arch.widths) < 2:
            raise StageError(
                f"--stages {self.name}: {network.arch.name} with {len(network.arch.widths)} "
                "convolutions in its trunk has no form with experts: use --backbone chain"
            )
        if not 0 < self.keep <= self.experts.experts:
            raise StageError(
                f"--stages {self.name}: keep {self.keep} of {self.experts.experts} experts; "
                "keep at least 1 and at most all"
            )

    def condensing(self, work: StageWork, layers: int) -> CondensingPlan:
        """The shares as steps. Raises StageError where the last layer would condense too late."""
        steps = work.plan.steps
        begin, interval, fade = (
            round(share * steps)
            for share in (self.routed_share, self.interval_share, self.fade_share)
        )
        begin = max(begin, 1)
        if (last := begin + (layers - 1) * interval + fade) > steps:
            raise StageError(
                f"--stages {self.name}: the last layer would be condensed after {last} of {steps} "
                "steps: lower routed_share, interval_share or fade_share"
            )
        return CondensingPlan(begin, interval, fade, self.keep, self.balance, work.seed)
