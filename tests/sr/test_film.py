"""The film of a job: decoded once where it fits, the same pairs where it does not."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chunking import stream as stream_module
from chunking.probe import probe
from chunking.stream import write_lr_stream
from chunking.video import read_frames
from player.bicubic import upscale_bicubic
from sr.encode import film as film_module
from sr.encode.film import Film
from sr.encode.job_folder import open_job
from sr.encode.options import EncodeOptions
from sr.encode.search_options import SearchOptions
from sr.encode.streams import write_streams
from sr.encode.work import Work
from sr.progress import Progress
from sr.shrink import content_groups
from sr.usage_error import UsageError


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Who was decoded, in order: "hr" or "lr"."""
    seen: list[str] = []
    for name, kind in (("read_frames", "hr"), ("read_stream", "lr")):
        original = getattr(film_module, name)

        def counted(*arguments, original=original, kind=kind):
            seen.append(kind)
            return original(*arguments)

        monkeypatch.setattr(film_module, name, counted)
    return seen


def made(source: Path, out: Path, **asked) -> Film:
    """The film with its LR stream, as the first step leaves it."""
    asked = {"scale": 2, "lr_codec": "lossless", **asked}
    options = EncodeOptions.of(source, out, **asked)
    film = Film(options, probe(source))
    with Progress() as progress:
        work = Work(options, film, open_job(options, False, progress.warn), progress)
        film.stream, *_ = write_streams(work)
    return film


def test_a_short_film_is_decoded_once(film, tmp_path, decoded):
    ours = made(film, tmp_path / "p")
    training, pairs = ours.training, list(ours.pairs())
    assert decoded == ["hr", "lr"]
    assert len(pairs) == 12 == len(training)
    assert all(a is b for a, b in zip(training, pairs, strict=True))


def test_of_a_long_film_only_the_frames_to_learn_from_are_kept(
    film, tmp_path, decoded, monkeypatch
):
    whole = list(made(film, tmp_path / "whole").pairs())
    monkeypatch.setattr(film_module, "MAX_KEPT_BYTES", 5 * 3 * 160 * 192)
    decoded.clear()
    ours = made(film, tmp_path / "p")
    training = ours.training
    assert decoded == ["hr", "lr"]
    assert ours.learned == [0, 3, 6, 8, 11]
    again = list(ours.pairs())
    assert decoded == ["hr", "lr", "hr", "lr"]
    for i, pair in zip(ours.learned, training, strict=True):
        assert np.array_equal(pair.hr, whole[i].hr)
        assert np.array_equal(pair.lr, whole[i].lr)
    assert all(np.array_equal(a.lr, b.lr) for a, b in zip(again, whole, strict=True))
    assert all(np.array_equal(a.hr, b.hr) for a, b in zip(again, whole, strict=True))


def test_a_continued_job_has_the_same_pairs(film, tmp_path, decoded):
    first = list(made(film, tmp_path / "p").pairs())
    decoded.clear()
    again = made(film, tmp_path / "p")
    training = again.training
    assert decoded == ["hr", "lr"]
    assert [np.array_equal(a.hr, b.hr) for a, b in zip(first, training, strict=True)] == [True] * 12


def test_a_mask_is_decoded_once_however_often_it_is_asked_for(film, tmp_path, monkeypatch):
    masks = tmp_path / "masks"
    masks.mkdir()
    for i in range(12):
        picture = np.zeros((160, 192), np.uint8)
        picture[:40, : 20 + i] = 255
        Image.fromarray(picture).save(masks / f"{i:03d}.png")
    reads: list[str] = []
    read_mask = content_groups._read_mask
    monkeypatch.setattr(
        content_groups,
        "_read_mask",
        lambda path, size: reads.append(path.name) or read_mask(path, size),
    )
    ours = made(film, tmp_path / "p", groups=masks, protect="group 1")
    cells = [
        ours.content((side, side), frames).labels for side, frames in ((6, [0, 5]), (12, range(12)))
    ]
    assert sorted(reads) == [f"{i:03d}.png" for i in range(12)]
    assert cells[0].shape == (2, 14, 16) and cells[1].shape == (12, 7, 8)
    assert cells[1][5, 0, 0] == 1 and cells[1][5, 6, 7] == 0


def test_at_scale_one_the_stream_gets_the_planes_of_the_film(film, tmp_path, monkeypatch):
    files = write_lr_stream(read_frames(film), tmp_path / "yuv", probe(film), "h264").files
    film.write_bytes(b"".join(path.read_bytes() for path in files))

    def fail(*arguments):
        raise AssertionError("by way of RGB")

    monkeypatch.setattr(stream_module, "rgb_to_frame", fail)
    stream = made(film, tmp_path / "p", scale=1, lr_codec="av1", method="plain").stream
    assert stream is not None and (stream.frames, stream.width) == (12, 192)


@pytest.mark.parametrize(("damaged", "again"), [(False, [3, 4]), (True, [2, 3, 4])])
def test_an_interrupted_stream_goes_on_behind_its_last_whole_segment(
    film, tmp_path, monkeypatch, damaged, again
):
    asked = {"segment_s": 0.1, "lr_codec": "av1"}
    whole = made(film, tmp_path / "whole", **asked).stream
    write_segment, stop, numbers = stream_module._write_segment, 3, []

    def counted(frames, number, *rest):
        if number == stop:
            raise KeyboardInterrupt
        write_segment(frames, number, *rest)
        numbers.append(number)

    monkeypatch.setattr(stream_module, "_write_segment", counted)
    with pytest.raises(KeyboardInterrupt):
        made(film, tmp_path / "cut", **asked)
    second = tmp_path / "cut" / "video" / "seg-00002.m4s"
    if damaged:
        second.write_bytes(second.read_bytes()[:-1])
    stop, numbers = 0, []
    stream = made(film, tmp_path / "cut", **asked).stream
    assert numbers == again
    assert [p.read_bytes() for p in stream.files] == [p.read_bytes() for p in whole.files]
    assert [s.frames for s in stream.segments] == [3, 3, 3, 3]


@pytest.mark.parametrize("kind", [EncodeOptions, SearchOptions])
def test_options_that_the_encoder_does_not_take_are_refused_before_any_work(kind, tmp_path):
    with pytest.raises(UsageError, match=r"--codec-opts: libsvtav1: .*nonsense"):
        kind.of(tmp_path / "film.mp4", tmp_path / "p", codec_opts="preset=8:nonsense=1")
    assert not (tmp_path / "p").exists()


def test_a_sharp_stream_is_the_film_made_smaller_so(film, tmp_path):
    """Lossless, so that what comes back is what the encoder was given, but for its chroma."""
    soft, sharp = (made(film, tmp_path / lr, lr=lr) for lr in ("bicubic", "sharp"))
    low, high = (next(ours.pairs()) for ours in (soft, sharp))
    assert (low.hr == high.hr).all()
    errors = [
        np.square(upscale_bicubic(pair.lr, 2).astype(float) - pair.hr).mean()
        for pair in (low, high)
    ]
    assert errors[1] < errors[0]
