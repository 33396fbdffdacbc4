"""The methods: which networks are overfitted to what, and which patch takes which.

| method | networks | trained on | route of a patch |
|---|---|---|---|
| awdnn | 1 static | everything alike (Yeo et al., OSDI 2018, "content-aware DNN") | the network |
| repcam | 1 static | the same, with branches that fold away (RepCaM, NOSSDAV 2023) | the network |
| nas | k static | one of k equal stretches of time each (NAS, OSDI 2018) | its time's |
| cafm | 1 static, k changes | all; a stretch each, scalars alone (CaFM, ICCV 2021) | its time's |
| delta | 1 static, k changes | all; a stretch each (SRVC, ICCV 2021; EMT, ECCV 2022) | its time's |
| stdo | k static | one chunk each (STDO, CVPR 2023, section 3.2) | its chunk's |
| jstdo | 1 static | all of the hardest chunk, a falling share, none of the easiest | the network |
| dydca | 1 dynamic | all by their error, hard ones twice (Dy-DCA, section 3.1) | planned |
| plain | none: the stream, of which the anchor is shown | | |

All others get the same training work: networks of several share the steps that the others spend on
one. `cafm` and `delta` spend half on the network of all, which no patch takes, and half on what its
multipliers and biases, or any of its numbers, are to be in each stretch. CaFM trains both together,
SRVC goes on from stretch to stretch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from chunking.chunks import equal_count, error_balanced, split_threshold
from chunking.route_plan import split_routes
from player.package.paths import HARD, path_of
from sr.encode.records import PLAIN, TrainingOptions

EASY_SHARE = 0.5  # how often dydca draws an easy patch, against a hard one of the same error

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Difficulty:
    """The generic network on the training frames: PSNR of fine patches [T, gh, gw] and of coarse
    ones [T, ch, cw]; mean squared error of cells of 6 x 6 LR px [T, rows, columns]."""

    fine_db: Scores
    coarse_db: Scores
    cell_mse: NDArray[np.float32]


@dataclass(frozen=True)
class NetworkTask:
    """One network to overfit: how often each fine patch is drawn [T, gh, gw], and how long.

    `changes`: it is network 0, with other numbers; "scalars": other multipliers and biases alone.
    """

    shares: Scores
    steps: int
    changes: Literal["all", "scalars"] | None = None


@dataclass(frozen=True)
class Method:
    """`dynamic`: the network has an easy exit; `tasks` says what to train. `branches`: with some
    that fold away. `by_time`: of each stretch a network; `shared`: which are changes of one."""

    dynamic: bool
    tasks: Callable[[Difficulty, TrainingOptions], list[NetworkTask]]
    branches: bool = False
    by_time: bool = False
    shared: bool = False


def chunk_labels(difficulty: Difficulty, options: TrainingOptions) -> NDArray[np.int64]:
    """The chunk of each fine patch [T, gh, gw], 0 the hardest, by `chunk_rule`."""
    if options.chunk_rule == "quantile":
        return equal_count(difficulty.fine_db, options.chunks)
    # Mean squared errors to a factor, which is all that equal sums need.
    mean_errors = 10 ** (-difficulty.fine_db / 10)
    return error_balanced(difficulty.fine_db, mean_errors, options.chunks)


def time_labels(frames: int, chunks: int) -> NDArray[np.int64]:
    """The chunk of each frame [T], by time: lengths differ by one at most."""
    return np.arange(frames) * chunks // frames


def _awdnn(difficulty: Difficulty, options: TrainingOptions) -> list[NetworkTask]:
    return [NetworkTask(np.ones(difficulty.fine_db.shape), options.bounds.steps)]


def _stretches(difficulty: Difficulty, chunks: int) -> list[Scores]:
    """Of each stretch of time, that its patches are drawn alike and no others."""
    labels = time_labels(len(difficulty.fine_db), chunks)
    ones = np.ones(difficulty.fine_db.shape)
    return [ones * (labels == i)[:, None, None] for i in range(chunks)]


def _nas(difficulty: Difficulty, options: TrainingOptions) -> list[NetworkTask]:
    steps = options.bounds.steps // options.chunks
    return [NetworkTask(own, steps) for own in _stretches(difficulty, options.chunks)]


def _changing(
    changes: Literal["all", "scalars"], difficulty: Difficulty, options: TrainingOptions
) -> list[NetworkTask]:
    half = options.bounds.steps // 2
    steps = max(1, half // options.chunks)
    own = [NetworkTask(s, steps, changes) for s in _stretches(difficulty, options.chunks)]
    return [NetworkTask(np.ones(difficulty.fine_db.shape), max(1, half)), *own]


def _stdo(difficulty: Difficulty, options: TrainingOptions) -> list[NetworkTask]:
    labels = chunk_labels(difficulty, options)
    # All methods get the same training work: k networks share the steps of one.
    steps = options.bounds.steps // options.chunks
    return [NetworkTask((labels == i).astype(np.float64), steps) for i in range(options.chunks)]


def _jstdo(difficulty: Difficulty, options: TrainingOptions) -> list[NetworkTask]:
    labels = chunk_labels(difficulty, options)
    falling = np.linspace(1.0, 0.0, options.chunks) if options.chunks > 1 else np.ones(1)
    return [NetworkTask(falling[labels], options.bounds.steps)]


def _dydca(difficulty: Difficulty, options: TrainingOptions) -> list[NetworkTask]:
    threshold_db = split_threshold(difficulty.coarse_db, options.hard_share)
    codes = split_routes(difficulty.coarse_db, threshold_db, difficulty.fine_db.shape[1:])
    errors = 10 ** (-difficulty.fine_db / 20)  # root mean square, to a factor
    shares = errors * np.where(path_of(codes) == HARD, 1.0, EASY_SHARE)
    return [NetworkTask(shares, options.bounds.steps)]


METHODS: dict[str, Method] = {
    "dydca": Method(dynamic=True, tasks=_dydca),
    "jstdo": Method(dynamic=False, tasks=_jstdo),
    "awdnn": Method(dynamic=False, tasks=_awdnn),
    "repcam": Method(dynamic=False, tasks=_awdnn, branches=True),
    "nas": Method(dynamic=False, tasks=_nas, by_time=True),
    "cafm": Method(False, partial(_changing, "scalars"), by_time=True, shared=True),
    "delta": Method(False, partial(_changing, "all"), by_time=True, shared=True),
    "stdo": Method(dynamic=False, tasks=_stdo),
    PLAIN: Method(dynamic=False, tasks=lambda difficulty, options: []),
}


def chunk_thresholds_db(fine_db: Scores, labels: NDArray[np.int64]) -> Scores:
    """[k - 1] rising PSNR limits between chunks, to put the patches of other frames into them."""
    # A chunk begins at its own lowest PSNR; the hardest, 0, has no limit below.
    return np.array([fine_db[labels == i].min() for i in range(1, int(labels.max()) + 1)])
