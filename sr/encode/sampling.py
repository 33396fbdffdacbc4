"""Which crops a network is overfitted to: `--patches`.

| name | crops | drawn |
|---|---|---|
| error | many of 24 px | by the generic network's error at their place, evenly spread |
| method | of 48 px | as the method's paper says (sr/encode/methods.py) |
| all | of 48 px | evenly over all patches |
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sr.encode.difficulty import patch_sums
from sr.encode.methods import Difficulty, NetworkTask
from sr.encode.protect import PROTECTED_DRAWS
from sr.encode.work import Work
from sr.training.data import CropSampler, TrainingSet
from sr.training.spread import CELL_PX, SMALL_CROP_PX, SMALL_CROPS_FOR_ONE, SpreadSampler


@dataclass(frozen=True)
class Material:
    """What is known of the frames to learn from: the difficulty of their patches, for `fair` the
    content group of each patch, and the cells of CELL_PX that are protected."""

    difficulty: Difficulty
    groups: NDArray[np.int64] | None = None
    protected: NDArray[np.bool_] | None = None


def sampler_of(
    work: Work, task: NetworkTask, data: TrainingSet, material: Material, seed: int
) -> CropSampler:
    """The crops of one network, as `--patches` asks; protected places are drawn more often."""
    batch, protected = work.options.training.bounds.batch, material.protected
    choice = work.options.patch_choice
    if choice == "error":
        shares = np.sqrt(material.difficulty.cell_mse.astype(np.float64))
        if not shares.any():
            # The generic network reproduces the film exactly: all places are alike.
            shares = np.ones_like(shares)
        if protected is not None:
            shares = shares * np.where(protected, PROTECTED_DRAWS, 1.0)
        batch, cell_px = SMALL_CROPS_FOR_ONE[data.scale] * batch, (CELL_PX, CELL_PX)
        return SpreadSampler(data, shares, cell_px, batch, seed, side_px=SMALL_CROP_PX)
    shares = np.ones_like(task.shares) if choice == "all" else task.shares
    grid = work.film.grid
    if protected is not None:
        # A patch is drawn the more often, the more of its cells are protected.
        whole = patch_sums(np.ones(protected.shape), grid)
        cover = patch_sums(protected.astype(np.float64), grid) / whole
        shares = shares * (1 + (PROTECTED_DRAWS - 1) * cover)
    return CropSampler(data, shares, (grid.fine_h, grid.fine_w), batch, seed)
