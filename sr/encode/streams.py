"""Step: the LR stream, and the film's audio copied beside it."""

from fractions import Fraction
from pathlib import Path
from typing import Any

from chunking.audio import copy_audio
from chunking.stream import write_lr_stream
from player.package.layout import AUDIO, VIDEO
from player.package.streams import Segment, StreamFiles
from sr.encode.work import Work

_FRACTIONS = ("sample_aspect_ratio", "usual_rate")

Streams = tuple[StreamFiles, StreamFiles | None]


def write_streams(work: Work) -> Streams:
    """The LR stream, and the audio where there is some, cut at the same end."""
    out = work.options.out

    def make() -> list[dict[str, Any] | None]:
        asked, film = work.options.stream, work.film
        work.progress.stage("LR stream", asked.frames or film.info.frames_hint or 0)
        frames = film.lr_frames(work.progress)
        video = write_lr_stream(
            frames, out, film.info, asked.lr_codec, asked.lr_crf, asked.segment_s,
            asked.codec_opts, work.job.step,
        )  # fmt: skip
        # Sound that goes on behind the last frame belongs to a film that was not cut.
        end_s = float(video.end_s) if asked.frames else None
        audio = copy_audio(
            film.source, out, work.progress.warn, end_s, asked.segment_s, film.info.early_s
        )
        return [_to_json(stream, out) if stream else None for stream in (video, audio)]

    video, audio = work.job.step("stream", make, [out / VIDEO, out / AUDIO])
    assert video is not None
    return _from_json(video, out), _from_json(audio, out) if audio else None


def _to_json(stream: StreamFiles, out: Path) -> dict[str, Any]:
    """A stream's description, its paths relative to the package."""
    segments = [{**vars(s), "path": s.path.relative_to(out).as_posix()} for s in stream.segments]
    made = {**vars(stream), "init": stream.init.relative_to(out).as_posix(), "segments": segments}
    return made | {name: str(made[name]) for name in _FRACTIONS}


def _from_json(made: dict[str, Any], out: Path) -> StreamFiles:
    segments = tuple(Segment(**{**s, "path": out / s["path"]}) for s in made["segments"])
    fractions = {name: Fraction(made[name]) for name in _FRACTIONS if name in made}
    whole = {**made, **fractions, "init": out / made["init"], "segments": segments}
    return StreamFiles(**whole)
