"""Networks become blobs and come back; the self-test is what the network really gives."""

import numpy as np
import torch

from player.package.paths import EASY, HARD
from player.package.self_test import self_test_input
from player.package.weights import unpack_weights
from sr.models import architecture, build_network
from sr.packing import hard_path_alone, network_of, pack_network, trainable_network


def trained(scale: int = 2):
    network = build_network(architecture("chain", scale, dynamic=True))
    with torch.no_grad():
        for exit_ in network.exits:
            exit_.weight.mul_(20)
    return network


def test_the_blob_gives_the_trained_network_back_to_half_precision():
    network = trained()
    blob = unpack_weights(pack_network(network))
    again = trainable_network(blob)
    for (name, a), b in zip(network.named_parameters(), again.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-5), name


def test_the_self_test_is_the_networks_output_at_the_seeded_places():
    blob = unpack_weights(pack_network(trained()))
    network = network_of(blob)
    for path in (EASY, HARD):
        patch, places = self_test_input(network.arch, path)
        x = torch.from_numpy(patch.astype(np.float32)).permute(2, 0, 1)[None]
        with torch.no_grad():
            y = network(x, path)[0].permute(1, 2, 0).round().clamp(0, 255).numpy()
        assert np.array_equal(y.ravel()[places].astype(np.uint8), blob.self_test[path])
        assert len(np.unique(blob.self_test[path])) > 10


def test_the_hard_path_alone_is_the_same_function():
    blob = unpack_weights(pack_network(trained()))
    static = network_of(hard_path_alone(blob))
    assert static.arch.exits == (6,)
    x = torch.rand(1, 3, 20, 20) * 255
    with torch.no_grad():
        assert torch.equal(static(x), network_of(blob)(x, HARD))
