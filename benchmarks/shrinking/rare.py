"""The table `rare`: whether pruning spares content that is rare.

    patches --mean colour--> clusters --2 to 5 % of the patches--> groups; all else is the rest

A group's drop is told against the unpruned network of the same clip, seed and steps; what counts is
the worst one's. Quartiles of difficulty (table `stages`) are not rare, and their drops differ by
what a smaller network can hold at all. Controls are blind to groups, or know them in the simplest
ways: crops of all groups alike, or drawn by one over the unpruned network's error.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.shrinking import arms
from benchmarks.shrinking.claims import near, ratio
from benchmarks.shrinking.clips import SMALL_BATCH, Clip, read_spread
from benchmarks.shrinking.judge import judge
from benchmarks.shrinking.stages import add_drops
from benchmarks.shrinking.training import train_arm, unpruned
from chunking.input_error import InputError
from sr.shrink.fair_term import LEAST_PATCHES
from sr.training.data import CropSampler
from sr.training.spread import SMALL_CROP_PX

RARE = (0.02, 0.05)  # of the patches
CLUSTERS, MOST_RARE = 24, 3
REFERENCE = "dense"
QUICK_STEPS = 300  # fewer leave CHEX no update

Factors = NDArray[np.float64]  # [G]: how much oftener a group's patches are drawn


@dataclass(frozen=True)
class RareClip(Clip):
    """A clip whose groups are clusters of patches: 0 the rest, then the rare ones."""

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """[T, gh, gw]. Raises InputError where no cluster is rare and has enough patches."""
        colours = np.stack([self._colours(pair.lr) for pair in self.pairs])
        cv2.setRNGSeed(0)
        ends = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT, 100, 1e-4)
        rows = (colours - colours.mean((0, 1, 2))).reshape(-1, 3).astype(np.float32)
        count = min(CLUSTERS, len(rows))
        _, labels, centres = cv2.kmeans(rows, count, None, ends, 5, cv2.KMEANS_PP_CENTERS)
        sizes = np.bincount(labels.ravel(), minlength=count)
        least, most = max(RARE[0] * len(rows), LEAST_PATCHES), RARE[1] * len(rows)
        # Of several those whose colour is least like the mean.
        unlike = np.argsort(-np.square(centres).sum(1), kind="stable")
        rare = [cluster for cluster in unlike if least <= sizes[cluster] <= most][:MOST_RARE]
        if not rare:
            raise InputError(
                f"{self.name}: no content of 2 to 5 % of its patches: give more frames"
            )
        names = np.zeros(count, np.int64)
        names[rare] = np.arange(1, 1 + len(rare))
        return names[labels.ravel()].reshape(colours.shape[:3])

    def sampler(self, seed: int) -> CropSampler:
        """Small crops: a rare cluster is often no larger than a patch."""
        return replace(super().sampler(seed), batch=SMALL_BATCH, side_px=SMALL_CROP_PX)

    def _colours(self, lr: NDArray[np.uint8]) -> NDArray[np.float64]:
        """[gh, gw, 3] of a frame: each patch's mean."""
        patches = self.grid.fine_patches()
        colours = [lr[p.y : p.y + p.h, p.x : p.x + p.w].mean((0, 1)) for p in patches]
        return np.array(colours).reshape(*self.grid.shape, 3)


def read(path: Path, frames: int) -> RareClip:
    """So many frames, spread over the film."""
    clip = read_spread(path, frames)
    return RareClip(clip.name, clip.pairs)


def _evenly(clip: Clip, seed: int, steps: int, store: Path) -> Factors:
    shares = clip.sampler(seed).shares
    return 1 / np.bincount(clip.groups.ravel(), shares.ravel())


def _by_error(clip: Clip, seed: int, steps: int, store: Path) -> Factors:
    errors = unpruned(clip, seed, steps, store)[-1].numpy()
    return np.asarray(_evenly(clip, seed, steps, store) / errors, np.float64)


@dataclass(frozen=True)
class Arm:
    """An arm of the table `stages`, its crops drawn by group as `factors` says."""

    about: str
    of: str
    factors: Callable[[Clip, int, int, Path], Factors] | None = None


_BLIND = "group-blind"
_ARMS: Mapping[str, Arm] = {
    **{name: Arm(arms.ARMS[name].about, name) for name in (REFERENCE, _BLIND, "chex", "fair")},
    "group-blind, evenly": Arm("the same, all groups drawn alike", _BLIND, _evenly),
    "group-blind, by 1/E": Arm("the same, groups drawn by one over the unpruned network's error",
                               _BLIND, _by_error),
    "chex, evenly": Arm("CHEX, all groups drawn alike", "chex", _evenly),
}  # fmt: skip
ARMS = {name: arm.about for name, arm in _ARMS.items()}
_CONTROLS = tuple(name for name in ARMS if name not in (REFERENCE, "fair"))
CLAIMS = (
    *(ratio("fair", name, "worst_drop_db", 0.5, "the worst group's drop") for name in _CONTROLS),
    near("fair", _BLIND, 0.05),
    near("fair", "chex", 0.05),
)
SHOWN = ("arm", "psnr_db", "worst_drop_db", "spread_db", "worst_group_db", "bytes")


def make(clip: Clip, arm: str, seed: int, steps: int, store: Path) -> dict[str, Any]:
    """Train and judge one arm."""
    spec = _ARMS[arm]
    sampler = clip.sampler(seed)
    if spec.factors:
        factors = spec.factors(clip, seed, steps, store)
        sampler = replace(sampler, shares=sampler.shares * factors[clip.groups])
    network = train_arm(arms.ARMS[spec.of], clip, seed, steps, store, sampler)
    return judge(network, clip, clip.sampler(seed))


def finish(rows: list[dict[str, Any]]) -> None:
    """To every row the drops below the unpruned network, and the worst of them."""
    add_drops(rows)
    for row in rows:
        row["worst_drop_db"] = max(row["group_drop_db"])
