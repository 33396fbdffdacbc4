"""Content groups: repeatable draws, pixels told apart, labels from files, refusals."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from chunking.input_error import InputError
from player.package.architecture import Architecture
from sr.shrink.content_groups import ContentGroups, groups_from_boxes, groups_from_masks
from sr.shrink.fair_term import check_groups, grouped, held_out
from sr.shrink.stage import StageError
from sr.training.data import CropSampler, TrainingSet

ARCH = Architecture("chain", 2, (8, 8, 8), (1, 3))
MARGIN, FRAMES, CELLS = 3, 12, (2, 3)
FILM = (200, 120)  # HR width and height; the LR patches are 54 x 48 px


@pytest.fixture
def sampler() -> CropSampler:
    """Every LR pixel's value is 20 times its frame's number."""
    lr = np.zeros((FRAMES, 60 + 2 * MARGIN, 100 + 2 * MARGIN, 3), np.uint8)
    lr[:] = 20 * np.arange(FRAMES, dtype=np.uint8)[:, None, None, None]
    hr = np.random.default_rng(0).integers(0, 256, (FRAMES, 120, 200, 3), np.uint8)
    return CropSampler(TrainingSet(lr, hr, 2, MARGIN), np.ones((FRAMES, *CELLS)), (54, 48), 5, 7)


@pytest.fixture
def by_frame() -> np.ndarray:
    """Frames 0..8 are group 0, 9 and 10 group 1; the last is of none."""
    labels = np.zeros((FRAMES, *CELLS), np.int64)
    labels[9:11], labels[11] = 1, -1
    return labels


def group_of_crops(batch) -> torch.Tensor:
    """[N]: other pixels of a crop than its own patch's have none."""
    return batch.groups.flatten(1).max(dim=1).values


def frames_of(batch) -> list[int]:
    return (batch.lr[:, 0, 0, 0] * 255 / 20).round().int().tolist()


def test_a_rare_group_is_drawn_a_tenth_of_the_time_and_others_as_they_were(sampler, by_frame):
    by_frame[2:11] = 0
    by_frame[:2] = 1  # 12 of 66 patches, drawn less often than others
    sampler.shares[:2] = 0.1
    even = grouped(replace(sampler, batch=50), by_frame)
    batches = [even.draw(step) for step in range(20)]
    for batch in batches:
        assert batch.groups.shape == (50, 48, 48)
        of_crop = group_of_crops(batch)
        assert [int(f < 2) for f in frames_of(batch)] == of_crop.tolist()
        assert 11 not in frames_of(batch)
    rare = np.mean([float((group_of_crops(batch) == 1).float().mean()) for batch in batches])
    assert rare == pytest.approx(0.1 / (0.1 + 54 / 55.2), abs=0.03)


def test_a_mean_over_draws_is_the_clips(sampler, by_frame):
    """What is drawn more often counts less: group 1 has 2 % of what the clip would draw."""
    by_frame[2:11] = 0
    by_frame[:2] = 1
    sampler.shares[:2] = 0.1
    even = grouped(replace(sampler, batch=400), by_frame)
    means = []
    for step in range(10):
        batch = even.draw(step)
        errors = 1.0 + 400.0 * group_of_crops(batch)
        means.append(float(batch.mean(errors[:, None, None])))
    assert np.mean(means) == pytest.approx(1 + 400 * 1.2 / 55.2, rel=0.1)
    plain = sampler.draw(0)
    assert float(plain.mean(torch.tensor([[[1.0]], [[3.0]]]))) == 2.0


def test_pixels_beyond_the_crops_own_patch_count_for_none(sampler, by_frame):
    by_frame[:] = np.arange(6).reshape(2, 3) % 2  # a chessboard of patches of 54 x 48
    even = grouped(sampler, by_frame)
    (groups,) = even._groups_of(np.array([2 * 6 + 4]), [(2, 10, 30)])  # row 1, column 1 of frame 2
    rows, columns = np.mgrid[10:58, 30:78]
    own = (rows >= 54) & (columns >= 48) & (columns < 96)
    assert (groups.numpy() == np.where(own, 0, -1)).all()
    drawn = even.draw(3).groups
    assert [len(set(g.unique().tolist()) - {-1}) for g in drawn] == [1] * 5


def test_shares_count_within_a_group(sampler, by_frame):
    sampler.shares[:] = 0.0
    sampler.shares[2:5], sampler.shares[9:11] = 1.0, 1.0
    even = grouped(sampler, by_frame)
    seen = {frame for step in range(30) for frame in frames_of(even.draw(step))}
    assert seen == {2, 3, 4, 9, 10}


def test_crops_are_as_large_as_the_samplers(sampler, by_frame):
    small = replace(sampler, side_px=24)
    assert grouped(small, by_frame).draw(0).hr.shape == small.draw(0).hr.shape


def test_a_batch_is_a_function_of_seed_and_step(sampler, by_frame):
    first, again, other = (grouped(sampler, by_frame).draw(step) for step in (5, 5, 6))
    assert torch.equal(first.hr, again.hr)
    assert not torch.equal(first.hr, other.hr)


def test_held_out_patches_are_a_share_of_each_group_and_shared_by_none(sampler, by_frame):
    kept, out = held_out(grouped(sampler, by_frame), every=3)
    assert not ((kept.labels >= 0) & (out.labels >= 0)).any()
    for group, patches in ((0, 54), (1, 12)):
        assert (out.labels == group).sum() == patches // 3
        assert (kept.labels == group).sum() == patches - patches // 3
    assert not torch.equal(kept.draw(0).hr, out.draw(0).hr)


def test_one_group_only_is_refused(by_frame):
    with pytest.raises(StageError, match="one group"):
        check_groups(np.zeros_like(by_frame))


def test_a_small_group_is_refused_by_name_and_count(by_frame):
    by_frame[:] = 0
    by_frame[0, 0, :] = 1
    with pytest.raises(StageError, match="group face has 3 patches"):
        check_groups(by_frame, ("rest", "face"))


def test_a_group_that_is_never_drawn_is_too_small(sampler, by_frame):
    sampler.shares[9:11] = 0.0
    by_frame[11] = 2
    sampler.shares[11, :, :2] = 0.0
    by_frame[8] = 2
    with pytest.raises(StageError, match="group 1 has 0 patches"):
        grouped(sampler, by_frame)


def test_labels_of_another_clip_are_refused(sampler, by_frame):
    with pytest.raises(StageError, match=r"\(11, 2, 3\)"):
        grouped(sampler, by_frame[1:])


def write_masks(folder, masks) -> None:
    for i, mask in enumerate(masks):
        Image.fromarray(np.asarray(mask, np.uint8)).save(folder / f"{i:06d}.png")


def test_masks_mark_the_patches_that_they_cover(tmp_path):
    """LR 100 x 60 in cells of 48 x 54: columns of 48, 48 and 4 px, rows of 54 and 6."""
    mask = np.zeros((60, 100), np.uint8)
    mask[:30, :40] = 255  # 46 % of the first patch
    mask[:20, 48:60] = 255  # 9 % of the second
    write_masks(tmp_path, [mask, np.zeros_like(mask), mask])
    got = groups_from_masks(tmp_path, (60, 100), (54, 48), frames=(0, 1))
    expected = np.zeros((2, 2, 3), np.int64)
    expected[0, 0, 0] = 1
    assert np.array_equal(got.labels, expected)
    assert got.names == ("rest", "group 1")


def test_masks_may_be_of_the_films_size_and_hold_labels(tmp_path):
    mask = np.zeros((120, 200), np.uint8)
    mask[:108, :96], mask[:108, 96:192] = 1, 2
    write_masks(tmp_path, [mask])
    got = groups_from_masks(tmp_path, (60, 100), (54, 48), frames=(0,))
    assert got.labels[0, 0].tolist() == [1, 2, 0]


def test_boxes_mark_the_patches_that_they_cover(tmp_path):
    boxes = [[{"group": "face", "x": 0, "y": 0, "width": 96, "height": 108}], []]
    file = tmp_path / "faces.json"
    file.write_text(json.dumps({"groups": ["face"], "size": [200, 120], "frames": boxes}))
    got = groups_from_boxes(file, (60, 100), (54, 48), frames=(0, 1))
    assert isinstance(got, ContentGroups)
    assert got.names == ("rest", "face")
    assert got.labels.sum() == 1
    assert got.labels[0, 0, 0] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ('{"groups": ["face"], "frames": []}', "size"),
        ('{"groups": ["face"], "size": [200, 120], "frames": [[]]}', "1 frames"),
        (
            '{"groups": ["face"], "size": [200, 120], "frames": [[], [{"group": "dog", "x": 0,'
            ' "y": 0, "width": 9, "height": 9}]]}',
            "frame 1.*dog",
        ),
        (
            '{"groups": ["face"], "size": [200, 120], "frames": [[], [{"group": "face", "x": 0}]]}',
            "frame 1",
        ),
    ],
)
def test_damaged_boxes_are_refused(tmp_path, content, message):
    file = tmp_path / "faces.json"
    file.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        groups_from_boxes(file, (60, 100), (54, 48), frames=(0, 1))
    assert str(file) in str(caught.value)


def test_missing_and_damaged_masks_are_refused(tmp_path):
    with pytest.raises(InputError, match="2 masks"):
        write_masks(tmp_path, [np.zeros((60, 100))] * 2)
        groups_from_masks(tmp_path, (60, 100), (54, 48), frames=(0, 2))
    (tmp_path / "000001.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"000001\.png"):
        groups_from_masks(tmp_path, (60, 100), (54, 48), frames=(0, 1))


def test_masks_take_their_names_from_the_folder(tmp_path):
    Image.fromarray(np.full((60, 100), 1, np.uint8)).save(tmp_path / "0.png")
    (tmp_path / "names.txt").write_text("flame\nsmoke\n")
    got = groups_from_masks(tmp_path, (60, 100), (54, 48), frames=(0,))
    assert got.names == ("rest", "flame", "smoke")
    Image.fromarray(np.full((60, 100), 3, np.uint8)).save(tmp_path / "0.png")
    with pytest.raises(InputError, match=r"names\.txt: 2 names, but masks have the value 3"):
        groups_from_masks(tmp_path, (60, 100), (54, 48), frames=(0,))


def test_a_mask_of_another_shape_than_the_film_is_refused(tmp_path):
    Image.fromarray(np.zeros((60, 60), np.uint8)).save(tmp_path / "0.png")
    with pytest.raises(InputError, match="60x60 px is not the film's shape"):
        groups_from_masks(tmp_path, (60, 100), (54, 48), frames=(0,))


@pytest.mark.parametrize(("shift", "contradicts"), [(0, True), (10, True), (30, False)])
def test_one_place_with_two_labels_is_a_contradiction(tmp_path, shift, contradicts):
    box = {"x": 0, "y": 0, "width": 40, "height": 40}
    boxes = [{"group": "face", **box}, {"group": "text", **box, "x": shift}]
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps({"groups": ["face", "text"], "size": [100, 60], "frames": [boxes]}))
    if contradicts:
        with pytest.raises(InputError, match="is labelled face as well"):
            groups_from_boxes(file, (60, 100), (54, 48), frames=(0,))
    else:
        groups_from_boxes(file, (60, 100), (54, 48), frames=(0,))
