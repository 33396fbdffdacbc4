"""Film grain: what a decoder adds is left to the player, which adds the same behind the network."""

from dataclasses import replace

import av
import numpy as np
import pytest

from benchmarks.same_bytes import drifting_pictures, write_film
from chunking.colour import Colour
from chunking.encoders import GRAIN_OPTS
from chunking.grain import EXPORTED, Grain, grain_of
from player.grain import _orbit, add_grain, grained_planes, planes_of
from player.measure import MeasureOptions, measure
from player.playback import PlayOptions, play_package
from player.session import open_package
from player.upscale import read_lr
from sr.encode.encode import encode
from sr.encode.options import EncodeOptions
from sr.progress import Progress
from tests.sr.test_cli import refused

FRAMES, HEIGHT, WIDTH = 6, 96, 160


@pytest.fixture(scope="module")
def grainy(tmp_path_factory):
    """A film with noise all over it."""
    draw = np.random.default_rng(3)
    pictures = [
        np.clip(p.astype(int) // 2 + 64 + draw.normal(0, 9, p.shape), 0, 255).astype(np.uint8)
        for p in drifting_pictures(FRAMES, HEIGHT, WIDTH)
    ]
    return write_film(tmp_path_factory.mktemp("grainy") / "film.mp4", pictures)


@pytest.fixture(scope="module", params=[1, 2])
def package(request, grainy, tmp_path_factory):
    """Its plain encode, at a scale, with grain taken off."""
    patched = pytest.MonkeyPatch()
    patched.setenv("POCKETSR_HOME", str(tmp_path_factory.mktemp("home")))
    out = tmp_path_factory.mktemp("package") / "p"
    options = EncodeOptions.of(
        grainy, out, scale=request.param, method="plain", lr_codec="av1", lr_crf=30, threads=1,
        codec_opts=GRAIN_OPTS.format(20) + ":preset=10",
    )  # fmt: skip
    with Progress() as progress:
        encode(options, progress)
    yield open_package(out)
    patched.undo()


def decoded(package, options) -> list[av.VideoFrame]:
    folder = package.directory / "video"
    film = folder.parent / "joined.mp4"
    parts = [folder / "init.mp4", *sorted(folder.glob("seg-*"))]
    film.write_bytes(b"".join(part.read_bytes() for part in parts))
    with av.open(str(film)) as container:
        container.streams.video[0].codec_context.options = options
        frames = list(container.decode(video=0))
    film.unlink()
    return frames


def test_grain_is_the_decoders_to_the_last_bit(package):
    """dav1d's, which is what phones and browsers show of the same stream."""
    for shown, clean in zip(decoded(package, {}), decoded(package, EXPORTED), strict=True):
        grain = grain_of(clean)
        assert grain is not None and grain.points[0] and grain_of(shown) is None
        made = grained_planes(planes_of(clean), grain)
        for ours, theirs in zip(made, planes_of(shown), strict=True):
            assert np.array_equal(ours, theirs)
        assert not np.array_equal(planes_of(shown)[0], planes_of(clean)[0])


def test_the_register_takes_every_state_but_zero():
    states, _ = _orbit()
    assert len({*states.tolist()}) == len(states) == 65535


def test_networks_see_none_and_viewers_do(package, tmp_path):
    frames = list(read_lr(package))
    assert len(frames) == FRAMES and all(isinstance(frame.grain, Grain) for frame in frames)
    pictures = {}
    for grain in (True, False):
        out = tmp_path / f"{grain}.mkv"
        found = play_package(package, None, PlayOptions(out, None, grain=grain))
        assert found["frames"] == FRAMES
        with av.open(str(out)) as container:
            pictures[grain] = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    for shown, clean in zip(pictures[True], pictures[False], strict=True):
        added = shown.astype(int) - clean
        assert 1.0 < added.std() < 20 and abs(added.mean()) < 1.5
    if package.scale == 1:  # the very pixels that were decoded
        assert np.array_equal(pictures[False][0], frames[0].rgb)


def test_measures_leave_it_out_and_say_so(package, grainy):
    found = measure(package, grainy, None, MeasureOptions(metrics=("psnr_y", "psnr_rgb")))
    assert found["grain_frames"] == found["frames"] == FRAMES
    if package.scale == 1:  # noise that is like the film's and not the same would cost much more
        assert found["psnr"]["y"] > 26


def test_frames_of_odd_sides_keep_their_size_and_their_chroma(package):
    frame = next(iter(read_lr(package)))
    colour = Colour(**package.index.colour)
    rgb = np.random.default_rng(1).integers(0, 256, (33, 45, 3)).astype(np.uint8)
    shown = add_grain(rgb, frame.grain, colour)
    assert shown.shape == rgb.shape and 0 < np.abs(shown.astype(int) - rgb).mean() < 20
    silent = replace(frame.grain, points=((), (), ()), mixes=((64, 0, 0), (64, 0, 0)))
    assert np.array_equal(add_grain(rgb, silent, colour), rgb)


def test_what_cannot_carry_grain_is_refused(grainy, tmp_path):
    asked = ("encode", grainy, "-o", tmp_path / "p", "--grain", 10)
    assert "h264 carries none" in refused(2, *asked, "--lr-codec", "h264")
    contradiction = refused(2, *asked, "--codec-opts", "film-grain=3")
    assert "--grain and --codec-opts film-grain contradict each other" in contradiction
