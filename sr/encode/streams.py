"""Step: the LR stream, and the film's sound, subtitles and chapters beside it."""

from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from chunking.keep import Cut, Kept, keep_tracks
from chunking.stream import write_lr_stream
from player.package.layout import MADE_SOUNDS, TEXT, VIDEO
from player.package.streams import Label, Segment, StreamFiles, TextFile
from sr.encode.own_stream import take_own_stream
from sr.encode.work import Work

_FRACTIONS = ("sample_aspect_ratio", "usual_rate")


def write_streams(work: Work) -> tuple[StreamFiles, Kept, list[str]]:
    """The LR stream, what is kept beside it, cut at the same end, and what was said of the film,
    now or in an earlier run."""
    out = work.options.out

    def make() -> dict[str, Any]:
        asked, film = work.options.stream, work.film
        said, lost = list[str](), list[str]()

        def warn(message: str) -> None:
            said.append(message)
            work.progress.warn(message)

        def lose(message: str) -> None:
            lost.append(message)
            warn(message)

        work.progress.stage("LR stream", asked.frames or film.info.frames_hint or 0)
        if asked.lr_from:
            video = take_own_stream(work, asked.lr_from, warn, lose)
        else:
            frames = film.lr_frames(work.progress, warn, lose)
            video = write_lr_stream(
                frames, out, film.info, asked.lr_codec, asked.lr_crf, asked.segment_s,
                asked.codec_opts, work.job.step,
            )  # fmt: skip
        # Sound that goes on behind the last frame belongs to a film that was not cut.
        end_s = float(video.end_s) if asked.frames else None
        cut = Cut(end_s, asked.segment_s, film.info.early_s)
        kept = keep_tracks(film.source, out, film.tracks, cut, warn)
        return {
            "video": _to_json(video, out),
            "sounds": [_to_json(sound, out) for sound in kept.sounds],
            "texts": [_text_to_json(text, out) for text in kept.texts],
            "chapters": kept.chapters and _text_to_json(kept.chapters, out),
            "lost": [*lost, *kept.lost],
            "warnings": said,
        }

    folders = [out / name for name in (VIDEO, *MADE_SOUNDS, TEXT)]
    made = work.job.step("streams", make, folders)
    kept = Kept(
        tuple(_from_json(sound, out) for sound in made["sounds"]),
        tuple(_text_from_json(text, out) for text in made["texts"]),
        made["chapters"] and _text_from_json(made["chapters"], out),
        tuple(made["lost"]),
    )
    told: list[str] = made.get("warnings", [])  # by steps of earlier versions nothing
    for message in told:  # again, for the step may be an earlier run's: Progress says none twice
        work.progress.warn(message)
    return _from_json(made["video"], out), kept, told


def _to_json(stream: StreamFiles, out: Path) -> dict[str, Any]:
    """A stream's description, its paths relative to the package."""
    paths = {"init": stream.init.relative_to(out).as_posix()}
    segments = [{**vars(s), "path": s.path.relative_to(out).as_posix()} for s in stream.segments]
    made = {**vars(stream), **paths, "segments": segments, "label": asdict(stream.label)}
    return made | {name: str(made[name]) for name in _FRACTIONS}


def _from_json(made: dict[str, Any], out: Path) -> StreamFiles:
    segments = tuple(Segment(**{**s, "path": out / s["path"]}) for s in made["segments"])
    fractions = {name: Fraction(made[name]) for name in _FRACTIONS}
    label = _label(made["label"])
    whole = {**made, **fractions, "init": out / made["init"], "segments": segments, "label": label}
    return StreamFiles(**whole)


def _text_to_json(text: TextFile, out: Path) -> dict[str, Any]:
    return {"path": text.path.relative_to(out).as_posix(), "label": asdict(text.label)}


def _text_from_json(made: dict[str, Any], out: Path) -> TextFile:
    return TextFile(out / made["path"], _label(made["label"]))


def _label(made: dict[str, Any]) -> Label:
    """JSON has lists alone."""
    return Label(**{**made, "flags": tuple(made.get("flags", ()))})
