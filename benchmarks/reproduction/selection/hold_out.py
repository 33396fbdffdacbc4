"""Overfitting with a part of the patches held out, and exchanged by what was forgotten.

For super-resolution a patch is *solved* at a visit where its error is below the clip's running
mean, and *forgotten* at a visit where its error has risen above it again. The bar falls as the
network learns and is the same for all patches: PSNR is of the sum of all errors, so a patch that
stays under the mean is one that training elsewhere gains more from.
"""

from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.reproduction.selection.forgetting import (
    HELD_OUT_SHARE,
    SWAPPED_SHARE,
    Bools,
    ForgettingLedger,
    Order,
    hold_out,
    least_forgotten,
    swap,
)
from player.package.paths import HARD
from sr.training.data import Batch, CropSampler
from sr.training.loop import Companion, PixelErrors

SWAPS = 5  # in all, evenly over the run, as in Tri-Level E-ViT's recipe
_FORGET_MEAN = 0.02  # the bar follows the last 50 steps


@dataclass(frozen=True)
class HoldOutSampler(CropSampler):
    """Draws none of the patches that `held_out` [T gh gw] marks; Forgetting changes the marks."""

    held_out: Bools = field(kw_only=True)

    def cells(self, step: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """[N]: as in CropSampler, of the patches that are not held out."""
        ends = np.cumsum(np.where(self.held_out, 0.0, self._flat_shares))
        return np.searchsorted(ends, rng.random(self.batch) * ends[-1], side="right")

    @cached_property
    def _flat_shares(self) -> NDArray[np.float64]:
        return self.shares.ravel()


def holding_out(sampler: CropSampler, share: float = HELD_OUT_SHARE) -> HoldOutSampler:
    """The same crops without a random share of the patches.

    Raises TooFewExamplesError where the clip is too short to hold any out.
    """
    own = {f.name: getattr(sampler, f.name) for f in fields(CropSampler)}
    rng = np.random.default_rng([sampler.seed, 0])
    return HoldOutSampler(**own, held_out=hold_out(sampler.shares.size, share, rng))


class Forgetting(Companion):
    """Exchanges what a sampler holds out, `SWAPS` times in `steps`, by `order`."""

    def __init__(self, sampler: HoldOutSampler, steps: int, order: Order = least_forgotten) -> None:
        count = sampler.held_out.size
        self.sampler, self.order = sampler, order
        self.ledger = ForgettingLedger(count)
        self.number = max(1, round(SWAPPED_SHARE * count))
        self.period = max(1, steps // (SWAPS + 1))
        self.bar: float | None = None  # the clip's running mean error

    def extra_loss(self, batch: Batch, errors: PixelErrors, step: int) -> Tensor | None:
        """Looks at the errors, and adds nothing."""
        assert batch.cells is not None
        error = errors[HARD].detach().mean(dim=(1, 2)).double().numpy()
        mean = float(error.mean())
        self.bar = mean if self.bar is None else self.bar + _FORGET_MEAN * (mean - self.bar)
        self.ledger.record(batch.cells, error < self.bar)
        return None

    def after_step(self, step: int) -> None:
        done = step + 1
        if done % self.period or done // self.period > SWAPS:
            return
        rng = np.random.default_rng([self.sampler.seed, done])
        held_out = self.sampler.held_out
        held_out[:] = swap(held_out, self.ledger.counts, self.number, self.order, rng)
        self.ledger.reset()

    def state_dict(self) -> dict[str, Any]:
        held_out = np.flatnonzero(self.sampler.held_out).tolist()
        return {"ledger": self.ledger.state_dict(), "held_out": held_out, "bar": self.bar}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.ledger.load_state_dict(state["ledger"])
        self.sampler.held_out[:] = False
        self.sampler.held_out[state["held_out"]] = True
        self.bar = state["bar"]
