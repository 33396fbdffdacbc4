"""The shots of benchmarks/clips.toml, each as a film of its own.

clips.toml --read_shots--> Shot --film_of--> the clip itself, or a lossless cut of its own planes
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av

CLIPS = Path(__file__).parent.parent / "clips.toml"
PARTS = ("reporting", "choosing")


@dataclass(frozen=True)
class Shot:
    """Frames `start` to `end` (not with it) of a clip; `place` is its number among the clip's.

    The long shots, of 60 s, are in no mean.
    """

    clip: str
    file: str
    part: str
    place: int
    start: int
    end: int
    is_long: bool = False

    @property
    def name(self) -> str:
        """One name for each shot, good for a file."""
        return f"{self.clip}-long" if self.is_long else f"{self.clip}-{self.place}"


def read_shots(path: Path = CLIPS) -> tuple[Shot, ...]:
    """All shots in the order in which they count: every clip's first one, then the second ones."""
    shots = []
    for order, clip in enumerate(tomllib.loads(path.read_text(encoding="utf-8"))["clip"]):
        spans = [*clip["shots"], *([clip["long"]] if "long" in clip else [])]
        for place, (start, end) in enumerate(spans):
            is_long = place == len(clip["shots"])
            named = clip["name"], clip["file"], clip["part"]
            shots.append((is_long, place, order, Shot(*named, place, start, end, is_long)))
    return tuple(shot for *_, shot in sorted(shots, key=lambda s: s[:3]))


def film_of(shot: Shot, clips: Path, work: Path) -> Path:
    """A film whose first frames are the shot's: the clip, or what was cut out of it into `work`."""
    source = clips / shot.file
    if shot.start == 0:
        return source
    out = work / f"{shot.name}.mp4"
    if not out.exists():
        work.mkdir(parents=True, exist_ok=True)
        part = out.with_suffix(".part.mp4")
        _cut(source, part, shot.start, shot.end)
        part.replace(out)
    return out


def _cut(source: Path, out: Path, start: int, end: int) -> None:
    """The planes of 4:2:0 frames as they are, and their times, by a lossless encoder."""
    with av.open(str(source)) as film:
        stream = film.streams.video[0]
        base = stream.time_base or Fraction(1, 90_000)
        ticks = {"video_track_timescale": str(base.denominator)}
        with av.open(str(out), "w", options=ticks) as target:
            options = {"qp": "0", "preset": "ultrafast"}
            made = target.add_stream("libx264", rate=stream.average_rate, options=options)
            context, tags = made.codec_context, stream.codec_context
            made.width, made.height, made.pix_fmt = tags.width, tags.height, "yuv420p"
            made.time_base = context.time_base = base
            context.colorspace, context.color_range = tags.colorspace, tags.color_range
            context.color_primaries, context.color_trc = tags.color_primaries, tags.color_trc
            first: int | None = None
            for frame in _frames(film, start, end):
                assert frame.format.name == "yuv420p" and frame.pts is not None, source
                first = frame.pts if first is None else first
                planes = av.VideoFrame.from_ndarray(frame.to_ndarray(), format="yuv420p")
                planes.pts, planes.time_base = frame.pts - first, base
                target.mux(made.encode(planes))
            target.mux(made.encode(None))


def _frames(film: av.container.InputContainer, start: int, end: int) -> Iterator[av.VideoFrame]:
    return islice(film.decode(video=0), start, end)
