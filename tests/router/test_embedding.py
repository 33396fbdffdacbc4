"""The router's network: what a cell sees, what it costs, attention, distances."""

import numpy as np
import pytest
import torch

from player.costs import macs_per_pixel
from player.package.paths import HARD
from sr.models import architecture
from sr.router.embedding import RouterNetwork, RouterShape, pad_to_cells

SHAPE = RouterShape(classes=3)


@pytest.fixture
def network() -> RouterNetwork:
    return RouterNetwork(SHAPE, seed=3).eval()


def test_costs_under_two_percent_of_the_hard_path():
    hard = macs_per_pixel(architecture("chain", 4, dynamic=True), HARD)
    assert SHAPE.macs_per_pixel < 0.02 * hard


def test_macs_are_those_of_the_layers(network):
    counted = 0

    def count(module, inputs, output):
        nonlocal counted
        counted += output[0].numel() * module.weight[0].numel()

    for layer in (network.embed, network.mix, network.pool, network.squeeze, network.excite):
        layer.register_forward_hook(count)
    attended = network(torch.zeros(1, 3, 12, 24))
    products = attended.numel()
    distances = 2 * SHAPE.classes * SHAPE.widths[2]
    assert counted + products + distances == 2 * SHAPE.macs_per_cell


@pytest.mark.parametrize(("height", "width", "cells"), [(12, 12, (1, 1)), (13, 35, (2, 3))])
def test_one_feature_vector_a_cell(network, height, width, cells):
    attended = network(torch.rand(2, 3, height, width))
    assert attended.shape == (2, SHAPE.widths[2], *cells)
    assert bool((attended >= 0).all())


def test_a_cell_sees_its_pixels_and_four_around(network):
    """Gradients of the middle cell of 3 x 3 reach no further."""
    frame = torch.rand(1, 3, 36, 36, requires_grad=True)
    network(frame)[0, :, 1, 1].sum().backward()
    seen = frame.grad[0].abs().sum(dim=0) > 0
    rows = torch.nonzero(seen.any(dim=1)).flatten()
    assert (int(rows.min()), int(rows.max())) == (8, 27)
    assert not seen[:8].any() and not seen[28:].any() and not seen[:, :8].any()


def test_padding_repeats_the_edge():
    frame = torch.arange(2.0).view(1, 1, 1, 2).expand(1, 3, 5, 2)
    padded = pad_to_cells(frame, 4)
    assert padded.shape == (1, 3, 8, 4)
    assert bool((padded[..., 1:] == 1).all()) and bool((padded[..., 0] == 0).all())


def test_attention_is_a_hard_sigmoid_and_starts_at_a_half(network):
    features = torch.rand(1, 32, 2, 2)
    attention = network.attention(100 * features).detach()
    assert float(attention.min()) >= 0 and float(attention.max()) <= 1
    assert float(network.attention(torch.zeros(1, 32, 1, 1)).detach().mean()) == pytest.approx(
        0.5, abs=0.1
    )
    torch.testing.assert_close(network.attend(features), features * network.attention(features))


def test_without_attention_features_stay():
    network = RouterNetwork(RouterShape(squeeze=0))
    features = torch.rand(1, 32, 2, 2)
    assert torch.equal(network.attend(features), features)


def test_distances_are_squared_and_by_centre(network):
    with torch.no_grad():
        network.centres.copy_(torch.rand(3, 32))
    attended = torch.rand(1, 32, 1, 2)
    found = network.distances(attended).detach().numpy()
    for k in range(3):
        for x in range(2):
            difference = attended[0, :, 0, x].numpy() - network.centres[k].detach().numpy()
            assert found[0, k, 0, x] == pytest.approx(float(np.sum(difference**2)), rel=1e-5)


def test_the_seed_is_the_network():
    first, again, other = (RouterNetwork(SHAPE, seed) for seed in (1, 1, 2))
    assert torch.equal(first.mix.weight, again.mix.weight)
    assert not torch.equal(first.mix.weight, other.mix.weight)


@pytest.mark.parametrize("wrong", [{"cell_px": 10}, {"classes": 1}, {"widths": (0, 1, 1)}])
def test_sizes_that_make_no_router(wrong):
    with pytest.raises(ValueError, match="router"):
        RouterShape(**wrong)
