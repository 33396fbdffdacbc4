"""The streams of an index: segments in columns, and what tells tracks of sound and text apart.

    "audio":{..., "language":"eng"}, "sounds":[{..., "language":"deu","default":true}],
    "texts":{"bytes":[812],"hash":"...","labels":[{"language":"eng"}]}, "chapters":{...}

A film with one track has "audio" alone, as before there were more.
"""

from collections.abc import Sequence
from fractions import Fraction

from player.package import fields, limits
from player.package.entries import FileEntry, SegmentEntry, SoundEntry, TextEntry
from player.package.fields import Object
from player.package.file_columns import files_json, read_column, read_files, runs_json
from player.package.layout import (
    AUDIO,
    CHAPTERS_PATH,
    INIT_NAME,
    segment_name,
    sound_folder,
    text_path,
)
from player.package.package_error import PackageError
from player.package.streams import FLAGS, UNLABELLED, Label

# A stream as it is read: initialisation, segments, time base.
Stream = tuple[FileEntry, tuple[SegmentEntry, ...], Fraction]


def stream_json(init: FileEntry, segments: Sequence[SegmentEntry], time_base: Fraction) -> Object:
    """Columns over the files of a stream."""
    ends = [0, *(s.start + s.duration for s in segments)]
    # Mostly each segment begins where the one before ended, and the first at 0.
    gaps = [s.start - end for s, end in zip(segments, ends, strict=False)]
    found = files_json([init, *segments]) | {
        "timescale": time_base.denominator,
        "ticks": runs_json(s.duration for s in segments),
        "frames": runs_json(s.frames for s in segments),
    }
    return found | ({"gaps": runs_json(gaps)} if any(gaps) else {})


def sounds_json(sounds: Sequence[SoundEntry]) -> Object:
    """The fields of the sound: of the first track, and of those beside it."""
    tracks = [stream_json(s.init, s.segments, s.time_base) | _label_json(s.label) for s in sounds]
    return {"audio": tracks[0] if tracks else None, "sounds": tracks[1:] or None}


def texts_json(texts: Sequence[TextEntry], chapters: FileEntry | None) -> Object:
    """The fields of subtitles and chapters."""
    labels = [_label_json(text.label) for text in texts]
    table = files_json(texts) | ({"labels": labels} if any(labels) else {})
    return {"texts": table, "chapters": files_json([chapters] if chapters else [])}


def _label_json(label: Label) -> Object:
    said = {
        "language": label.language,
        "title": label.title,
        "default": label.is_default,
        "flags": [*label.flags],
    }
    return {name: value for name, value in said.items() if value}


def read_stream(source: Object, folder: str) -> Stream:
    """The stream in `folder`; raises PackageError."""
    (sha256, size), *files = read_files(source, limits.MAX_SEGMENTS + 1, limits.MAX_SEGMENT_BYTES)
    rows = len(files)
    durations = read_column(source, "ticks", rows, 0, limits.MAX_TICKS)
    frames = read_column(source, "frames", rows, 0, limits.MAX_FRAMES)
    most = 4 * limits.MAX_TICKS  # from the least end to the greatest start, and more
    gaps = read_column(source, "gaps", rows, -most, most) if "gaps" in source else (0,) * rows
    segments, at = [], 0
    for i, (file, gap, duration) in enumerate(zip(files, gaps, durations, strict=True)):
        start = {"start": at + gap}
        at = fields.integer(start, "start", -limits.MAX_TICKS, limits.MAX_TICKS)
        name = f"{folder}/{segment_name(i + 1)}"
        segments.append(SegmentEntry(name, *file, at, duration, frames[i]))
        at += duration
    timescale = fields.integer(source, "timescale", 1, limits.MAX_TIMESCALE)
    init = FileEntry(f"{folder}/{INIT_NAME}", sha256, size)
    return init, tuple(segments), Fraction(1, timescale)


def read_sounds(source: Object) -> tuple[SoundEntry, ...]:
    """The tracks of sound; raises PackageError."""
    beside = fields.objects(source, "sounds", limits.MAX_SOUNDS - 1, lambda track: track)
    if AUDIO not in source:
        if beside:
            raise PackageError("index: sounds are there without audio, which is the first of them")
        return ()
    tracks = [fields.subobject(source, AUDIO), *beside]
    return tuple(
        SoundEntry(*read_stream(track, sound_folder(number)), _label(track))
        for number, track in enumerate(tracks, start=1)
    )


def read_texts(source: Object) -> tuple[TextEntry, ...]:
    """The tracks of subtitles; raises PackageError."""
    if "texts" not in source:
        return ()
    table = fields.subobject(source, "texts")
    files = read_files(table, limits.MAX_TEXTS, limits.MAX_TEXT_BYTES)
    labels = fields.objects(table, "labels", limits.MAX_TEXTS, _label) or (UNLABELLED,) * len(files)
    if len(labels) != len(files):
        raise PackageError(f"index: {len(labels)} labels are not of {len(files)} files")
    pairs = enumerate(zip(files, labels, strict=True), start=1)
    return tuple(TextEntry(text_path(number), *file, label) for number, (file, label) in pairs)


def read_chapters(source: Object) -> TextEntry | None:
    """The file of the chapters; raises PackageError."""
    if "chapters" not in source:
        return None
    (file,) = read_files(fields.subobject(source, "chapters"), 1, limits.MAX_TEXT_BYTES)
    return TextEntry(CHAPTERS_PATH, *file)


def _label(source: Object) -> Label:
    is_default = fields.boolean({"default": False} | source, "default")
    flags = fields.texts(source, "flags", len(FLAGS)) if "flags" in source else []
    if not set(flags) <= set(FLAGS):
        raise PackageError(f"index: flags are not of {', '.join(FLAGS)}")
    return Label(
        fields.text(source, "language"), fields.text(source, "title"), is_default, tuple(flags)
    )
