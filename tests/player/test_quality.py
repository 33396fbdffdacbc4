"""`QualityMeter`: its formulas by hand, XPSNR and VMAF against FFmpeg's own filters on files."""

import json
import subprocess
from fractions import Fraction

import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from chunking.colour import Colour, rgb_to_frame
from player import metrics, vmaf
from player.quality import METRICS, Quality, QualityMeter, measurable
from player.vmaf import MissingToolError, VmafError, VmafProcess, find_vmaf, need_vmaf

HD = Colour("bt709", False, "bt709", "bt709")
RATE = Fraction(30)
needs_vmaf = pytest.mark.skipif(find_vmaf() is None, reason=vmaf.REMEDY)


def film(height, width, frames=6, seed=0):
    """Pairs (ours, original) of textures that drift; ours are noisier from frame to frame."""
    draw = np.random.default_rng(seed)
    texture = np.kron(draw.integers(30, 220, (height, width, 3)), np.ones((4, 4, 1)))
    for i in range(frames):
        original = texture[i : i + height, i : i + width]
        noisy = original + draw.integers(-4 - i, 5 + i, original.shape)
        yield np.clip(noisy, 0, 255).astype("u1"), original.astype("u1")


def measured(pairs, wanted):
    with QualityMeter(wanted, HD, RATE) as meter:
        for ours, original in pairs:
            meter.add(ours, original)
        return meter.result()


def test_psnr_is_of_the_mean_error_and_the_worst_frames_are_those_of_most_error():
    grey = [np.full((8, 8, 3), v, np.uint8) for v in (100, 101, 104, 102)]
    quality = measured([(g, grey[0]) for g in grey], ["psnr_rgb"])
    assert quality.errors == {"psnr_rgb": [0, 1, 16, 4]}
    assert quality.mean("psnr_rgb") == metrics.psnr_db(21 / 4)
    assert quality.worst("psnr_rgb", 0.5) == metrics.psnr_db(10)
    assert quality.worst("psnr_rgb", 0.01) == metrics.psnr_db(16)  # one frame at least
    assert quality.of_frames("psnr_rgb")[0] == 100 and quality.mean("vmaf") is None


def test_every_score_is_best_without_error_and_falls_with_it():
    for name, score in METRICS.items():
        assert score(0) == 100 > score(0.5) > score(1), name
    vmafs = Quality({"vmaf": [10.0, 30.0, 20.0]})
    assert (vmafs.mean("vmaf"), vmafs.worst("vmaf", 2 / 3)) == (80, 75)


def test_a_film_without_frames_has_no_score():
    assert [measured([], METRICS).mean(name) for name in METRICS] == [None] * len(METRICS)


@needs_vmaf
@pytest.mark.parametrize(("size", "pix_fmt"), [((96, 160), "yuv420p"), ((71, 95), "yuv444p")])
def test_xpsnr_and_vmaf_are_those_of_ffmpegs_filters(tmp_path, size, pix_fmt):
    pairs = list(film(*size))
    quality = measured(pairs, METRICS)
    reformatter = VideoReformatter()
    for name, pictures in zip("ab", zip(*pairs, strict=True), strict=True):
        frames = (rgb_to_frame(p, pix_fmt, HD, reformatter).to_ndarray() for p in pictures)
        (tmp_path / name).write_bytes(b"".join(f.tobytes() for f in frames))
    log = ffmpeg_scores(tmp_path, size, pix_fmt, "libvmaf=log_fmt=json:log_path=log")
    theirs = json.loads((tmp_path / "log").read_text())["frames"]
    assert quality.of_frames("vmaf") == pytest.approx([f["metrics"]["vmaf"] for f in theirs])
    assert 0 < quality.mean("vmaf_neg") < quality.mean("vmaf") < 100
    # Its last line: "XPSNR  y: 33.9138  u: ...".
    log = ffmpeg_scores(tmp_path, size, pix_fmt, "xpsnr")
    last = next(line for line in log.splitlines() if "XPSNR  y:" in line)
    assert quality.mean("xpsnr_y") == pytest.approx(float(last.split("y:")[1].split()[0]), abs=1e-3)


def ffmpeg_scores(folder, size, pix_fmt, graph):
    """What FFmpeg says of the raw films a (ours) and b in `folder`."""
    raw = f"-f rawvideo -pix_fmt {pix_fmt} -video_size {size[1]}x{size[0]} -framerate {RATE} -i"
    command = [find_vmaf(), *raw.split(), "a", *raw.split(), "b"]
    command += ["-lavfi", graph, "-f", "null", "-"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stderr


@pytest.mark.parametrize("size", [(16, 40), (2, 2)])
def test_pictures_that_are_too_small_for_a_tool_have_no_score(size):
    quality = measured(film(*size), measurable())
    assert quality.mean("psnr_y") > 20
    assert {quality.mean(name) for name in ("xpsnr_y", "vmaf", "vmaf_neg")} == {None}


def test_what_is_not_asked_for_is_not_started(monkeypatch):
    monkeypatch.setattr("player.quality.need_vmaf", lambda: pytest.fail("not asked for"))
    assert measured(film(32, 32), ["psnr_y"]).errors.keys() == {"psnr_y"}
    with pytest.raises(ValueError, match="no such metric: ssim"):
        QualityMeter(["ssim"], HD, RATE)


def test_vmaf_without_its_tool_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr("player.vmaf.find_vmaf", lambda: None)
    monkeypatch.setattr("player.quality.find_vmaf", lambda: None)
    with pytest.raises(MissingToolError, match=r"pip install 'pocketsr\[vmaf\]'") as caught:
        need_vmaf()
    assert caught.value.exit_code == 2
    assert measurable(["vmaf", "psnr_y"]) == ["psnr_y"]


def test_an_ffmpeg_that_fails_is_named_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    fails = tmp_path / "ffmpeg"
    fails.write_text("#!/bin/sh\necho no filter libvmaf >&2\nexit 1\n")
    fails.chmod(0o755)
    assert not vmaf._measures(fails) and not vmaf._measures(tmp_path / "none")
    monkeypatch.setattr("player.quality.need_vmaf", lambda: fails)
    with pytest.raises(VmafError, match="cannot measure VMAF: no filter libvmaf"):
        measured(film(96, 160), ["vmaf"])
    assert list(tmp_path.iterdir()) == [fails]


@needs_vmaf
def test_what_is_left_in_the_middle_ends_its_process():
    frame = rgb_to_frame(next(film(96, 160))[0], "yuv420p", HD, VideoReformatter())
    with VmafProcess(need_vmaf(), ["vmaf"]) as process:
        process.add(frame, frame)
        running = process._process
    assert running.returncode is not None
