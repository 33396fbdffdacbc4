"""The frames of a job: the film's, and the LR stream's as the phone decodes them, side by side."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from chunking.audio import copy_audio
from chunking.lr import shrink
from chunking.probe import VideoInfo
from chunking.stream import read_stream, write_lr_stream
from chunking.video import Frame, read_frames
from player.package.streams import Segment, StreamFiles
from sr.encode.config import EncodeConfig
from sr.progress import Progress
from sr.scoring import FramePair
from sr.training.data import TrainingSet

MAX_TRAINING_BYTES = 1_500_000_000


def write_streams(
    config: EncodeConfig, info: VideoInfo, progress: Progress
) -> tuple[StreamFiles, StreamFiles | None]:
    """Shrink the film and encode it as the LR stream; copy its audio, cut at the same end."""
    progress.stage("LR stream", config.frames or info.frames_hint or 0)
    codec, crf = config.lr_codec, config.lr_crf
    video = write_lr_stream(_lr_frames(config, progress), config.out, info, codec, crf)
    last = video.segments[-1]
    end_s = (last.start_ticks + last.duration_ticks) / video.timescale if config.frames else None
    return video, copy_audio(config.source, config.out, progress.warn, end_s)


def _lr_frames(config: EncodeConfig, progress: Progress) -> Iterator[Frame]:
    for frame in read_frames(config.source, config.frames, progress.warn):
        yield Frame(shrink(frame.rgb, config.scale), frame.pts, frame.index)
        progress.at(frame.index + 1)


def frame_pairs(config: EncodeConfig, video: StreamFiles) -> Iterator[FramePair]:
    """Every LR frame of the stream with its HR frame."""
    films = read_frames(config.source, config.frames)
    streamed = read_stream(video.init, [s.path for s in video.segments])
    with closing(films), closing(streamed):  # type: ignore[type-var]
        for film, lr in zip(films, streamed, strict=True):
            yield FramePair(lr.rgb, film.rgb)


def training_indices(frames: int, info: VideoInfo, most: int) -> list[int]:
    """Which frames to learn from: evenly spaced, bounded in number and memory."""
    affordable = MAX_TRAINING_BYTES // (3 * info.width * info.height)
    count = max(1, min(frames, most, affordable))
    return sorted({round(i) for i in np.linspace(0, frames - 1, count)})


def learned_frames(config: EncodeConfig, info: VideoInfo, video: StreamFiles) -> list[int]:
    """The numbers of the frames to learn from."""
    frames = sum(s.frames for s in video.segments)
    return training_indices(frames, info, config.bounds.training_frames)


def training_pairs(config: EncodeConfig, info: VideoInfo, video: StreamFiles) -> list[FramePair]:
    """The frames to learn from, in memory."""
    wanted = set(learned_frames(config, info, video))
    return [pair for i, pair in enumerate(frame_pairs(config, video)) if i in wanted]


def training_set(pairs: list[FramePair], scale: int, margin_px: int) -> TrainingSet:
    """LR frames with a margin, HR frames continued by their edge pixels to r times the LR size."""
    height, width = pairs[0].lr.shape[:2]
    margin = (margin_px, margin_px)
    lr = np.stack([np.pad(p.lr, (margin, margin, (0, 0)), mode="edge") for p in pairs])
    hr_h, hr_w = pairs[0].hr.shape[:2]
    beyond = ((0, height * scale - hr_h), (0, width * scale - hr_w), (0, 0))
    hr = np.stack([np.pad(p.hr, beyond, mode="edge") for p in pairs])
    return TrainingSet(lr, hr, scale, margin_px)


def stream_to_json(stream: StreamFiles, out: Path) -> dict[str, Any]:
    """A stream's description, its paths relative to the package."""
    fields = dict(vars(stream))
    fields["init"] = stream.init.relative_to(out).as_posix()
    fields["segments"] = [
        {**vars(s), "path": s.path.relative_to(out).as_posix()} for s in stream.segments
    ]
    return fields


def stream_from_json(fields: dict[str, Any], out: Path) -> StreamFiles:
    """The inverse of `stream_to_json`."""
    segments = tuple(Segment(**{**s, "path": out / s["path"]}) for s in fields["segments"])
    return StreamFiles(**{**fields, "init": out / fields["init"], "segments": segments})


def stream_files(stream: StreamFiles) -> list[Path]:
    """Every file of a stream."""
    return [stream.init, *(s.path for s in stream.segments)]
