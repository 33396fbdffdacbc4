"""Packages without a network, and scales without a generic one: the anchor is shown."""

import json
from fractions import Fraction

import numpy as np
import pytest

from chunking.video import Frame
from player import metrics
from player.bicubic import upscale_bicubic
from player.costs import anchor_macs_per_pixel
from player.engines import engine_of
from player.measure import measure
from player.package.architecture import Architecture
from player.package.entries import Size
from player.package.generic import anchor_blob, generic_blob
from player.package.paths import BICUBIC, HARD
from player.package.scale import SCALES, hr_px
from player.package.verify import verify_package
from player.package.weights import unpack_weights
from player.playback import PlayOptions, play_package
from player.session import open_package
from player.upscale import upscale
from sr.quant import reference
from tests.player.conftest import LR, tiny_blob, write_film
from tests.player.indexes import put_source, source_of
from tests.player.test_measure import CONTRACT, check_shape, use_reference

HALF_MORE = Fraction(3, 2)


def hr_size(scale) -> Size:
    """Two columns and a row less than the whole, as padding leaves it."""
    return Size(hr_px(LR[0], scale) - 1, hr_px(LR[1], scale) - 1)


@pytest.fixture(scope="session", params=[1, HALF_MORE, 2, 4], ids=lambda s: f"x{float(s)}")
def plain(request, tmp_path_factory, lr_frames, source_clip, _home):
    """A package of each scale without any network."""
    folder = tmp_path_factory.mktemp("plain") / "film"
    size = hr_size(request.param)
    return write_film(
        folder, lr_frames, source_clip, scale=request.param, hr=size, weights=[], routes=[],
        method="plain",
    )  # fmt: skip


@pytest.fixture(params=["engine", "no engine"])
def maybe_engine(request, engine):
    return engine if request.param == "engine" else None


def shown(package, with_engine, lr):
    """The anchor as the engine's stand-in has it, or as it is."""
    height, width = package.index.hr.height, package.index.hr.width
    if not with_engine:
        return upscale_bicubic(lr, package.scale)[:height, :width]
    rows, columns = ((np.arange(side) / package.scale).astype(int) for side in (height, width))
    return lr[rows[:, None], columns]


def test_a_plain_package_verifies_and_plays(plain, maybe_engine, lr_frames):
    assert verify_package(plain).ok
    package, events = open_package(plain), []
    frames = list(upscale(package, maybe_engine, 1, events.append))
    assert len(frames) == 20
    # Where the LR video is shown as it is, no engine is missed.
    assert [e.kind for e in events] == ([] if maybe_engine or package.scale == 1 else ["engine"])
    for frame, lr in zip(frames, lr_frames, strict=True):
        np.testing.assert_array_equal(frame.rgb, shown(package, maybe_engine, lr))
        assert set(frame.patches[:, 5].tolist()) == {BICUBIC}


def test_every_field_of_measure_is_there(plain, maybe_engine, lr_frames, monkeypatch):
    package = open_package(plain)
    films = [shown(package, maybe_engine, lr) + np.uint8(2) for lr in lr_frames]
    reference_file = use_reference(monkeypatch, [Frame(f, 0, i) for i, f in enumerate(films)])
    result = json.loads(json.dumps(measure(package, reference_file, maybe_engine)))
    nullable = {"generic", "engine", "scale"}
    check_shape(result, {k: v for k, v in CONTRACT.items() if k not in nullable})
    assert result["scale"] == float(package.scale)
    assert isinstance(result["scale"], int) == (package.scale.denominator == 1)
    assert result["paths"] == {"bicubic": 1.0, "easy": 0.0, "hard": 0.0}
    assert (result["bytes"]["weights"], result["bytes"]["routes"]) == (0, 0)
    assert result["macs_per_frame"] == LR[0] * LR[1] * anchor_macs_per_pixel(package.scale)
    assert result["psnr"]["rgb"] == pytest.approx(metrics.psnr_db(4))
    assert result["bicubic"]["psnr_rgb"] == pytest.approx(result["psnr"]["rgb"])
    if package.scale in (1, HALF_MORE):
        assert result["generic"] == result["bicubic"]
    elif maybe_engine is None:
        assert result["generic"] is None
    assert result["engine"]["target"] == (maybe_engine and "fake")


def test_a_plain_package_is_written_as_a_film(plain, tmp_path):
    package = open_package(plain)
    made = play_package(package, None, PlayOptions(out=tmp_path / "film.mkv", limit=3))
    assert made["frames"] == 3 and (tmp_path / "film.mkv").stat().st_size > 0


def test_no_engine_is_looked_for_where_the_lr_video_is_shown(
    tmp_path, lr_frames, source_clip, monkeypatch
):
    monkeypatch.delenv("POCKETSR_ENGINE", raising=False)
    folder = write_film(
        tmp_path / "film", lr_frames, source_clip, scale=1, hr=hr_size(1), weights=[], routes=[]
    )
    events = []
    assert engine_of(open_package(folder), on_event=events.append) is None
    assert events == []


@pytest.mark.parametrize("damage", ["weights", "signature"])
def test_at_scale_1_the_anchor_takes_the_place_of_what_is_lost(
    tmp_path, lr_frames, source_clip, engine, damage
):
    arch = Architecture("chain", 1, (4, 4), (1, 2), 2)
    folder = write_film(
        tmp_path / "film", lr_frames, source_clip,
        scale=1, hr=hr_size(1), weights=[tiny_blob(1, True, arch)] * 2,
    )  # fmt: skip
    if damage == "weights":
        for path in (folder / "sr").glob("weights-*"):
            path.write_bytes(b"")
    else:
        put_source(folder, source_of(folder) | {"method": "evil"})
    events = []
    frames = list(upscale(open_package(folder), engine, 1, events.append))
    # One word for what was lost, none for a generic network, which nobody expects here.
    assert [e.kind for e in events] == {"weights": ["weights"] * 2}.get(damage, ["signature"])
    assert damage != "weights" or events[0].action == "the anchor is used"
    for frame, lr in zip(frames, lr_frames, strict=True):
        np.testing.assert_array_equal(frame.rgb, lr[:-1, :-1])


@pytest.mark.parametrize("scale", SCALES)
def test_the_network_of_zeros_shows_the_anchor(scale):
    blob = unpack_weights(anchor_blob(scale, "int8"))
    assert (blob.arch.scale, blob.is_int8) == (scale, True)
    assert not unpack_weights(anchor_blob(scale, "fp32")).is_int8
    halo, units = blob.arch.halo_px(HARD), blob.arch.units
    side = 6 * units + 2 * halo
    patch = np.random.default_rng(1).integers(0, 256, (side, side, 3)).astype(np.uint8)
    hard = reference.upscale(blob.arch, blob.tensors, patch, HARD)
    inner = reference.crop(patch, halo - blob.arch.halo_px(BICUBIC))
    assert np.array_equal(hard, reference.upscale(blob.arch, blob.tensors, inner, BICUBIC))
    if scale in (1, HALF_MORE):
        assert generic_blob(scale, "int8") == anchor_blob(scale, "int8")
