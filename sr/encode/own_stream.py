"""The user's own stream in the place of one that is encoded (`--lr-from`): is it of this film?"""

from pathlib import Path

import numpy as np

from chunking.input_error import InputError
from chunking.lr import downscale
from chunking.own_stream import find_stream, take_stream
from chunking.parts import Warn
from player.package.scale import scale_number
from player.package.streams import StreamFiles
from sr.encode.film import Film
from sr.encode.job_folder import discard
from sr.encode.work import Work

LEAST_LIKE = 0.5  # correlation with the film's own pictures, however low the rate
_FLAT = 1.0  # deviation of pictures that show nothing
_LOOKED_AT = 8  # frames


def take_own_stream(work: Work, path: Path, warn: Warn, lose: Warn) -> StreamFiles:
    """The stream in out/video/. Raises InputError where it is not the film's."""
    asked, film = work.options.stream, work.film
    own = find_stream(path, film.info)
    if own.scale != asked.scale:
        raise InputError(f"{path} is of scale {scale_number(own.scale)}, not {asked.scale}")
    if own.others:
        others = ", ".join(f"{width}x{height}" for height, width in own.others)
        warn(f"of {path.name} the stream of {own.size[1]}x{own.size[0]} px is taken, not {others}")
    pts = [frame.pts for frame in film.first_pass(work.progress, warn, lose)]
    video = take_stream(own, work.options.out, film.info, pts, asked.segment_s, work.job.step)
    film.stream = video
    try:
        _check_pictures(film, path)
    except InputError:
        discard(work.options.out)  # a copy of what was refused
        raise
    return video


def _check_pictures(film: Film, path: Path) -> None:
    """Raises InputError where some do not decode, or are those of another film."""
    if (decoded := sum(1 for _ in film.lr_images())) != film.frames:
        raise InputError(f"{path}: {film.frames - decoded} of its frames do not decode")
    pairs = film.training
    looked_at = np.linspace(0, len(pairs) - 1, min(len(pairs), _LOOKED_AT)).round().astype(int)
    own, ours = (
        np.concatenate([picture.astype(np.float64).ravel() for picture in pictures])
        for pictures in zip(
            *((pairs[i].lr, downscale(pairs[i].hr, film.scale)) for i in looked_at), strict=True
        )
    )
    # Of black frames alone nothing is told.
    if min(own.std(), ours.std()) > _FLAT and (like := np.corrcoef(own, ours)[0, 1]) < LEAST_LIKE:
        raise InputError(f"{path} does not show this film: its pictures correlate by {like:.2f}")
