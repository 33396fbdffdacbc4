"""The colour rule, and the masks it writes."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.reproduction.flames.__main__ import main, write_masks
from benchmarks.reproduction.flames.rule import flame_mask, has_flame
from chunking.input_error import InputError
from sr.shrink.content_groups import groups_from_masks

ORANGE, GREEN, GREY, DARK_RED, BLUISH = (
    (250, 150, 40), (70, 110, 60), (150, 150, 150), (120, 20, 20), (250, 40, 150)
)  # fmt: skip


def picture(colour, spot=None, side=32) -> np.ndarray:
    frame = np.full((side, side, 3), colour, np.uint8)
    if spot is not None:
        frame[4:12, 6:10] = spot
    return frame


def test_the_mask_is_the_flame():
    mask = flame_mask(picture(GREEN, ORANGE))
    expected = np.zeros((32, 32), bool)
    expected[4:12, 6:10] = True
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("spot", [GREY, DARK_RED, BLUISH, (255, 255, 255)])
def test_what_is_not_the_colour_of_a_flame(spot):
    assert not flame_mask(picture(GREEN, spot)).any()


def test_a_frame_that_is_red_all_over_has_no_flame():
    assert not flame_mask(picture((250, 150, 40))).any()


def test_a_patch_needs_its_share():
    frame = picture(GREEN)
    frame[0, 0] = ORANGE
    assert not has_flame(frame)
    assert has_flame(picture(GREEN, ORANGE))


def test_masks_are_the_groups_that_encode_reads(tmp_path):
    frames, masks = tmp_path / "rgb", tmp_path / "masks"
    frames.mkdir()
    for number, spot in ((2, ORANGE), (10, None)):
        Image.fromarray(picture(GREEN, spot)).save(frames / f"254p RGB Frame ({number}).png")
    assert main([str(frames), "-o", str(masks)]) == 0
    groups = groups_from_masks(masks, (32, 32), (16, 16), [0, 1])
    assert groups.names == ("rest", "flame")
    assert groups.labels[1].sum() == 0, "frame 10 comes after frame 2"
    assert flame_mask(picture(GREEN, ORANGE)).sum() == 32
    fine = groups_from_masks(masks, (32, 32), (4, 4), [0])
    assert fine.labels[0, 1:3, 2].tolist() == [1, 1]


def test_no_images_and_broken_images(tmp_path, capsys):
    with pytest.raises(InputError, match="no images"):
        write_masks(tmp_path, tmp_path / "masks")
    (tmp_path / "1.png").write_bytes(b"no picture")
    assert main([str(tmp_path), "-o", str(tmp_path / "masks")]) == 3
    assert "1.png: cannot be decoded" in capsys.readouterr().err
