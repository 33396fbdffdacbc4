"""Channels: what hangs on them, exact folding of their factors, exact cutting."""

import pytest
import torch
from torch import Tensor, nn

from player.package.architecture import Architecture
from player.package.paths import HARD
from sr.models import build_network
from sr.shrink.channels import (
    Traced,
    add_scales,
    channel_layers,
    couplings,
    cut_channels,
    fold_scales,
)
from sr.shrink.stage import rebuilt, traced, trunk_names


class Residual(nn.Module):
    """A block as in a ResNet: inner channels may go, those of the sum may not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(4, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.bn1(self.conv1(x)).relu())


def test_a_chain_couples_each_convolution_with_its_readers(network):
    found = couplings(traced(network))
    assert [(c.convolution, c.carriers, set(c.readers)) for c in found] == [
        ("trunk.0", ("trunk.0",), {"trunk.1", "exits.0"}),
        ("trunk.1", ("trunk.1",), {"trunk.2"}),
        ("trunk.2", ("trunk.2",), {"exits.1"}),
    ]


def test_a_batch_norm_is_carried_along():
    graph = Traced(Residual().eval(), torch.zeros(1, 4, 8, 8), lambda m, x: m(x), ("conv1",))
    (found,) = couplings(graph)
    assert found.carriers == ("conv1", "bn1")
    assert found.readers == ("conv2",)
    (layer,) = channel_layers(graph.model, [found])
    assert layer.scale is graph.model.bn1.weight
    assert sorted(len(row) for row in layer.rows) == [6] * 5  # weight, gamma, beta, mean, variance


def test_factors_fold_exactly(network):
    x = torch.rand(1, 3, 20, 20)
    add_scales(network, trunk_names(network))
    for name in trunk_names(network):
        network.get_submodule(name).scale.data.uniform_(0.2, 2.0)
    before = network(x, HARD)
    fold_scales(network)
    assert all(type(m) is nn.Conv2d for m in network.get_submodule("trunk").children())
    torch.testing.assert_close(network(x, HARD), before, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", ["chain", "espcn"])
def test_a_cut_network_is_the_network_with_those_channels_silent(family):
    exits = (1, 3) if family == "chain" else (3,)
    network = build_network(Architecture(family, 2, (16, 16, 16), exits))
    kept = {"trunk.0": [0, 2, 5, 7], "trunk.1": list(range(8)), "trunk.2": list(range(4, 16))}
    x = torch.rand(1, 3, 24, 24)
    with torch.no_grad():
        for name, indices in kept.items():
            gone = sorted(set(range(16)) - set(indices))
            network.get_submodule(name).weight[gone] = 0
            network.get_submodule(name).bias[gone] = 0
    silent = {path: network(x, path) for path in network.arch.paths}
    cut_channels(traced(network), kept)
    small = rebuilt(network)
    assert small.arch.widths == (4, 8, 12)
    for path, picture in silent.items():
        torch.testing.assert_close(small(x, path), picture, atol=1e-5, rtol=0)
