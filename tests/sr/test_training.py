"""Training: draws by share, repeats by seed, resumes to the same bits, and learns."""

import numpy as np
import pytest
import torch

from player.package.architecture import Architecture
from player.package.paths import EASY, HARD
from sr.models import build_network
from sr.training.data import CropSampler, FramePair, TrainingSet, training_set
from sr.training.loop import TrainingPlan, overfit, pixel_errors, trunk_and_rest
from sr.training.muon import orthogonalise

ARCH = Architecture("chain", 2, (8, 8, 8), (1, 3))
MARGIN = 3


@pytest.fixture
def data() -> TrainingSet:
    rng = np.random.default_rng(0)
    hr = rng.integers(0, 256, (3, 120, 200, 3), np.uint8)
    lr = hr[:, ::2, ::2]
    margin = (MARGIN, MARGIN)
    return TrainingSet(np.pad(lr, ((0, 0), margin, margin, (0, 0)), "edge"), hr, 2, MARGIN)


def sampler(data: TrainingSet, shares: np.ndarray | None = None, batch: int = 2) -> CropSampler:
    shares = np.ones((3, 2, 3)) if shares is None else shares
    return CropSampler(data, shares, (54, 48), batch, seed=7)


def test_crops_are_aligned_pairs_of_lr_and_hr(data):
    batch = sampler(data, batch=8).draw(3)
    assert batch.lr.shape == (8, 3, 48 + 2 * MARGIN, 48 + 2 * MARGIN)
    assert batch.hr.shape == (8, 3, 96, 96)
    inner = batch.lr[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN]
    assert torch.equal(inner, batch.hr[:, :, ::2, ::2])


def test_only_patches_with_a_share_are_drawn_and_in_proportion(data):
    shares = np.zeros((3, 2, 3))
    shares[1, 0, 0], shares[2, 1, 2] = 3.0, 1.0
    marked = TrainingSet(data.lr.copy(), data.hr.copy(), 2, MARGIN)
    marked.lr[:] = np.arange(3)[:, None, None, None]
    frames = sampler(marked, shares, batch=400).draw(0).lr[:, 0, 0, 0] * 255
    assert set(frames.round().int().tolist()) == {1, 2}
    assert 0.68 < float((frames.round() == 1).float().mean()) < 0.82


def test_a_batch_is_a_function_of_seed_and_step(data):
    first, again, other = (sampler(data).draw(step) for step in (5, 5, 6))
    assert torch.equal(first.lr, again.lr)
    assert not torch.equal(first.lr, other.lr)


@pytest.mark.parametrize("units", [2, 3])
def test_crops_are_whole_units_up_to_the_border(units):
    """Of frames continued to whole units: every unit is drawn, the continued ones too."""
    height, width = 59, 61
    pair = FramePair(*(np.zeros((height, width, 3), np.uint8) for _ in range(2)))
    data = training_set([pair], 1, units * MARGIN, units)
    assert data.size_px == (height + -height % units, width + -width % units)
    drawn = CropSampler(data, np.ones((1, 10, 11)), (6, 6), 500, 0, side_px=24)
    cells = drawn.cells(0, np.random.default_rng(0))
    places = np.array([drawn.place(int(c), np.random.default_rng(c)) for c in cells])
    assert (places[:, 1:] % units == 0).all()
    for axis, side in enumerate(data.size_px, start=1):
        assert (places[:, axis].min(), places[:, axis].max()) == (0, side - 24)


def test_small_crops_reach_all_of_a_large_patch():
    """What no crop holds is never learned, and is judged all the same."""
    pair = FramePair(*(np.zeros((108, 96, 3), np.uint8) for _ in range(2)))
    data = training_set([pair], 1, MARGIN)
    sampler = CropSampler(data, np.ones((1, 2, 2)), (54, 48), 4000, 0, side_px=24)
    rng, seen = np.random.default_rng(0), np.zeros(data.size_px, int)
    for cell in sampler.cells(0, rng):
        _, y, x = sampler.place(int(cell), rng)
        seen[y : y + 24, x : x + 24] += 1
    assert seen[12:-12, 12:-12].min() > seen.mean() / 8 and seen.min() > 0


def test_frames_smaller_than_a_crop_are_drawn_whole():
    hr = np.zeros((1, 40, 60, 3), np.uint8)
    lr = np.zeros((1, 20 + 2 * MARGIN, 30 + 2 * MARGIN, 3), np.uint8)
    small = TrainingSet(lr, hr, 2, MARGIN)
    batch = CropSampler(small, np.ones((1, 1, 1)), (54, 48), 2, 0).draw(0)
    assert batch.hr.shape == (2, 3, 40, 60)


def test_a_run_cut_in_two_ends_with_the_same_bits(data, tmp_path):
    plan = TrainingPlan(steps=6)

    class Cut(Exception):
        pass

    def cut(step: int, quality_db: float) -> None:
        if step == 3:
            raise Cut

    whole, parted = build_network(ARCH), build_network(ARCH)
    overfit(whole, sampler(data), plan)
    with pytest.raises(Cut):
        overfit(parted, sampler(data), plan, tmp_path / "t.ckpt", cut)
    resumed = build_network(ARCH, seed=99)
    seen = []
    overfit(resumed, sampler(data), plan, tmp_path / "t.ckpt", lambda s, q: seen.append(s))
    assert seen == [4, 5, 6]
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_run_cut_within_a_step_ends_with_the_same_bits_too(data, tmp_path, monkeypatch):
    plan = TrainingPlan(steps=4)
    whole = build_network(ARCH)
    overfit(whole, sampler(data), plan)
    adam_step = torch.optim.Adam.step
    calls = []

    def cut(self, closure=None):
        calls.append(1)
        if len(calls) == 3:  # Muon has taken its third step, Adam has not
            raise KeyboardInterrupt
        return adam_step(self, closure)

    monkeypatch.setattr(torch.optim.Adam, "step", cut)
    with pytest.raises(KeyboardInterrupt):
        overfit(build_network(ARCH), sampler(data), plan, tmp_path / "t.ckpt")
    monkeypatch.undo()
    resumed = build_network(ARCH)
    overfit(resumed, sampler(data), plan, tmp_path / "t.ckpt")
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_overfitting_learns_what_bicubic_cannot_give():
    """The task: the negative of a ramp. The linear easy exit gains, the deep path solves it."""
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, None, :, None], (3, 120, 200, 3))
    margin = (MARGIN, MARGIN)
    lr = np.pad(255 - ramp[:, ::2, ::2], ((0, 0), margin, margin, (0, 0)), "edge")
    negative = TrainingSet(lr, np.ascontiguousarray(ramp), 2, MARGIN)
    network, drawn = build_network(ARCH), sampler(negative)
    before = pixel_errors(network, drawn.draw(1000))
    overfit(network, drawn, TrainingPlan(steps=400))
    after = pixel_errors(network, drawn.draw(1000))
    assert after[EASY].mean().item() < 0.8 * before[EASY].mean().item()
    assert after[HARD].mean().item() < 0.02 * before[HARD].mean().item()


def test_muon_takes_hidden_convolutions_and_adam_the_rest():
    network = build_network(ARCH)
    trunk, rest = trunk_and_rest(network)
    assert {tuple(w.shape) for w in trunk} == {(8, 8, 3, 3)}
    assert len(trunk) + len(rest) == len(list(network.parameters()))


@pytest.mark.parametrize("shape", [(8, 72), (72, 8), (16, 16)])
def test_orthogonalised_matrices_keep_their_singular_vectors(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    inner = u.T @ orthogonalise(matrix[None])[0] @ v.T
    values = inner.diagonal()
    assert values.min() > 0.3 and values.max() < 1.3
    assert (inner - torch.diag(values)).abs().max() < 1e-8
