"""From a float router to integers: the same routes but for the odd cell, and the blob of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from player.costs import macs_per_pixel
from player.package.architecture import Architecture
from player.package.package_error import PackageError
from player.package.paths import HARD
from player.package.router_blob import LAYERS, MARGIN_LIMIT, OFFSET_LIMIT, unpack_router
from sr.router import reference
from sr.router.decide import Rule, decide, distances_of
from sr.router.embedding import RouterNetwork, RouterShape
from sr.router.integers import (
    activation_steps,
    pack_router,
    quantise_router,
    score_step,
    with_rule,
)
from tests.router.random_router import noise

SHAPES = (RouterShape(), RouterShape(8, (8, 12, 16), 4, 2), RouterShape(16, (12, 16, 32), 8, 5))
HARD_NETWORK = Architecture("chain", 4, (32,) * 6, (2, 6))


def frames_of(seed: int, count: int = 3) -> list[np.ndarray]:
    return [noise(61, 83, 10 * seed + i) for i in range(count)]


def stacked(frames: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)


def fitted(shape: RouterShape, seed: int) -> RouterNetwork:
    """A random network whose centres are features of frames, as far apart as they come, and like
    trained ones not all within what features can be."""
    network = RouterNetwork(shape, seed)
    with torch.no_grad():
        found = network(stacked(frames_of(seed)).float() / 255).movedim(1, -1)
        found = found.reshape(-1, shape.widths[2])
        chosen = [0]
        for _ in range(shape.classes - 1):
            chosen.append(int(torch.cdist(found, found[chosen]).min(dim=1).values.argmax()))
        network.centres.copy_(found[chosen] - 2 * found.std(dim=0))
    assert (network.centres < 0).any()
    return network


def rule_of(network: RouterNetwork, frames: list[np.ndarray]) -> Rule:
    """Offsets that move some cells, and least margins that a tenth of them does not reach."""
    scores = distances_of(network, stacked(frames))
    classes = network.shape.classes
    offsets = np.linspace(-0.1, 0.1, classes) * np.median(scores)
    lowest = np.sort(scores + offsets, axis=-1)
    least = float(np.quantile(lowest[..., 1] - lowest[..., 0], 0.1))
    paths = tuple(k % 3 for k in range(classes))
    return Rule(paths, tuple(offsets.tolist()), (least,) * classes)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"cell{s.cell_px}")
def test_routes_agree_with_the_floats_on_97_of_100_cells(shape):
    """On frames that the steps were not taken from; every path is among them."""
    same, seen = [], set()
    for seed in range(5):
        network, frames = fitted(shape, seed), frames_of(seed + 100)
        rule = rule_of(network, frames)
        blob = pack_router(network, frames_of(seed), rule.paths, rule.offsets, rule.least_margin)
        router = unpack_router(blob)
        found = np.stack([reference.route(router, frame) for frame in frames])
        _, wanted, _ = decide(distances_of(network, stacked(frames)), rule)
        same.append(found == wanted)
        seen |= set(wanted.ravel().tolist())
    assert np.mean(same) >= 0.97 and len(seen) == min(3, shape.classes + 1)


def test_distances_are_those_of_the_floats_in_their_step():
    network, frames = fitted(SHAPES[0], 1), frames_of(1)
    steps = activation_steps(network, frames)
    router = quantise_router(network, steps)
    found = np.stack([reference.attended(router, frame) for frame in frames])
    ours = reference.scores(router, found) * score_step(steps)
    theirs = distances_of(network, stacked(frames))
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.995
    assert np.abs(ours - theirs).mean() < 0.05 * theirs.mean()


def test_offsets_and_margins_are_in_the_same_step_and_cut_to_the_limits():
    network, frames = fitted(SHAPES[0], 2), frames_of(2)
    router = quantise_router(network, activation_steps(network, frames))
    ruled = with_rule(router, 0.5, (0, 1, 2), (-1.0, 7.3, 1e30), (0.0, 2.1, np.inf))
    assert ruled.offsets.tolist() == [-2, 15, OFFSET_LIMIT - 1]
    assert ruled.least_margins.tolist() == [0, 4, MARGIN_LIMIT - 1]
    assert ruled.paths.tolist() == [0, 1, 2]
    endless = replace(ruled, least_margins=np.full(3, MARGIN_LIMIT - 1, np.int32))
    assert (reference.route(endless, frames[0]) == HARD).all()


def test_the_blob_carries_its_self_test():
    network, frames = fitted(SHAPES[0], 3), frames_of(3, 1)
    router = unpack_router(pack_router(network, frames, (0, 1, 2), (0,) * 3, (0,) * 3, 4))
    assert router.sizes.hold_frames == 4
    assert router.self_test == reference.self_test_crc(router)
    weight, bias, multiplier = router.layers["mix"]
    changed = replace(router, layers={**router.layers, "mix": (weight, bias + 900, multiplier)})
    assert reference.self_test_crc(changed) != router.self_test


def test_layers_fill_their_range():
    """Per output the largest weight is 112 to 127, by the grid; few values are cut off."""
    network, frames = fitted(SHAPES[0], 4), frames_of(4)
    router = quantise_router(network, activation_steps(network, frames))
    for name in LAYERS:
        weight = router.layers[name][0]
        largest = np.abs(weight.astype(int)).reshape(len(weight), -1).max(axis=1)
        assert largest.min() >= 112, name
    found = np.stack([reference.features(router, frame) for frame in frames])
    assert found.max() == 255 and (found == 255).mean() < 0.01


def test_networks_without_an_integer_form_are_refused():
    frames = frames_of(0, 1)
    bare = RouterNetwork(RouterShape(squeeze=0))
    odd = RouterNetwork(RouterShape(widths=(16, 22, 32)))
    for network, message in ((bare, "attention"), (odd, "multiples of 4")):
        with pytest.raises(PackageError, match=message):
            pack_router(network, frames, (0, 1, 2), (0,) * 3, (0,) * 3)
    with pytest.raises(ValueError, match="at least one LR frame"):
        pack_router(RouterNetwork(RouterShape()), [], (0, 1, 2), (0,) * 3, (0,) * 3)


def test_the_router_takes_less_than_2_percent_of_the_hard_path():
    hard = macs_per_pixel(HARD_NETWORK, HARD)
    assert RouterShape().macs_per_pixel < 0.02 * hard
