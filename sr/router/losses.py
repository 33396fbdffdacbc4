"""Losses of the router's embedding: centre, triplet-centre and triplet-cosine-centre.

Center loss is Wen 2016, triplet-center He 2018, the cosine form and the sum of the three are
FlameFinder's. The formulas are the papers' own; what they are given is `in_units_of_spread`,
because the centre loss of raw features falls for free when all features shrink.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

TRIPLET_MARGIN, COSINE_MARGIN = 1.0, 0.3
LEAST_SPREAD = 1e-6


@dataclass(frozen=True)
class LossWeights:
    """What each term counts in the sum; a term of weight 0 is not computed."""

    cross_entropy: float = 1.0
    centre: float = 0.1
    triplet: float = 1.0
    cosine: float = 1.0
    reconstruction: float = 0.1
    privileged: float = 3.0


def centre_loss(features: Tensor, centres: Tensor, labels: Tensor) -> Tensor:
    """CL [N]: half the squared distance of each feature [N, C] to its class's centre [K, C]."""
    return 0.5 * (features - centres[labels]).square().sum(dim=1)


def triplet_centre_loss(
    features: Tensor, centres: Tensor, labels: Tensor, margin: float = TRIPLET_MARGIN
) -> Tensor:
    """TCL [N]: how far D(own) + margin is above D(nearest other), D half the squared distance."""
    distances = 0.5 * (features[:, None] - centres).square().sum(dim=2)
    own, others = _own_and_others(distances, labels, float("inf"))
    return F.relu(own + margin - others.amin(dim=1))


def triplet_cosine_centre_loss(
    features: Tensor, centres: Tensor, labels: Tensor, margin: float = COSINE_MARGIN
) -> Tensor:
    """TCCL [N]: how far cos(own) is below cos(nearest other) + margin."""
    cosines = F.normalize(features, dim=1) @ F.normalize(centres, dim=1).T
    own, others = _own_and_others(cosines, labels, -float("inf"))
    return F.relu(margin - own + others.amax(dim=1))


def in_units_of_spread(features: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Features [N, C] and centres [K, C], both over the features' total standard deviation.

    The scale is one number, with its gradient: features that shrink together lose nothing, and
    the centre loss is half the share of the variance that lies within classes.
    """
    spread = (features - features.mean(dim=0)).square().sum(dim=1).mean()
    unit = spread.clamp(min=LEAST_SPREAD).sqrt()
    return features / unit, centres / unit


def metric_terms(
    features: Tensor, centres: Tensor, labels: Tensor, weights: LossWeights
) -> dict[str, Tensor]:
    """The weighted terms of features [N, C], each [N], by name; of raw features and centres."""
    scaled, scaled_centres = in_units_of_spread(features, centres)
    terms = {}
    if weights.centre:
        terms["centre"] = weights.centre * centre_loss(scaled, scaled_centres, labels)
    if weights.triplet:
        terms["triplet"] = weights.triplet * triplet_centre_loss(scaled, scaled_centres, labels)
    if weights.cosine:
        # Of the raw ones: a cosine has no unit.
        terms["cosine"] = weights.cosine * triplet_cosine_centre_loss(features, centres, labels)
    return terms


def class_means(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """[K, C]: the mean feature of each class; zero for a class that does not occur."""
    sums = torch.zeros(classes, features.shape[1]).index_add_(0, labels, features)
    return sums / torch.bincount(labels, minlength=classes).clamp(min=1)[:, None]


def _own_and_others(values: Tensor, labels: Tensor, excluded: float) -> tuple[Tensor, Tensor]:
    """[N, K] -> the own class's [N], and [N, K] with the own class's replaced by `excluded`."""
    # One place a row, so that the selection keeps the order of the rows.
    own = F.one_hot(labels, values.shape[1]).bool()
    return values[own], values.masked_fill(own, excluded)
