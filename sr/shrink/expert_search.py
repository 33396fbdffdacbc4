"""CD-MoE's searches ("Condense, Don't Just Prune", section 3): which experts a condensed layer
keeps, with which constant gates, and which layers are condensed first. They know no networks.

How far a condensation moves an output is the Jensen-Shannon divergence of softmaxed vectors, as in
the published search: softmax over the features of one place (a token's hidden vector, a pixel's
channels), divergence in fp32, then the mean over the places.

The authors' search runs the network again for every candidate. But while one layer is searched
all others stay as they are, so its input, its shared part and every expert's output are fixed:

    candidate's output = base (residual + shared) + sum of a_e E_e(x) over the kept experts

is an addition, and the search gives the same experts for one forward pass.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sr.usage_error import UsageError

_BELOW_ONE = 1 - 2**-24


def js_divergence(left: Tensor, right: Tensor) -> Tensor:
    """Jensen-Shannon divergence in nats (0 to ln 2) of [..., D] and [..., D], softmaxed: [...].

    With p and q the two distributions, m their mean and t = (p - q) / (p + q), a feature's share
    is m/2 ((1+t) log(1+t) + (1-t) log(1-t)). It equals the textbook's p log(p/m) + q log(q/m),
    halved, but does not lose the tiny divergences of a search to the rounding of large logarithms.
    """
    p = torch.softmax(left.float(), dim=-1)
    q = torch.softmax(right.float(), dim=-1)
    total = p + q
    t = ((p - q) / total.clamp_min(torch.finfo(torch.float32).tiny)).clamp(-_BELOW_ONE, _BELOW_ONE)
    share = (1 + t) * torch.log1p(t) + (1 - t) * torch.log1p(-t)
    return 0.25 * (total * share).sum(dim=-1)


def mean_js(left: Tensor, right: Tensor, chunk: int = 8192) -> float:
    """Mean of `js_divergence` over the N places of [N, D] and [N, D], `chunk` places at a time."""
    parts = zip(left.split(chunk), right.split(chunk), strict=True)
    return sum(js_divergence(a, b).double().sum().item() for a, b in parts) / left.shape[0]


class NoExpertsError(UsageError, ValueError):
    """The network given to condense has no layer with routed experts (exit code 2)."""


@dataclass(frozen=True)
class ExpertChoice:
    """The experts kept, in the order chosen, and the mean divergence (nats) after each."""

    experts: tuple[int, ...]
    divergences: tuple[float, ...]


def greedy_experts(
    base: Tensor, target: Tensor, contributions: Sequence[Tensor] | Tensor, keep: int,
    chunk: int = 4096,
) -> ExpertChoice:  # fmt: skip
    """Add `keep` times the expert that brings the layer's output nearest to the router's.

    CD-MoE, greedy search of experts. `base` [N, D]: residual and shared part; `target` [N, D]: the
    output of the layer as trained; `contributions` [E, N, D]: every expert's output on all N
    places, already multiplied by its constant gate. Of equally good experts the first is taken.
    Beside its inputs it holds one [N, D] tensor and a few of [chunk, D].

    Raises:
        ValueError: more experts to keep than there are, or shapes that differ.
    """
    _check(base, target, contributions, keep)
    current = base.float().clone()
    chosen: list[int] = []
    divergences: list[float] = []
    for _ in range(keep):
        left = [e for e in range(len(contributions)) if e not in chosen]
        costs = {e: _divergence_with(current, contributions[e], target, chunk) for e in left}
        best = min(left, key=costs.__getitem__)
        chosen.append(best)
        divergences.append(costs[best])
        current += contributions[best]
    return ExpertChoice(tuple(chosen), tuple(divergences))


def _check(
    base: Tensor, target: Tensor, contributions: Sequence[Tensor] | Tensor, keep: int
) -> None:
    if not 0 <= keep <= len(contributions):
        raise ValueError(f"experts: keep {keep} of {len(contributions)}; keep at most all of them")
    shapes = {tuple(t.shape) for t in (base, target, *contributions[:1])}
    if len(shapes) != 1:
        raise ValueError(f"experts: base, target and contributions differ in shape: {shapes}")


def _divergence_with(current: Tensor, addition: Tensor, target: Tensor, chunk: int) -> float:
    """Mean divergence from `target` if `addition` is added; all [N, D]."""
    total = 0.0
    for begin in range(0, len(current), chunk):
        part = slice(begin, begin + chunk)
        candidate = current[part] + addition[part].float()
        total += js_divergence(target[part], candidate).double().sum().item()
    return total / len(current)


class GateStatistics:
    """Constant gates: what a router gives an expert in the mean, where it chooses that expert.

    CD-MoE replaces the router of a condensed layer by one constant weight an expert: the sum of the
    gate weights that the expert got over the number of places (tokens, pixels) that selected it.
    The condition matters: the mean over all places would shrink a rare expert's part almost to
    zero. Decisions are added batch by batch; their weights must be those that the layer multiplies
    its experts' outputs by: after renormalisation and scaling, where the network has them.
    """

    def __init__(self, experts: int) -> None:
        self.counts = torch.zeros(experts, dtype=torch.int64)
        self._sums = torch.zeros(experts, dtype=torch.float64)
        self.places = 0

    def add(self, chosen: Tensor, weights: Tensor) -> None:
        """Add one batch: the experts chosen, integers [N, K], and their weights, [N, K].

        Raises:
            ValueError: the shapes differ.
        """
        if chosen.shape != weights.shape:
            raise ValueError(
                f"gates: {tuple(chosen.shape)} experts, {tuple(weights.shape)} weights"
            )
        indices = chosen.detach().reshape(-1).cpu()
        values = weights.detach().reshape(-1).double().cpu()
        self.counts += torch.bincount(indices, minlength=len(self.counts))
        self._sums += torch.zeros_like(self._sums).index_add_(0, indices, values)
        self.places += chosen.shape[0]

    def means(self, fallback: float | None = None) -> Tensor:
        """The constant gates, fp32 [E].

        An expert that no place selected gets `fallback`; None means the mean of the other
        experts' gates. (The authors' code falls back to 0.06, which fits one network's scale.)

        Raises:
            ValueError: no expert was ever selected.
        """
        seen = self.counts > 0
        if not seen.any():
            raise ValueError("gates: no expert was selected; add batches of calibration data first")
        gates = self._sums / self.counts.clamp_min(1)
        unseen_gate = gates[seen].mean() if fallback is None else torch.tensor(fallback).double()
        return torch.where(seen, gates, unseen_gate).float()


@dataclass(frozen=True)
class LayerOrder:
    """The layers in the order chosen, and the divergence with all up to each condensed."""

    layers: tuple[int, ...]
    divergences: tuple[float, ...]


def greedy_layers(
    layers: Sequence[int], divergence_of: Callable[[frozenset[int]], float], count: int
) -> LayerOrder:
    """Condense `count` times the layer that, with those before it, moves the network least.

    CD-MoE, greedy search of layers (beam of one). `divergence_of` condenses exactly the given
    layers and returns how far the last layer's output moved (mean Jensen-Shannon divergence,
    nats); it is asked once for each set. Of equally good layers the first is taken.

    Raises:
        ValueError: more layers to condense than there are.
    """
    if not 0 <= count <= len(layers):
        raise ValueError(f"layers: condense {count} of {len(layers)}; condense at most all of them")
    chosen: list[int] = []
    divergences: list[float] = []
    for _ in range(count):
        left = [layer for layer in layers if layer not in chosen]
        costs = {layer: divergence_of(frozenset([*chosen, layer])) for layer in left}
        best = min(left, key=costs.__getitem__)
        chosen.append(best)
        divergences.append(costs[best])
    return LayerOrder(tuple(chosen), tuple(divergences))
