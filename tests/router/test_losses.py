"""The three losses against worked examples, and what their scaling is for."""

import numpy as np
import pytest
import torch

from sr.router.losses import (
    LossWeights,
    centre_loss,
    class_means,
    in_units_of_spread,
    metric_terms,
    triplet_centre_loss,
    triplet_cosine_centre_loss,
)

CENTRES = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 2.0]])


def test_centre_loss_is_half_the_squared_distance():
    found = centre_loss(torch.tensor([[1.0, 1.0]]), CENTRES, torch.tensor([1]))
    assert found.tolist() == [0.5 * (9 + 1)]


def test_triplet_takes_the_nearest_other_centre():
    """D(own) = 8, D(others) = 0 and 2: the nearest other is class 0."""
    found = triplet_centre_loss(torch.zeros(1, 2), CENTRES, torch.tensor([1]), margin=1.5)
    assert found.tolist() == [8 + 1.5 - 0]


def test_triplet_is_zero_beyond_the_margin():
    found = triplet_centre_loss(torch.zeros(1, 2), CENTRES, torch.tensor([0]), margin=1.9)
    assert found.tolist() == [0.0]
    at_margin = triplet_centre_loss(torch.zeros(1, 2), CENTRES, torch.tensor([0]), margin=2.5)
    assert at_margin.tolist() == [0.5]


def test_cosine_knows_angles_alone():
    centres = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    features = torch.tensor([[1.0, 1.0], [5.0, 5.0], [3.0, 0.0]])
    found = triplet_cosine_centre_loss(features, centres, torch.tensor([0, 0, 0]), margin=0.3)
    np.testing.assert_allclose(found.numpy(), [0.3, 0.3, 0.0], atol=1e-6)


def test_no_term_falls_by_shrinking_all_features():
    """The collapse of the plain centre loss: half the features, a quarter of it."""
    draws = torch.Generator().manual_seed(0)
    features, labels = torch.randn(50, 4, generator=draws), torch.arange(50) % 3
    centres = class_means(features, labels, 3)
    whole = metric_terms(features, centres, labels, LossWeights())
    halved = metric_terms(features / 2, centres / 2, labels, LossWeights())
    assert whole.keys() == {"centre", "triplet", "cosine"}
    for name, term in whole.items():
        torch.testing.assert_close(halved[name], term)
    plain = centre_loss(features, centres, labels).mean()
    halves = centre_loss(features / 2, centres / 2, labels).mean()
    assert float(halves) == pytest.approx(float(plain) / 4)


def test_scaled_centre_loss_is_half_the_share_of_variance_within():
    features = torch.tensor([[0.0], [2.0], [10.0], [12.0]])
    labels = torch.tensor([0, 0, 1, 1])
    scaled, centres = in_units_of_spread(features, class_means(features, labels, 2))
    within, total = 1.0, 26.0
    found = centre_loss(scaled, centres, labels).mean()
    assert float(found) == pytest.approx(0.5 * within / total)


def test_a_weight_of_zero_computes_no_term():
    only = LossWeights(centre=0, triplet=2, cosine=0)
    features, labels = torch.rand(6, 2), torch.arange(6) % 3
    terms = metric_terms(features, CENTRES, labels, only)
    assert list(terms) == ["triplet"]
    scaled, centres = in_units_of_spread(features, CENTRES)
    expected = 2 * triplet_centre_loss(scaled, centres, labels)
    torch.testing.assert_close(terms["triplet"], expected)


def test_class_means_and_a_class_that_is_not_there():
    features = torch.tensor([[1.0, 0.0], [3.0, 2.0], [5.0, 5.0]])
    means = class_means(features, torch.tensor([0, 0, 2]), 3)
    assert means.tolist() == [[2.0, 1.0], [0.0, 0.0], [5.0, 5.0]]


def test_gradients_pull_to_the_own_centre():
    features = torch.tensor([[1.0, 0.0], [3.5, 0.0]], requires_grad=True)
    centre_loss(features, CENTRES, torch.tensor([0, 1])).sum().backward()
    assert features.grad.tolist() == [[1.0, 0.0], [-0.5, 0.0]]
