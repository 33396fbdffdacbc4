"""The table `sampling`: how strongly crops should follow the error that there is at their place.

`encode` draws crops of 24 px by the root of the generic network's mean squared error at cells of
6 px (sr/encode/sampling.py). Even draws waste steps on flat places; draws by the error itself
leave most places unseen, and follow grain, which nothing can learn. `gain` follows what the
generic network is ahead of bicubic by, which somebody has learned already.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.shrinking.claims import above
from benchmarks.shrinking.clips import SCALE, Clip, read_spread
from benchmarks.shrinking.judge import judge
from chunking.difficulty import patch_samples
from chunking.grid import Grid
from player.package.generic import generic_blob
from player.package.paths import BICUBIC, HARD
from sr.models import build_network
from sr.scoring import path_sse, scored_network
from sr.training.loop import TrainingPlan, overfit
from sr.training.spread import CELL_PX

Shares = NDArray[np.float64]  # [T, rows, columns] of cells
read = read_spread
DEFAULT = "root of the error"


@dataclass(frozen=True)
class Arm:
    """`shares`: how often a cell is drawn."""

    about: str
    shares: Callable[[Clip], Shares]


def _power(exponent: float) -> Callable[[Clip], Shares]:
    return lambda clip: clip.difficulty.cell_mse.astype(np.float64) ** exponent


def root_of_gain(clip: Clip) -> Shares:
    """Of what bicubic errs more than the generic network; a tenth of the mean where it does not."""
    cells = Grid(clip.grid.height, clip.grid.width, CELL_PX, CELL_PX)
    height, width = clip.pairs[0].hr.shape[:2]
    generic = scored_network(generic_blob(SCALE, "int8"))
    found = path_sse(generic, clip.pairs, cells, paths=(BICUBIC, HARD))
    ahead = np.stack([sse[BICUBIC] - sse[HARD] for sse in found])
    gain = np.sqrt(np.maximum(ahead / patch_samples(cells, SCALE, height, width), 0))
    return np.maximum(gain, 0.1 * gain.mean())


_ARMS: Mapping[str, Arm] = {
    "anywhere": Arm("evenly", _power(0)),
    DEFAULT: Arm("by the root of the mean squared error: encode's default", _power(0.5)),
    "its 3/4 power": Arm("between the root and the error itself", _power(0.75)),
    "the error": Arm("by the mean squared error", _power(1)),
    "root of the gain": Arm("by what the generic network gains over bicubic", root_of_gain),
}
ARMS = {name: arm.about for name, arm in _ARMS.items()}
CLAIMS = (
    above(DEFAULT, "anywhere", 0.0),
    *(above(name, DEFAULT, 0.0) for name in ARMS if name not in (DEFAULT, "anywhere")),
)
SHOWN = ("arm", "psnr_db", "bytes", "macs")


def make(clip: Clip, arm: str, seed: int, steps: int, store: Path) -> dict[str, Any]:
    """Train the default network on crops so drawn, and judge it on all patches."""
    network = build_network(clip.arch, seed)
    sampler = replace(clip.small_sampler(seed), shares=_ARMS[arm].shares(clip))
    overfit(network, sampler, TrainingPlan(steps))
    return judge(network, clip, sampler)
