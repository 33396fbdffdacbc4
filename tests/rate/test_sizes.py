"""A package's rate is one number, whoever tells it, and a plain encode beside it pays the same."""

import av
import numpy as np
import pytest

from benchmarks.same_bytes import drifting_pictures, write_film
from player.measure import MeasureOptions, measure
from player.package.layout import MPD_NAME
from player.session import open_package
from sr.encode.beside import beside_plain
from sr.encode.encode import encode
from sr.encode.options import EncodeOptions
from sr.progress import Progress


@pytest.fixture
def film(tmp_path):
    """Eight pictures, and a sound that is larger than they are."""
    silent, path = tmp_path / "silent.mp4", tmp_path / "film.mp4"
    write_film(silent, drifting_pictures(8, 96, 128))
    with av.open(str(silent)) as source, av.open(str(path), "w") as out:
        video = out.add_stream_from_template(source.streams.video[0])
        sound = out.add_stream("aac", rate=48000, layout="mono")
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
        noise = np.random.default_rng(0).uniform(-1, 1, (1, 48000)).astype("f4")
        frame = av.AudioFrame.from_ndarray(noise, "fltp", "mono")
        frame.sample_rate, frame.pts = 48000, 0
        out.mux([*sound.encode(frame), *sound.encode(None)])
    return path


def made(film, out, padding: int = 0):
    """A small plain stream with what stands beside it; its MPD is that much longer."""
    asked = EncodeOptions.of(film, out, scale=2, lr_codec="h264", method="plain", threads=1)
    with Progress() as progress:
        report = encode(asked, progress)
        with (out / MPD_NAME).open("a") as manifest:
            manifest.write("\n" * padding)
        return beside_plain(asked, report, progress)


def test_encode_and_measure_say_the_same_rate(film, tmp_path):
    report = made(film, tmp_path / "p")
    package = open_package(tmp_path / "p")
    options = MeasureOptions(metrics=("psnr_y", "psnr_rgb"), ssim_frames=1)
    result = measure(package, film, None, options)
    assert result["kbps"]["total"] == report["made"]["kbps"] == report["plain"]["kbps"]
    sizes, seconds = result["bytes"], 8 / 30
    assert sizes["audio"] > sizes["video"] and sizes["manifests"] > 0
    rated = sizes["total"] - sizes["audio"]
    assert rated == report["made"]["bytes"]
    assert result["kbps"]["total"] == pytest.approx(8 * rated / 1000 / seconds, abs=0.01)


def test_a_plain_encode_pays_for_manifests_as_the_package_does(film, tmp_path):
    short, long = made(film, tmp_path / "p"), made(film, tmp_path / "q", padding=20_000)
    assert long["made"]["bytes"] == short["made"]["bytes"] + 20_000
    for metric in ("psnr_y", "psnr_rgb"):
        assert long["plain"][metric] == short["plain"][metric]
