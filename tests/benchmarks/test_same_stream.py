"""The papers' methods on one stream: pairs of equal streams alone, a clip a run."""

import pytest

from benchmarks.rate_tables import networks
from benchmarks.rating.same_stream import same_stream_claims


def cell(arm: str, clip: str, crf: float, db: float, video: int = 9000, weights: int = 100) -> dict:
    return {
        "arm": arm, "clip": clip, "shot": f"{clip}-0", "crf": crf, "codec": "h264", "tune": "psnr",
        "quality": {"psnr_y": db, "psnr_rgb": db - 2}, "macs_per_frame": weights,
        "bytes": {"video": video, "weights": weights},
    }  # fmt: skip


def claims(cells: list[dict]) -> dict[str, dict]:
    return {c["claim"]: c for c in same_stream_claims(cells)}


def test_a_clip_is_a_run_and_its_rates_are_a_mean():
    cells = [cell("nas", clip, crf, 30) for clip in "ab" for crf in (22, 27)]
    cells += [cell("stdo", "a", 22, 30.2), cell("stdo", "a", 27, 30.4), cell("stdo", "b", 22, 30.5)]
    found = claims(cells)["stdo is above nas"]
    assert found["measured"]["difference_db"]["mean"] == pytest.approx(0.4)  # of 0.3 and 0.5
    assert found["measured"]["difference_db"]["runs"] == 2 and found["verdict"] == "holds"
    assert found["measured"]["difference_rgb_db"]["mean"] == pytest.approx(0.4)


def test_other_streams_are_no_pairs():
    cells = [cell("stdo", "a", 22, 31), cell("nas", "a", 22, 30, video=9001)]
    cells += [cell("nas", "a", 27, 30), {**cell("nas", "a", 22, 30), "codec": "av1"}]
    assert claims(cells) == {}


def test_one_network_is_beside_four_by_its_bytes_too():
    cells = [cell("stdo", clip, 22, 31, weights=400) for clip in "ab"]
    cells += [cell("dydca", "a", 22, 30.95, weights=80), cell("dydca", "b", 22, 30.93, weights=60)]
    found = claims(cells)
    assert found["dydca is at most 0.1 dB below stdo"]["verdict"] == "holds"
    share = found["dydca: bytes of weights at most 0.25 of stdo"]
    assert share["verdict"] == "holds" and share["measured"]["ratio"]["mean"] == pytest.approx(
        0.175
    )
    shown = networks({"claims": same_stream_claims(cells)})
    assert "| 0.17 ± 0.03 of the bytes | 0.17 ± 0.03 of the multiplications | 2 |" in shown
    assert "| -0.06 ± 0.01 dB of luma | -0.06 ± 0.01 dB of RGB | 2 |" in shown
