"""`pocketsr probe FILE`."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sr.commands.options import (
    FILE,
    film_of,
    frame_rate_option,
    json_option,
    show,
    track_options,
)

if TYPE_CHECKING:
    from chunking.probe import VideoInfo
    from chunking.tracks import Track

SAME_NAME = (
    "width",
    "height",
    "rotation_deg",
    "frames_hint",
    "duration_s",
    "codec",
    "pix_fmt",
    "bit_depth",
    "interlaced",
    "has_alpha",
    "has_audio",
)


@click.command()
@click.argument("file", type=FILE)
@track_options
@frame_rate_option
@json_option
def command(
    file: Path, video: int | None, audio: str | None, frame_rate: Fraction | None, as_json: bool
) -> None:
    """What FILE is, what becomes of each of its streams, and whether it will work."""
    from chunking.input_error import InputError
    from chunking.opening import video_of
    from chunking.probe import probe
    from chunking.tracks import plan_tracks

    film = video_of(film_of(file, frame_rate), video)
    info, tracks = probe(film), plan_tracks(film, audio)
    sizes = lr_sizes(info)
    if not sizes:
        raise InputError(f"{file} is {info.width}x{info.height}: too small for any scale")
    result = {
        "schema": "pocketsr.probe/1",
        "file": str(file),
        **{name: getattr(info, name) for name in SAME_NAME},
        "frame_rate": float(info.frame_rate),
        "colour": vars(info.colour),
        "lr_sizes": sizes,
        "streams": [track.to_json() for track in tracks],
        "warnings": list(info.warnings),
    }
    show(result, as_json, lines(info, sizes, tracks))


def lr_sizes(info: "VideoInfo") -> dict[str, str]:
    """The LR frame's size for each scale that makes sense."""
    from chunking.input_error import InputError
    from chunking.lr import check_scale, lr_size
    from player.package.scale import SCALES, scale_number

    sizes = {}
    for scale in SCALES:
        try:
            check_scale(info.height, info.width, scale)
        except InputError:
            continue
        height, width = lr_size(info.height, info.width, scale)
        sizes[f"x{scale_number(scale)}"] = f"{width}x{height}"
    return sizes


def lines(
    info: "VideoInfo", sizes: dict[str, str], tracks: "Sequence[Track]"
) -> list[tuple[str, Any]]:
    """The same for people."""
    colour = f"{info.colour.matrix}, {'full' if info.colour.full_range else 'limited'} range"
    length = "length not told" if info.duration_s is None else f"{info.duration_s:.2f} s"
    return [
        ("video", f"{info.width}x{info.height} {info.codec} {info.pix_fmt}, {colour}"),
        ("time", f"{length}, {float(info.frame_rate):.3f} frames/s"),
        *((track.name, _becomes(track)) for track in tracks),
        ("scales", ", ".join(f"{scale} from {size}" for scale, size in sizes.items())),
        *(("warning", warning) for warning in info.warnings),
    ]


def _becomes(track: "Track") -> str:
    why = f" ({track.reason})" if track.reason else ""
    return f"{track.description}: {track.fate}{why}"
