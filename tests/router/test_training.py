"""Training: it learns what cells are, repeats bit for bit, logs its terms."""

from dataclasses import replace

import pytest
import torch

from sr.router.decide import distances_of
from sr.router.embedding import RouterNetwork, RouterShape
from sr.router.losses import LossWeights
from sr.router.training import FULL, RouterData, RouterPlan, fit_router

SHAPE = RouterShape(cell_px=8, widths=(8, 8, 8), squeeze=4, classes=2)
PLAN = RouterPlan(steps=120, frames=6, lr=1e-2)
PLAIN = LossWeights(centre=0, triplet=0, cosine=0, reconstruction=0, privileged=0)


def textured(frames: int, seed: int) -> RouterData:
    """Cells of 8 px, of coarse noise (class 1) or of one grey (class 0), as bright on average."""
    draws = torch.Generator().manual_seed(seed)
    classes = torch.randint(0, 2, (frames, 3, 4), generator=draws)
    grey = torch.full((frames, 3, 24, 32), 128.0)
    grain = 80 * torch.randn((frames, 1, 12, 16), generator=draws)
    noise = grain.repeat_interleave(2, 2).repeat_interleave(2, 3)
    rough = classes.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, None]
    return RouterData((grey + noise * rough).clamp(0, 255).byte(), classes)


@pytest.fixture(scope="module")
def data() -> RouterData:
    return textured(12, seed=1)


@pytest.mark.parametrize("squeeze", [4, 0])
def test_nearest_centre_knows_frames_that_it_never_saw(data, squeeze):
    found = fit_router(replace(SHAPE, squeeze=squeeze), data, PLAN, seed=0)
    unseen = textured(4, seed=2)
    nearest = distances_of(found.network, unseen.frames).argmin(axis=-1)
    assert (nearest == unseen.classes.numpy()).mean() > 0.95


def test_repeats_bit_for_bit_and_leaves_the_global_seed_alone(data):
    plan = replace(PLAN, steps=5)
    torch.manual_seed(7)
    first = fit_router(SHAPE, data, plan, seed=3)
    drawn = torch.rand(1)
    again, other = fit_router(SHAPE, data, plan, seed=3), fit_router(SHAPE, data, plan, seed=4)
    for name, value in first.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name]), name
    assert not torch.equal(first.network.centres, other.network.centres)
    torch.manual_seed(7)
    assert torch.equal(drawn, torch.rand(1))


@pytest.mark.parametrize("fixed", [True, False])
def test_textures_stay_as_they_start_unless_they_are_to_learn(data, fixed):
    plan = replace(PLAN, steps=3, fixed_textures=fixed)
    found = fit_router(SHAPE, data, plan, seed=0).network
    start = RouterNetwork(SHAPE, seed=0)
    assert torch.equal(found.embed.weight, start.embed.weight) is fixed
    assert not torch.equal(found.mix.weight, start.mix.weight)


def test_every_term_is_logged_and_falls(data):
    log = fit_router(SHAPE, data, PLAN, seed=0).log
    names = {"centre", "triplet", "cosine", "cross_entropy", "reconstruction"}
    assert log[0].keys() == names
    for name in ("triplet", "cross_entropy", "reconstruction"):
        assert log[-1][name] < log[0][name], name


def test_a_control_without_metric_terms_has_its_class_means_as_centres(data):
    found = fit_router(SHAPE, data, replace(PLAN, weights=PLAIN, steps=10), seed=0)
    assert list(found.log[0]) == ["cross_entropy"]
    attended = found.network(data.frames.float() / 255).movedim(1, -1)
    for k in range(2):
        mean = attended[data.classes == k].mean(dim=0)
        torch.testing.assert_close(found.network.centres[k], mean, rtol=1e-4, atol=1e-5)


def test_unknown_cells_teach_nothing(data):
    """Their pixels, as far as no known cell sees them, may be anything."""
    plan = replace(PLAN, steps=4, weights=replace(FULL, reconstruction=0))
    classes = data.classes.clone()
    classes[:, 0] = -1
    painted = data.frames.clone()
    painted[:, :, :4] = 17
    first = fit_router(SHAPE, RouterData(data.frames, classes), plan, seed=0)
    second = fit_router(SHAPE, RouterData(painted, classes), plan, seed=0)
    known = fit_router(SHAPE, RouterData(painted, data.classes), plan, seed=0)
    assert torch.equal(first.network.mix.weight, second.network.mix.weight)
    assert not torch.equal(known.network.mix.weight, second.network.mix.weight)


def test_cells_of_no_importance_teach_nothing(data):
    plan = replace(PLAN, steps=4, weights=PLAIN)
    weight = torch.ones(data.classes.shape)
    weight[:, 0] = 0
    painted = data.frames.clone()
    painted[:, :, :4] = 17
    first = fit_router(SHAPE, RouterData(data.frames, data.classes, weight), plan, seed=0)
    second = fit_router(SHAPE, RouterData(painted, data.classes, weight), plan, seed=0)
    assert torch.equal(first.network.mix.weight, second.network.mix.weight)


def test_reconstruction_alone_is_learned(data):
    only = LossWeights(0, 0, 0, 0, reconstruction=FULL.reconstruction)
    log = fit_router(SHAPE, data, replace(PLAN, weights=only, steps=11), seed=0).log
    assert list(log[0]) == ["reconstruction"]
    assert log[-1]["reconstruction"] < log[0]["reconstruction"]


def test_what_only_the_server_knows_is_learned_and_mirrored_with_the_frames(data):
    known = 7 + 1000 * data.classes[:, None].float()
    taught = replace(data, privileged=known)
    losses = [entry["privileged"] for entry in fit_router(SHAPE, taught, PLAN, seed=0).log]
    assert losses[-1] < 0.35 * losses[0]
    others = replace(data, privileged=known.flip(-1))  # another cell's numbers: nothing to learn
    assert fit_router(SHAPE, others, PLAN, seed=0).log[-1]["privileged"] > 2 * losses[-1]
    assert "privileged" not in fit_router(SHAPE, data, PLAN, seed=0).log[0]
