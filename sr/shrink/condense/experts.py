"""Which routed experts a condensed layer keeps: CD-MoE's greedy search, and its controls.

The authors' search runs the network again for every candidate. But while one layer is searched
all others stay as they are, so its input, its shared part and every expert's output are fixed:

    candidate's output = base (residual + shared) + sum of a_e E_e(x) over the kept experts

is an addition, and the search gives the same experts for one forward pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sr.shrink.condense.divergence import js_divergence
from sr.usage_error import UsageError

SHARED_ONLY: tuple[int, ...] = ()  # the control that keeps no routed expert (CD-MoE-S)


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


def random_experts(experts: int, keep: int, seed: int) -> tuple[int, ...]:
    """Control: `keep` different experts of `experts`, drawn with a seed."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randperm(experts, generator=generator)[:keep].tolist())


def frequent_experts(counts: Tensor, keep: int) -> tuple[int, ...]:
    """Control: the `keep` experts that most places selected, by `GateStatistics.counts` [E]."""
    return tuple(torch.argsort(counts, descending=True, stable=True)[:keep].tolist())
