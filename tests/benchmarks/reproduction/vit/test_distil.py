"""The teacher learns a clip in fewer operations, and distillation is what its docstring says."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.reproduction.vit.distil import Distillation
from benchmarks.reproduction.vit.teacher import CONTEXT_PX, Teacher, TeacherShape, build_teacher
from benchmarks.reproduction.vit.teacher_training import (
    TeacherPlan,
    taught,
    train_teacher,
    upscale_frame,
)
from benchmarks.reproduction.vit.tokens import Blocks, Sparsity, by_detail
from player.package.paths import HARD
from sr.models import Network, architecture, build_network
from sr.models.anchor import upsample
from sr.models.network import crop
from sr.training.data import CROP_PX, Batch, CropSampler, TrainingSet
from sr.training.loop import TrainingPlan, overfit, pixel_errors

SMALL = TeacherShape(2, dim=16, depth=2, heads=2)


@pytest.fixture
def network() -> Network:
    return build_network(architecture("chain", 2, dynamic=True), seed=1)


def sampler_for(margin_px: int, size_px: int = 56) -> CropSampler:
    """Two frames of sharp edges, which bicubic blurs."""
    y, x = np.mgrid[: 2 * size_px, : 2 * size_px]
    frames = [np.sin(x / 3 + shift) + np.sin(y / 4 + shift) > 0 for shift in (0, 1)]
    hr = np.repeat(np.stack(frames)[..., None] * np.uint8(200), 3, axis=3)
    lr = hr.reshape(2, size_px, 2, size_px, 2, 3).mean(axis=(2, 4)).astype(np.uint8)
    margins = ((0, 0), (margin_px,) * 2, (margin_px,) * 2, (0, 0))
    data = TrainingSet(np.pad(lr, margins, mode="edge"), hr, 2, margin_px)
    return CropSampler(data, np.ones((2, 2, 2)), (size_px // 2, size_px // 2), 2, 0)


def awake(teacher: Teacher) -> Teacher:
    """Its output no longer nearly nothing."""
    torch.nn.init.normal_(teacher.head.weight, std=0.02)
    return teacher


def test_a_fresh_teacher_is_the_anchor():
    assert SMALL.crop_px == CROP_PX
    x = torch.rand(2, 3, 24 + 12, 24 + 12)
    out = build_teacher(SMALL)(x, 6)
    assert out.shape == (2, 3, 48, 48)
    assert (out - upsample(crop(x, 4), 2)).abs().max() < 0.02


def test_a_token_s_pixels_come_out_at_its_place():
    teacher = awake(build_teacher(TeacherShape(2, dim=16, depth=0, heads=2)))
    x = torch.rand(1, 3, 24 + 8, 24 + 8)
    changed = x.clone()
    changed[:, :, 4 + 8 : 4 + 12, 4 + 16 : 4 + 20] += 0.5  # the third row's fifth token
    moved = (teacher.residual(x, 4) - teacher.residual(changed, 4)).abs().amax(dim=1)[0] > 0
    assert moved[8:32, 24:48].any()
    moved[8:32, 24:48] = False  # and the neighbours that read it as context
    assert not moved.any()


@pytest.mark.parametrize(("side", "halo"), [(48, 6), (31, 4), (5, 9)])
def test_crops_of_any_size_up_to_the_trained_one(side, halo):
    x = torch.rand(1, 3, side + 2 * halo, side + 2 * halo)
    assert build_teacher(SMALL)(x, halo).shape == (1, 3, 2 * side, 2 * side)


@pytest.mark.parametrize(("side", "halo", "what"), [(48, 3, "halo"), (49, 4, "crop")])
def test_what_does_not_fit_is_refused(side, halo, what):
    with pytest.raises(ValueError, match=what):
        build_teacher(SMALL)(torch.rand(1, 3, side + 2 * halo, side + 2 * halo), halo)


def test_flat_tokens_are_dropped_and_still_get_their_pixels():
    teacher = awake(build_teacher(SMALL))
    x = torch.rand(1, 3, 56, 56)
    x[:, :, 4:28] = 0.5  # the upper half of the tokens is flat
    sparsity = Sparsity((0,), tokens=0.5, score=by_detail)
    thin, dense = teacher.residual(x, 4, sparsity), teacher.residual(x, 4)
    assert (thin[:, :, :48].abs().amax(dim=1) > 0).all()
    assert not torch.allclose(thin[:, :, :48], dense[:, :, :48], atol=1e-4)
    assert teacher.training_flops(sparsity) < teacher.training_flops()


def test_training_lowers_the_error_and_counts_less_work_with_fewer_tokens():
    sampler = sampler_for(6)
    errors: list[float] = []
    teacher = build_teacher(SMALL)
    dense = train_teacher(teacher, sampler, TeacherPlan(60), lambda _, e: errors.append(e))
    assert dense == 60 * 2 * teacher.training_flops()
    assert np.mean(errors[-5:]) < 0.93 * np.mean(errors[:5])
    target = Sparsity((0,), tokens=0.5)
    thin = train_teacher(build_teacher(SMALL), sampler, TeacherPlan(6, target))
    assert thin < 6 * 2 * teacher.training_flops()


def test_training_repeats():
    one, again = build_teacher(SMALL, 3), build_teacher(SMALL, 3)
    for teacher in (one, again):
        train_teacher(teacher, sampler_for(6), TeacherPlan(3, Sparsity((0,), tokens=0.5)))
    for a, b in zip(one.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_whole_frame_is_covered_by_what_its_tiles_give():
    teacher = awake(build_teacher(SMALL))
    frame = np.random.default_rng(0).integers(0, 256, (50, 97, 3), np.uint8)
    out = upscale_frame(teacher, frame)
    assert out.shape == (100, 194, 3)
    padded = np.pad(frame, ((4, 4), (4, 4), (0, 0)), mode="edge")
    tile = torch.from_numpy(padded[2:58, 49:105]).permute(2, 0, 1)[None].float() / 255
    expected = 255 * taught(teacher, tile, CONTEXT_PX)[0].permute(1, 2, 0).detach().numpy()
    assert np.abs(expected.clip(0, 255) - out[4:, 98:]).max() < 1.5


def test_the_extra_loss_is_the_distance_to_the_teacher(network):
    teacher, sampler = awake(build_teacher(SMALL)), sampler_for(network.halo_px(HARD))
    batch = sampler.draw(0)
    own = Distillation(network, teacher, 0.5)
    found = own.extra_loss(batch, pixel_errors(network, batch), 0)
    hr = taught(teacher, batch.lr, network.halo_px(HARD)).detach()
    towards = pixel_errors(network, Batch(batch.lr, hr))[HARD]
    assert found is not None
    torch.testing.assert_close(found, 0.5 * towards.mean(), rtol=1e-4, atol=1e-7)
    found.backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert any(p.grad is not None for p in network.parameters())


def test_a_heavy_teacher_pulls_the_network_to_itself(network):
    teacher, sampler = awake(build_teacher(SMALL)), sampler_for(network.halo_px(HARD))
    alone = build_network(network.arch, seed=1)
    overfit(alone, sampler, TrainingPlan(30))
    overfit(network, sampler, TrainingPlan(30), companion=Distillation(network, teacher, 20.0))
    batch = sampler.draw(99)
    hr = taught(teacher, batch.lr, network.halo_px(HARD)).detach()
    with torch.no_grad():
        ours, theirs = (pixel_errors(n, Batch(batch.lr, hr))[HARD].mean() for n in (network, alone))
    assert ours < 0.9 * theirs


def test_a_teacher_of_another_scale_is_refused(network):
    with pytest.raises(ValueError, match=r"x4.*x2"):
        Distillation(network, build_teacher(TeacherShape(4, dim=16, depth=1, heads=2)), 1.0)


def test_the_teacher_s_count_is_torch_s():
    teacher, x = build_teacher(SMALL), torch.rand(1, 3, 56, 56)
    sparsity = Sparsity((0,), tokens=0.5, links=0.5, blocks=Blocks(16, 8))
    with FlopCounterMode(display=False) as forward:
        teacher.residual(x, 4, sparsity)
    assert forward.get_total_flops() == teacher.forward_flops(sparsity)
    with FlopCounterMode(display=False) as step:
        teacher.residual(x, 4, sparsity).sum().backward()
    assert step.get_total_flops() == teacher.training_flops(sparsity)
