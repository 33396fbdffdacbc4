"""Times of whole paths -> nanoseconds of each layer: least squares with non-negative terms.

The kernels' loops say what a layer can cost. A 3x3 convolution of g input groups adds for its b-th
block of 16 outputs

    a_b + p_b g + q_b ceil(g / 2) + r_b ceil(g / 4)

once a tile, once a group, once a step of two groups (smmla), once a block of inputs. The first
convolution costs f a block. An exit has always the same outputs: e + p g + q ceil(g / 2). All
terms are at least zero, so that no layer becomes cheaper by being wider; a table that was
measured cell by cell would have noise in its place.

Only sums over paths are seen: a cost that a layer has for each block of outputs and one that its
reader has for each block of inputs are the same to them. An exit has no term ceil(g / 4), so that
there is one answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from player.package.architecture import BLOCK, GROUP
from sr.latency.table import LatencyError, PathWork

Array = NDArray[np.float64]
_PER_BLOCK, _PER_EXIT = 4, 3
_TOLERANCE = 1e-10


@dataclass(frozen=True)
class LayerTimes:
    """Nanoseconds an LR pixel, as in `LatencyTable`."""

    first_ns: tuple[float, ...]
    convolution_ns: tuple[tuple[float, ...], ...]
    exit_ns: tuple[float, ...]


def fit_layers(
    works: Sequence[PathWork], times_ns: Sequence[float], fixed_ns: float, widest: int
) -> LayerTimes:
    """The layers' times that explain the measured ones, relative errors least in their squares.

    `times_ns`: of whole frames; `fixed_ns`: an LR pixel of the bicubic path. Raises LatencyError
    where the networks do not determine every term.
    """
    blocks, groups = widest // BLOCK, widest // GROUP
    times = np.asarray(times_ns, float)
    rest = times - fixed_ns * np.array([work.frame_px for work in works], float)
    matrix = np.stack([_row(work, blocks) for work in works])
    matrix, wanted = matrix / times[:, None], rest / times
    size = np.linalg.norm(matrix, axis=0)
    if not size.all() or np.linalg.matrix_rank(matrix / size) < len(size):
        raise LatencyError("latency: the networks do not determine every layer; bench more of them")
    terms = non_negative(matrix / size, wanted) / size
    steps = np.stack([_steps(g) for g in range(1, groups + 1)])
    by_block = terms[1:-_PER_EXIT].reshape(blocks, _PER_BLOCK)
    convolution = np.cumsum(steps @ by_block.T, axis=1)
    exits = steps[:, :_PER_EXIT] @ terms[-_PER_EXIT:]
    return LayerTimes(
        tuple((terms[0] * np.arange(1, blocks + 1)).tolist()),
        tuple(tuple(row) for row in convolution.tolist()),
        tuple(exits.tolist()),
    )


def _steps(groups: int) -> Array:
    return np.array([1, groups, -(-groups // 2), -(-groups // 4)], float)


def _row(work: PathWork, blocks: int) -> Array:
    """How often each term is in a path's time."""
    first = 0.0
    terms = np.zeros((blocks, _PER_BLOCK))
    for layer in work.trunk:
        if layer.groups:
            terms[: layer.blocks] += _steps(layer.groups) * layer.pixels
        else:
            first = layer.blocks * layer.pixels
    exit_ = _steps(work.exit_groups)[:_PER_EXIT] * work.frame_px
    return np.concatenate([[first], terms.ravel(), exit_])


def non_negative(matrix: Array, wanted: Array) -> Array:
    """x >= 0 that makes |matrix x - wanted| least.

    The active set method of Lawson and Hanson, Solving Least Squares Problems (1974), chapter 23.
    """
    x = np.zeros(matrix.shape[1])
    free = np.zeros(len(x), bool)
    for _ in range(3 * len(x)):
        slope = np.where(free, -np.inf, matrix.T @ (wanted - matrix @ x))
        if slope.max() <= _TOLERANCE:
            break
        free[slope.argmax()] = True
        x = _solve_free(matrix, wanted, x, free)
    return x


def _solve_free(matrix: Array, wanted: Array, x: Array, free: NDArray[np.bool_]) -> Array:
    """Least squares over the free columns; those that would become negative are held at zero."""
    while True:
        y = np.zeros(len(x))
        y[free] = np.linalg.lstsq(matrix[:, free], wanted, rcond=None)[0]
        low = free & (y <= 0)
        if not low.any():
            return y
        x = x + np.min(x[low] / (x[low] - y[low])) * (y - x)
        free &= x > _TOLERANCE
        x[~free] = 0
