"""HDR10's static metadata, from the film into every stream and file that is made of it."""

from __future__ import annotations

from fractions import Fraction

import av
import pytest

from chunking.hdr import NO_HDR, Hdr
from chunking.stream import write_lr_stream
from chunking.video import probe, read_frames
from chunking.writer import VideoWriter

PQ = (9, 1, 9, 16)
DISPLAY = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
GRADED = Hdr(
    points=tuple(
        (Fraction(x, 50000), Fraction(y, 50000))
        for x, y in ((34000, 16000), (13250, 34500), (7500, 3000), (15635, 16450))
    ),
    luminance=(Fraction(1000), Fraction(1, 10000)),
    light=(1000, 400),
)


@pytest.fixture
def hdr10(make_clip, moving_frames):
    """A film in 10 bit, made by x265, whose bits no code of ours has written."""
    options = {"x265-params": f"log-level=none:{DISPLAY}:max-cll=1000,400"}
    return make_clip(
        moving_frames(4), codec="libx265", pix_fmt="yuv420p10le", tags=PQ, **options
    )  # fmt: skip


def almost(hdr: Hdr) -> list[float]:
    """As numbers: AV1 counts in other fractions than H.265."""
    values = [v for point in hdr.points for v in point] + list(hdr.luminance)
    return pytest.approx([*map(float, values), *hdr.light], abs=3e-5)


def flat(hdr: Hdr) -> list[float]:
    return [float(v) for p in hdr.points for v in p] + [*map(float, hdr.luminance), *hdr.light]


@pytest.mark.parametrize("codec", ["h264", "h265", "av1", "lossless"])
def test_a_stream_tells_what_its_film_tells(hdr10, tmp_path, codec):
    info = probe(hdr10)
    assert info.hdr == GRADED and any("static metadata" in text for text in info.warnings)
    files = write_lr_stream(read_frames(hdr10), tmp_path / codec, info, codec)
    joined = tmp_path / "joined.mp4"
    joined.write_bytes(b"".join(path.read_bytes() for path in files.files))
    assert flat(probe(joined).hdr) == almost(GRADED)
    # In the container too, where players look before they decode.
    init = files.init.read_bytes()
    assert init.count(b"mdcv") == init.count(b"clli") == 1
    assert len(list(read_frames(joined))) == 4


@pytest.mark.parametrize("codec", ["h265", "av1"])
def test_it_lies_in_the_coded_pictures_too(hdr10, tmp_path, codec):
    files = write_lr_stream(read_frames(hdr10), tmp_path / codec, probe(hdr10), codec)
    plain = files.init.read_bytes().replace(b"mdcv", b"free").replace(b"clli", b"free")
    joined = tmp_path / "joined.mp4"
    joined.write_bytes(plain + files.segments[0].path.read_bytes())
    assert flat(probe(joined).hdr) == almost(GRADED)


@pytest.mark.parametrize("crf", [16, None])
@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_a_file_that_is_played_into_tells_it(hdr10, moving_frames, tmp_path, ending, crf):
    info, out = probe(hdr10), tmp_path / f"out.{ending}"
    pictures = moving_frames(12)
    with VideoWriter(
        out, (48, 64), info.time_base, info.colour, info.frame_rate, crf=crf, hdr=info.hdr
    ) as writer:
        for i, picture in enumerate(pictures):
            writer.write(picture, round(i / (info.frame_rate * info.time_base)))
    made = probe(out)
    assert flat(made.hdr) == almost(GRADED)
    assert made.colour.transfer == "smpte2084" and made.frame_rate == info.frame_rate
    said: list[str] = []
    frames = list(read_frames(out, on_warning=said.append))
    assert len(frames) == 12 and not said
    if crf is None:
        assert all((f.rgb == p).all() for f, p in zip(frames, pictures, strict=True))


@pytest.mark.parametrize(
    "display, light",
    [
        (DISPLAY.replace("L(10000000,1)", "L(1,1)"), (1000, 400)),
        (DISPLAY.replace("R(34000", "R(60000"), (1000, 400)),
    ],
)
def test_a_display_that_cannot_be_is_left_out(make_clip, moving_frames, display, light):
    clip = make_clip(
        moving_frames(4), codec="libx265", pix_fmt="yuv420p10le", tags=PQ,
        **{"x265-params": f"log-level=none:{display}:max-cll={light[0]},{light[1]}"},
    )  # fmt: skip
    assert probe(clip).hdr == Hdr(light=light)


def test_films_without_it_get_none(make_clip, moving_frames, tmp_path):
    clip = make_clip(moving_frames(2))
    assert probe(clip).hdr == NO_HDR
    files = write_lr_stream(read_frames(clip), tmp_path, probe(clip), "h265")
    assert b"mdcv" not in files.init.read_bytes()
    with av.open(str(clip)) as container:
        assert container.streams.video[0].frames == 2


# A message registered by ITU-T T.35 (H.264, D.1.6): two bytes of captions (ATSC A/53-4, 6.2.3).
CAPTIONS = bytes.fromhex("b5003147413934 03 c1ff fc9420 ff")


PADDING = bytes.fromhex("b5003147413934 03 c1ff fc8080 ff")


@pytest.mark.parametrize(
    ("payload", "named"), [(CAPTIONS, "closed captions"), (PADDING, None), (b"", None)]
)
def test_what_hangs_on_pictures_and_is_dropped_is_named(
    make_clip, moving_frames, tmp_path, payload, named
):
    stream = make_clip(moving_frames(2), name="film.h264").read_bytes()
    picture = stream.index(b"\0\0\1\x65")  # the first slice
    message = b"\0\0\1\x06\x04" + bytes([len(payload)]) + payload + b"\x80" if payload else b""
    path = tmp_path / "marked.h264"
    path.write_bytes(stream[:picture] + message + stream[picture:])
    said = [line for line in probe(path).warnings if "beside its pictures" in line]
    assert said == ([f"{named} beside its pictures are dropped"] if named else [])


def test_captions_that_begin_later_are_a_loss_said_once(make_clip, moving_frames, tmp_path):
    stream = make_clip(moving_frames(6), name="film.h264", g="1", bf="0").read_bytes()
    message = b"\0\0\1\x06\x04" + bytes([len(CAPTIONS)]) + CAPTIONS + b"\x80"
    pictures = stream.split(b"\0\0\1\x65")
    marked = (b"\0\0\1\x65".join(pictures[:3]), b"\0\0\1\x65".join(pictures[3:]))
    path, said, lost = tmp_path / "late.h264", [], []
    path.write_bytes(marked[0] + message + b"\0\0\1\x65" + marked[1])
    assert not any("captions" in line for line in probe(path).warnings)
    frames = list(read_frames(path, on_warning=said.append, on_loss=lost.append))
    assert len(frames) == 6 and lost == ["closed captions beside its pictures are dropped"]
    assert not any("captions" in line for line in said)
