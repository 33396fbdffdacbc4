"""The benchmarks' own arithmetic."""

import numpy as np

from benchmarks.picture import CROP_PX, telling_place
from benchmarks.quality import KEYS, merge, seam_mask
from benchmarks.training import arms


def test_the_seam_mask_is_four_pixels_on_each_side_of_inner_borders():
    mask = seam_mask(20, 30, (10, 12))
    rows, columns = mask.all(axis=1), mask.all(axis=0)
    assert np.flatnonzero(rows).tolist() == list(range(6, 14))
    assert np.flatnonzero(columns).tolist() == [*range(8, 16), *range(20, 28)]
    assert mask.sum() == 8 * 30 + 16 * 20 - 8 * 16


def test_merging_replaces_rows_of_the_same_run_and_keeps_others(tmp_path):
    def row(clip: str, value: int) -> dict:
        return {**dict.fromkeys(KEYS, "x"), "clip": clip, "value": value}

    file = tmp_path / "rows.json"
    assert merge(file, [row("a", 1)]) == [row("a", 1)]
    file.write_text(
        f'{{"rows": [{{"clip": "a"{_rest()}, "value": 1}}, {{"clip": "b"{_rest()}, "value": 2}}]}}'
    )
    assert merge(file, [row("a", 3)]) == [row("b", 2), row("a", 3)]


def _rest() -> str:
    return "".join(f', "{key}": "x"' for key in KEYS if key != "clip")


def test_the_picture_shows_where_two_encodes_differ_most():
    original = np.zeros((480, 640, 3), np.uint8)
    plain = original.copy()
    plain[320:400, 400:480] = 90
    for ours, other in ((original, plain), (plain, original)):
        y, x = telling_place(ours, other, original)
        assert y <= 320 and y + CROP_PX >= 400
        assert x <= 400 and x + CROP_PX >= 480


def test_every_arm_of_the_training_benchmark_sees_the_same_number_of_crops():
    crops = {arm.plan.steps * arm.batch for arm in arms(400).values()}
    assert crops == {1600}
