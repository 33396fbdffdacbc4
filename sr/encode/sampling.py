"""Which crops a network is overfitted to: `--patches`.

| name | crops | drawn |
|---|---|---|
| error | of 24 px, twice as many | by the error at their place (sr/selection/draws.py) |
| method | of 48 px | as the method's paper says (sr/encode/methods.py) |
| all | of 48 px | evenly over all patches |
| forgetting | of 48 px | 20 % held out, exchanged by what is forgotten (sr/selection/hold_out.py) |
| ticket | as of error | evenly over half of the places, drawn by error (sr/selection/tickets.py) |
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sr.encode.difficulty import CELL_PX, patch_sums
from sr.encode.methods import Difficulty, NetworkTask
from sr.encode.protect import PROTECTED_DRAWS
from sr.encode.work import Work
from sr.selection.draws import SMALL_CROP_PX, SpreadSampler
from sr.selection.forgetting import TooFewExamplesError
from sr.selection.hold_out import Forgetting, holding_out
from sr.selection.tickets import TicketError, drawn, ticket
from sr.training.data import CropSampler, TrainingSet
from sr.training.loop import Companion
from sr.usage_error import UsageError

Shares = NDArray[np.float64]

SMALL_CROPS_FOR_ONE = 2  # two of 24 px are half of the pixels of one of 48 px


@dataclass(frozen=True)
class Sampling:
    """What an overfitting draws, and who watches it."""

    sampler: CropSampler
    companion: Companion


@dataclass(frozen=True)
class Material:
    """What is known of the frames to learn from: the difficulty of their patches, for `fair` the
    content group of each patch, and the cells of CELL_PX that are protected."""

    difficulty: Difficulty
    groups: NDArray[np.int64] | None = None
    protected: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class _Asked:
    """All that a choice of crops may need."""

    work: Work
    task: NetworkTask
    data: TrainingSet
    material: Material
    seed: int

    @property
    def difficulty(self) -> Difficulty:
        return self.material.difficulty

    @property
    def errors(self) -> Shares:
        """[T, rows, columns]: the generic network's root mean square error of each cell."""
        errors: Shares = np.sqrt(self.difficulty.cell_mse.astype(np.float64))
        # A film that the generic network reproduces exactly has none: all places are alike.
        return errors if errors.any() else np.ones_like(errors)

    def places(self, shares: Shares) -> Sampling:
        """Small crops, cells drawn by `shares`, protected ones more often."""
        if (cells := self.material.protected) is not None:
            shares = shares * np.where(cells, PROTECTED_DRAWS, 1.0)
        batch, cell_px = (
            SMALL_CROPS_FOR_ONE * self.work.options.training.bounds.batch,
            (CELL_PX, CELL_PX),
        )
        sampler = SpreadSampler(self.data, shares, cell_px, batch, self.seed, side_px=SMALL_CROP_PX)
        return Sampling(sampler, Companion())

    def patches(self, shares: Shares) -> CropSampler:
        """Crops of a patch's size, patches drawn by `shares`, protected ones more often."""
        grid, batch = self.work.film.grid, self.work.options.training.bounds.batch
        if (cells := self.material.protected) is not None:
            cover = patch_sums(cells.astype(np.float64), grid) / patch_sums(
                np.ones(cells.shape), grid
            )
            shares = shares * (1 + (PROTECTED_DRAWS - 1) * cover)
        return CropSampler(self.data, shares, (grid.fine_h, grid.fine_w), batch, self.seed)


def _by_method(asked: _Asked) -> Sampling:
    return Sampling(asked.patches(asked.task.shares), Companion())


def _all(asked: _Asked) -> Sampling:
    return Sampling(asked.patches(np.ones_like(asked.task.shares)), Companion())


def _error(asked: _Asked) -> Sampling:
    return asked.places(asked.errors)


def _forgetting(asked: _Asked) -> Sampling:
    sampler = holding_out(asked.patches(np.ones_like(asked.task.shares)))
    return Sampling(sampler, Forgetting(sampler, asked.task.steps))


def _ticket(asked: _Asked) -> Sampling:
    return asked.places(ticket(drawn(asked.errors, asked.seed)).astype(np.float64))


SAMPLINGS: dict[str, Callable[[_Asked], Sampling]] = {
    "error": _error,
    "method": _by_method,
    "all": _all,
    "forgetting": _forgetting,
    "ticket": _ticket,
}


def sampling_of(
    work: Work, task: NetworkTask, data: TrainingSet, material: Material, seed: int
) -> Sampling:
    """The crops of one network, as `--patches` asks. Raises UsageError for too short a film."""
    asked = _Asked(work, task, data, material, seed)
    try:
        return SAMPLINGS[work.options.patch_choice](asked)
    except (TooFewExamplesError, TicketError) as error:
        raise UsageError(f"--patches {work.options.patch_choice}: {error}") from error
