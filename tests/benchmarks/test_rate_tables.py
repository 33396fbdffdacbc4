"""Tables of the rate cells that are compared one by one: moved frames, the papers' methods."""

from benchmarks.rate_tables import TABLES


def test_what_moved_frames_save_is_told_by_kind_of_frames():
    def cell(lr: str, as_they_are: float, moved: float) -> dict:
        ways = [
            {"moved": is_moved, "saved_psnr_y": saved, "saved_psnr_rgb": -saved}
            for is_moved, saved in ((False, as_they_are), (True, moved))
        ]
        return {"codec": "h264", "choice": {"lr": lr}, "ways": ways}

    alone = {"codec": "h264", "choice": {}, "ways": [{"moved": False, "saved_psnr_y": 0.5}]}
    cells = [cell("bicubic", 0.10, 0.12), cell("bicubic", 0.10, 0.14), cell("sharp", 0.2, 0.1)]
    shown = TABLES["rate.moved"]({"cells": [*cells, alone, {"codec": "h264"}]})
    assert "| bicubic | h264 | +3.0 ± 1.0 % | -3.0 ± 1.0 % | 2 |" in shown
    assert "| sharp | h264 | -10.0 % | +10.0 % | 1 |" in shown


def test_a_rival_is_beside_the_search_on_the_clips_that_both_have():
    def row(arm: str, shot: str, percent: float | None, metric: str = "psnr_y") -> dict:
        return {"codec": "h264", "arm": arm, "shot": shot, "metric": metric, "percent": percent,
                "part": "reporting"}  # fmt: skip

    rows = [row("cpu", shot, ours) for shot, ours in (("a", -10.0), ("b", -12.0), ("c", 90.0))]
    rows += [row("stdo", shot, theirs) for shot, theirs in (("a", 30.0), ("b", 26.0), ("c", None))]
    rows += [row("cpu", "a", -5.0, "psnr_rgb"), row("stdo", "a", 5.0, "psnr_rgb")]
    rows += [row("generic", "a", 1.0)]  # no method of a paper
    shown = TABLES["rate.rivals"]({"rows": rows})
    whole = (
        "| h264 | `stdo` | +28.0 ± 2.0 % | -11.0 ± 1.0 % | holds | +5.0 % | -5.0 % | one run | 2 |"
    )
    assert whole in shown and "generic" not in shown
    rows[4]["percent"] = -16.0  # of b: once ahead, once behind
    assert "| tie | +5.0 %" in TABLES["rate.rivals"]({"rows": rows})
