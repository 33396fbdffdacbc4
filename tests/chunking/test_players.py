"""The LR stream in the players of the web, to its end: dash.js, hls.js, Shaka in Chromium.

apt-get install chromium; npm install dashjs hls.js shaka-player playwright-core
NODE_PATH=.../node_modules pytest -m slow tests/chunking/test_players.py
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from chunking.audio import copy_audio
from chunking.probe import probe
from chunking.stream import read_stream, write_lr_stream
from chunking.video import Frame
from player.package.manifest import write_manifests

PACKAGES = ("dashjs", "hls.js", "shaka-player", "playwright-core")
SECONDS, RATE = 10, 30


@pytest.fixture
def browser() -> Path:
    """Chromium, where node and the players are there too."""
    modules = Path(os.environ.get("NODE_PATH", ""))
    missing = [name for name in ("node", "chromium") if not shutil.which(name)]
    if "NODE_PATH" not in os.environ:
        missing.append("NODE_PATH, the folder of npm's " + ", ".join(PACKAGES))
    else:
        missing += [name for name in PACKAGES if not (modules / name).exists()]
    if missing:
        pytest.skip(f"not here: {', '.join(missing)}")
    return Path(shutil.which("chromium") or "")


def tone(path: Path) -> Path:
    """As long as the film, in AAC."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        waves = np.sin(np.arange(SECONDS * 48000) * 440 * 2 * np.pi / 48000).astype(np.float32)
        for start in range(0, len(waves), 4800):
            frame = av.AudioFrame.from_ndarray(waves[None, start : start + 4800], "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["h264", "h265", "av1"])
def test_web_players_play_the_stream_to_its_end(browser, make_clip, moving_frames, tmp_path, codec):
    info = probe(make_clip(moving_frames(2), time_base=Fraction(1, RATE)))
    pictures = moving_frames(SECONDS * RATE, 180, 320)
    frames = [Frame(rgb, i, i) for i, rgb in enumerate(pictures)]
    folder = tmp_path / "film"
    video = write_lr_stream(frames, folder, info, codec)
    write_manifests(folder, video, [copy_audio(tone(tmp_path / "tone.mp4"), folder)])
    assert len(video.segments) == 3
    shown = [f.pts for f in read_stream(video.init, [s.path for s in video.segments])]
    assert [Fraction(pts, video.timescale) for pts in shown] == [
        Fraction(i, RATE) for i in range(len(frames))
    ]

    script = Path(__file__).with_name("players.mjs")
    command = ["node", script, folder, browser, video.codec_string]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == 4
    if {result["how"] for result in results} == {"unsupported"}:
        pytest.skip(
            f"this Chromium decodes no {video.codec_string}; read by FFmpeg, times are right"
        )
    for result in results:
        assert (result["how"], result["errors"]) == ("ended", []), result
        assert result["width"] == 320 and result["frames"] > SECONDS * RATE / 2, result
        # One range without a hole, from the first frame to the last.
        ((first_s, last_s),) = result["buffered"]
        assert first_s == pytest.approx(0, abs=0.001), result
        assert last_s == pytest.approx(SECONDS, abs=0.05), result
