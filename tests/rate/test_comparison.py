"""A film compared part by part: the errors are those of the whole, and a kill costs one part."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.same_bytes import drifting_pictures, write_film
from chunking.probe import probe
from player.quality import QualityMeter, measurable
from player.session import open_package
from sr.encode.encode import encode
from sr.encode.options import EncodeOptions
from sr.progress import Progress
from sr.rate import comparison
from sr.rate.comparison import compare_film

FRAMES = 11
METRICS = measurable(["psnr_y", "xpsnr_y", "vmaf"])


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return write_film(path, drifting_pictures(FRAMES, 96, 128))


@pytest.fixture(scope="module")
def package(film, tmp_path_factory):
    home = pytest.MonkeyPatch()
    home.setenv("POCKETSR_HOME", str(tmp_path_factory.mktemp("home")))
    out = tmp_path_factory.mktemp("package") / "p"
    options = EncodeOptions.of(film, out, scale=2, lr_codec="h264", steps=4, threads=1)
    with Progress() as progress:
        encode(options, progress)
    yield open_package(out)
    home.undo()


def test_parts_give_the_errors_of_the_whole(package, film, monkeypatch):
    """What looks at its neighbours does so over the parts' borders too."""
    whole = compare_film(package, film, METRICS)
    monkeypatch.setattr(comparison, "PART_FRAMES", 4)
    seen: list[int] = []
    parts = compare_film(package, film, METRICS, on_frame=seen.append)
    assert seen == [*range(1, FRAMES + 1)]
    assert (parts.frames, parts.skipped_px) == (whole.frames, whole.skipped_px)
    assert parts.macs == pytest.approx(whole.macs)
    for ours, theirs in ((parts.shown, whole.shown), (parts.stream, whole.stream)):
        for metric in METRICS:
            assert ours.errors[metric] == pytest.approx(theirs.errors[metric], abs=1e-5), metric
            assert len(ours.errors[metric]) == FRAMES


def test_a_killed_comparison_goes_on_with_its_part(package, film, monkeypatch):
    whole = compare_film(package, film, METRICS)
    monkeypatch.setattr(comparison, "PART_FRAMES", 4)
    kept: dict[str, dict] = {}

    def step(name, make):
        if name not in kept:
            kept[name] = make()
        return kept[name]

    def kill_at(done: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare_film(package, film, METRICS, on_frame=kill_at, step=step)
    assert [*kept] == ["0"]
    seen: list[int] = []
    resumed = compare_film(package, film, METRICS, on_frame=seen.append, step=step)
    assert seen == [*range(5, FRAMES + 1)]
    for metric in METRICS:
        found = resumed.shown.errors[metric]
        assert found == pytest.approx(whole.shown.errors[metric], abs=1e-5), metric


def test_only_some_frames_are_compared_where_only_they_are_asked_for(package, film, monkeypatch):
    monkeypatch.setattr(comparison, "PART_FRAMES", 4)
    some = compare_film(package, film, ["psnr_y"], only={1, 3, 9})
    whole = compare_film(package, film, ["psnr_y"])
    picked = [whole.shown.errors["psnr_y"][i] for i in (1, 3, 9)]
    assert some.shown.errors["psnr_y"] == picked and some.frames == 3


def test_metrics_see_no_further_than_the_neighbours_that_parts_give_them(film):
    """XPSNR and VMAF of the middle of a film, with and without what is far from it."""
    rng = np.random.default_rng(3)
    originals = drifting_pictures(FRAMES, 96, 128)
    ours = [np.clip(p + rng.normal(0, 6, p.shape), 0, 255).astype(np.uint8) for p in originals]
    info = probe(film)

    def errors(first: int, end: int) -> dict[str, list[float]]:
        with QualityMeter(METRICS, info.colour, info.frame_rate) as meter:
            for pair in zip(ours[first:end], originals[first:end], strict=True):
                meter.add(*pair)
            return dict(meter.result().errors)

    whole = errors(0, FRAMES)
    near = errors(5 - comparison.BEFORE, 6 + comparison.BEHIND)
    for metric in METRICS:
        assert near[metric][comparison.BEFORE] == pytest.approx(whole[metric][5], abs=1e-5)
