"""How well classes lie apart in an embedding: silhouette, Davies-Bouldin, variance within."""

import numpy as np
import torch
from torch import Tensor


def silhouette(features: Tensor, labels: np.ndarray) -> float:
    """Mean of (b - a) / max(a, b) over all samples [N, C, ...], -1..1, more is better.

    a: mean distance to the others of the own class, b: to the nearest other class (Rousseeuw
    1987). 0 for a sample that is alone in its class.
    """
    points = features.flatten(1).double()
    distances = torch.cdist(points, points).numpy()
    classes = np.unique(labels)
    sums = np.stack([distances[:, labels == c].sum(axis=1) for c in classes], axis=1)
    counts = np.array([(labels == c).sum() for c in classes])
    own = np.searchsorted(classes, labels)
    each = np.arange(len(labels))
    within = sums[each, own] / np.maximum(counts[own] - 1, 1)
    means = sums / counts
    means[each, own] = np.inf
    between = means.min(axis=1)
    value = (between - within) / np.maximum(np.maximum(within, between), 1e-12)
    return float(np.where(counts[own] > 1, value, 0.0).mean())


def davies_bouldin(features: Tensor, labels: np.ndarray) -> float:
    """Mean over classes of the worst (s_i + s_j) / d_ij, less is better (Davies, Bouldin 1979)."""
    points = features.flatten(1).double().numpy()
    classes = np.unique(labels)
    means = np.stack([points[labels == c].mean(axis=0) for c in classes])
    spreads = np.array(
        [
            np.linalg.norm(points[labels == c] - mean, axis=1).mean()
            for c, mean in zip(classes, means, strict=True)
        ]
    )
    gaps = np.linalg.norm(means[:, None] - means, axis=2)
    np.fill_diagonal(gaps, np.inf)
    ratios = np.add.outer(spreads, spreads) / np.maximum(gaps, 1e-12)
    return float(ratios.max(axis=1).mean())


def intra_class_variance(features: Tensor, labels: np.ndarray) -> float:
    """The share of the features' variance that lies within classes, 0..1."""
    points = features.flatten(1).double().numpy()
    within = sum(
        ((points[labels == c] - points[labels == c].mean(axis=0)) ** 2).sum()
        for c in np.unique(labels)
    )
    total = ((points - points.mean(axis=0)) ** 2).sum()
    return float(within / max(total, 1e-12))
