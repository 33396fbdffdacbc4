"""The methods: which networks are overfitted to what, and which patch takes which.

| method | networks | trained on | route of a patch |
|---|---|---|---|
| stdo | k static | one chunk each, equal counts (STDO, CVPR 2023, section 3.2) | its chunk's |
| jstdo | 1 static | all of the hardest chunk, a falling share, none of the easiest | the network |
| dydca | 1 dynamic | all hard patches, half of the others (Dy-DCA, section 3.1) | planned |

All get the same training work: STDO's networks share the steps that the others spend on one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chunking.chunks import equal_count, split_threshold
from chunking.routes import fine_of_coarse
from sr.encode.config import EncodeConfig

EASY_SHARE = 0.5  # of drawing an easy patch, against 1 for a hard one (dydca)

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Difficulty:
    """PSNR of the generic network on the training frames: fine [T, gh, gw], coarse [T, ch, cw]."""

    fine_db: Scores
    coarse_db: Scores


@dataclass(frozen=True)
class NetworkTask:
    """One network to overfit: how often each fine patch is drawn [T, gh, gw], and how long."""

    shares: Scores
    steps: int


@dataclass(frozen=True)
class Method:
    """`dynamic`: the network has an easy exit; `tasks` says what to train."""

    dynamic: bool
    tasks: Callable[[Difficulty, EncodeConfig], list[NetworkTask]]


def _stdo(difficulty: Difficulty, config: EncodeConfig) -> list[NetworkTask]:
    labels = equal_count(difficulty.fine_db, config.chunks)
    steps = config.bounds.steps // config.chunks
    return [NetworkTask((labels == i).astype(np.float64), steps) for i in range(config.chunks)]


def _jstdo(difficulty: Difficulty, config: EncodeConfig) -> list[NetworkTask]:
    labels = equal_count(difficulty.fine_db, config.chunks)
    falling = np.linspace(1.0, 0.0, config.chunks) if config.chunks > 1 else np.ones(1)
    return [NetworkTask(falling[labels], config.bounds.steps)]


def _dydca(difficulty: Difficulty, config: EncodeConfig) -> list[NetworkTask]:
    threshold_db = split_threshold(difficulty.coarse_db, config.hard_share)
    hard = fine_of_coarse(difficulty.coarse_db < threshold_db, difficulty.fine_db.shape[1:])
    return [NetworkTask(np.where(hard, 1.0, EASY_SHARE), config.bounds.steps)]


METHODS: dict[str, Method] = {
    "dydca": Method(dynamic=True, tasks=_dydca),
    "jstdo": Method(dynamic=False, tasks=_jstdo),
    "stdo": Method(dynamic=False, tasks=_stdo),
}


def chunk_thresholds_db(fine_db: Scores, chunks: int) -> Scores:
    """[k - 1] rising PSNR limits between the chunks of the training frames, for other frames."""
    ordered = np.sort(fine_db, axis=None)
    return ordered[[(i + 1) * ordered.size // chunks for i in range(chunks - 1)]]
