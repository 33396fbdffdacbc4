"""Constant gates: what a router gives an expert in the mean, where it chooses that expert.

CD-MoE ("Condense, Don't Just Prune", section 3) replaces the router of a condensed layer by one
constant weight an expert: the sum of the gate weights that the expert got over the number of
places (tokens, pixels) that selected it. The condition matters: the mean over all places would
shrink a rare expert's part almost to zero.
"""

import torch
from torch import Tensor


class GateStatistics:
    """Sums up a router's decisions batch by batch.

    The weights must be those that the layer multiplies its experts' outputs by: after
    renormalisation and scaling, where the network has them.
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
