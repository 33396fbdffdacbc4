"""Chunks: patches of like difficulty, each set served by one set of weights (STDO, section 3).

Labels are integers of the shape of the scores; 0 is the hardest chunk. Scores are PSNR in dB
or anything else that is low where a patch is hard.
"""

import numpy as np


def equal_count(scores: np.ndarray, k: int) -> np.ndarray:
    """Labels of k chunks by quantiles: sizes differ by one at most (STDO's own rule)."""
    _check(scores, k)
    return _by_rank(scores, np.arange(scores.size) * k // scores.size)


def error_balanced(scores: np.ndarray, sse: np.ndarray, k: int) -> np.ndarray:
    """Labels of k chunks that carry about the same squared error each, none empty.

    Equal counts leave most of the error in the hardest chunk (77 % at k = 4 on STDO's vlog_15),
    so that most of the weights are spent on the rest. A chunk's error is within one patch's of
    total / k, except where a single patch has more than that.
    """
    _check(scores, k)
    # In the very order of `_by_rank`, ties too, or errors would be counted for other patches.
    errors = np.ravel(sse)[np.argsort(np.ravel(scores), kind="stable")].astype(np.float64)
    total = errors.sum()
    if not total > 0:
        return equal_count(scores, k)
    # Cut where the error so far is nearest to the i-th k-th of the total, one patch a chunk left.
    before = np.concatenate([[0.0], np.cumsum(errors)])
    cuts, last = [], 0
    for i in range(1, k):
        nearest = int(np.abs(before - total * i / k).argmin())
        last = min(max(nearest, last + 1), scores.size - (k - i))
        cuts.append(last)
    return _by_rank(scores, np.searchsorted(cuts, np.arange(scores.size), side="right"))


def split_threshold(
    coarse_scores: np.ndarray, hard_share: float, pixels: np.ndarray | None = None
) -> float:
    """The score below which a coarse patch is cut into fine ones (Dy-DCA), found from the clip.

    About `hard_share` of the pixels lie in patches below it; Dy-DCA's fixed 40 dB splits 3 % of
    an easy clip and all of a hard one. `pixels` broadcasts to the scores; equal by default.
    """
    if not 0 <= hard_share <= 1:
        raise ValueError(f"a share is between 0 and 1, got {hard_share}")
    order = np.argsort(np.ravel(coarse_scores), kind="stable")
    sizes = np.broadcast_to(1 if pixels is None else pixels, coarse_scores.shape)
    covered = np.concatenate([[0], np.cumsum(np.ravel(sizes)[order])])
    count = int(np.abs(covered / covered[-1] - hard_share).argmin())
    ranked = np.ravel(coarse_scores)[order]
    # All are hard: the limit must be above every score, and none of them is.
    return float("inf") if count == ranked.size else float(ranked[count])


def _check(scores: np.ndarray, k: int) -> None:
    if not 1 <= k <= scores.size:
        raise ValueError(f"{scores.size} patches cannot make {k} chunks")


def _by_rank(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """`labels` in rank order (hardest first), put back at the places of their patches."""
    placed = np.empty(scores.size, np.int64)
    placed[np.argsort(np.ravel(scores), kind="stable")] = labels
    return placed.reshape(scores.shape)
