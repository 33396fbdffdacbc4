"""The space-time graph of a video's patches: what is cheap to know of each, and which are alike.

    LR frames ──► cheap features of each cell, mean over its held frames      [N, F]
              ├─► neighbours in space: the cells beside it                    SPATIAL
              ├─► neighbours in time: where its content moves to              TEMPORAL
              └─► the cells of most similar features, anywhere in the video   SIMILAR

A node is a cell of the grid in a group of frames that keep one route (one frame a group is a
group too); node (g * gh + row) * gw + column. Edges are undirected pairs, each held once.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from chunking.grid import Grid
from sr.encode.sampled_routes import feature_table, frame_features, luma_of, standardised

SPATIAL, TEMPORAL, SIMILAR = 0, 1, 2
KINDS = ("spatial", "temporal", "similar")
SIMILAR_NEIGHBOURS = 4
# Below this a frame holds no pyramid for the optical flow: its content counts as not moving.
LEAST_FLOW_PX = 32

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class PatchGraph:
    """`shape` (G, gh, gw); `features` [N, F] as measured for `--probe-share`; `pairs` [P, 2] of
    nodes, each i < j and once; `kinds` [P] of KINDS."""

    shape: tuple[int, int, int]
    features: NDArray[np.float32]
    pairs: Indices
    kinds: NDArray[np.uint8]

    @property
    def nodes(self) -> int:
        return len(self.features)


def build_patch_graph(
    frames: Iterable[Image],
    grid: Grid,
    groups: Indices,
    cheap_errors: Floats,
    segments: Indices | None = None,
    neighbours: int = SIMILAR_NEIGHBOURS,
) -> PatchGraph:
    """The graph of LR frames [H, W, 3] u8, read once, one after another.

    `groups` [T]: each frame's group, rising from 0 without gaps. `cheap_errors` [G, gh, gw]: what
    bicubic upscaling is off by, which the server knows without a network. `segments` [G]: no
    temporal edge joins groups of two segments; one segment if None. Raises ValueError for
    arrays that do not belong together.
    """
    _check(grid, groups, cheap_errors)
    of_group = np.zeros(len(cheap_errors), np.int64) if segments is None else segments
    features: list[Floats] = []
    edges = [_spatial_pairs(cheap_errors.shape)]
    old: list[Floats] = []
    for group, luma in _grouped(frames, groups):
        if group and of_group[group] != of_group[group - 1]:
            old = []
        before = [old[-1] if old else luma[0], *luma[:-1]]
        pairs_in_time = zip(luma, before, strict=True)
        features.append(np.mean([frame_features(x, y, grid) for x, y in pairs_in_time], axis=0))
        if old:
            edges.append(_moved_pairs(_middle(old), _middle(luma), grid, group))
        old = luma
    table = feature_table(np.stack(features), cheap_errors, grid)
    edges.append(_similar_pairs(standardised(table), neighbours))
    pairs, kinds = _unique(edges)
    return PatchGraph((len(features), *grid.shape), table, pairs, kinds)


@dataclass(frozen=True)
class Standard:
    """Means and deviations [F] of a graph's features, so that another graph can be put on them."""

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> "Standard":
        deviation = features.std(axis=0)
        # Rounding leaves a little deviation in a constant column.
        constant = deviation <= 1e-6 * (1 + np.abs(features).max(axis=0))
        return cls(features.mean(axis=0), np.where(constant, np.inf, deviation).astype(np.float32))

    def apply(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return ((features - self.mean) / self.deviation).astype(np.float32)


def _check(grid: Grid, groups: Indices, cheap_errors: Floats) -> None:
    if cheap_errors.ndim != 3 or cheap_errors.shape[1:] != grid.shape:
        raise ValueError(f"errors {cheap_errors.shape} on a grid of {grid.shape}; give [G, gh, gw]")
    if not len(groups) or not np.array_equal(np.unique(groups), np.arange(len(cheap_errors))):
        raise ValueError(f"groups of frames must be 0 to {len(cheap_errors) - 1}, none empty")
    if np.any(np.diff(groups) < 0):
        raise ValueError("groups of frames must rise with time")


def _grouped(frames: Iterable[Image], groups: Indices) -> Iterator[tuple[int, list[Floats]]]:
    """Luma [H, W] of each group's frames. Raises ValueError where the counts differ."""
    numbered = zip(groups.tolist(), frames, strict=True)
    for group, members in groupby(numbered, key=lambda item: item[0]):
        yield group, [luma_of(frame) for _, frame in members]


def _middle(luma: list[Floats]) -> Floats:
    """The frame that stands for its group where motion is measured."""
    return luma[len(luma) // 2]


def _spatial_pairs(shape: tuple[int, ...]) -> Indices:
    """[P, 2]: cells that share a side, in every group."""
    nodes = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    across = np.stack([nodes[:, :, :-1].ravel(), nodes[:, :, 1:].ravel()], axis=1)
    down = np.stack([nodes[:, :-1].ravel(), nodes[:, 1:].ravel()], axis=1)
    return np.concatenate([across, down])


def _moved_pairs(before: Floats, now: Floats, grid: Grid, group: int) -> Indices:
    """[gh * gw, 2]: each cell of the group before `group` and the cell that its content moves to.

    The cell's median motion, so that a few wrong vectors or a second object move nothing.
    """
    flow = _flow(before, now)
    rows, columns = grid.shape
    found = np.empty((rows * columns, 2), np.int64)
    for cell, patch in enumerate(grid.fine_patches()):
        inside = flow[patch.y : patch.y + patch.h, patch.x : patch.x + patch.w]
        dx, dy = np.median(inside.reshape(-1, 2), axis=0)
        row = int(np.clip((patch.y + patch.h / 2 + dy) // grid.fine_h, 0, rows - 1))
        column = int(np.clip((patch.x + patch.w / 2 + dx) // grid.fine_w, 0, columns - 1))
        found[cell] = cell, row * columns + column
    starts = np.array([group - 1, group]) * rows * columns
    return found + starts


def _flow(before: Floats, now: Floats) -> NDArray[np.float32]:
    """[H, W, 2]: motion (x, y) in px from one luma to the next (Farnebäck 2003)."""
    if min(now.shape) < LEAST_FLOW_PX:
        return np.zeros((*now.shape, 2), np.float32)
    first, second = (np.clip(np.rint(luma), 0, 255).astype(np.uint8) for luma in (before, now))
    flow: NDArray[np.float32] = cv2.calcOpticalFlowFarneback(
        first, second, None, pyr_scale=0.5, levels=3, winsize=15, iterations=3, poly_n=5,
        poly_sigma=1.2, flags=0,
    )  # fmt: skip
    return flow


def _similar_pairs(features: NDArray[np.float32], neighbours: int) -> Indices:
    """[P, 2]: each node and its nearest in standardised features."""
    most = min(neighbours, len(features) - 1)
    if most < 1:
        return np.empty((0, 2), np.int64)
    # One more than asked, for a node is its own nearest; of equal nodes any may come first.
    found = cKDTree(features).query(features, k=most + 1)[1]
    own = np.arange(len(features))[:, None]
    pairs = np.stack(np.broadcast_arrays(own, found), axis=-1).reshape(-1, 2)
    return pairs[pairs[:, 0] != pairs[:, 1]].astype(np.int64)


def _unique(edges: list[Indices]) -> tuple[Indices, NDArray[np.uint8]]:
    """Pairs, each once and the smaller node first, and their kinds.

    The first list is of neighbours in space, the last of similar nodes, the others of neighbours
    in time; a pair that is in several is of the first one's kind.
    """
    kinds = [SPATIAL, *[TEMPORAL] * (len(edges) - 2), SIMILAR]
    of_pair = np.repeat(kinds, [len(pairs) for pairs in edges]).astype(np.uint8)
    ordered = np.sort(np.concatenate(edges), axis=1)
    pairs, first = np.unique(ordered, axis=0, return_index=True)
    return pairs, of_pair[first]
