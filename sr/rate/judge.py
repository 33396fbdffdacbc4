"""A whole package against its film: all its bytes, and what the phone will show for them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from chunking.opening import Source
from player.package.scale import scale_number
from player.package.sizes import SR_PARTS, kbps, part_bytes, rated_bytes
from player.session import open_package
from sr.rate.comparison import Step, compare_film
from sr.rate.curve import Point


@dataclass(frozen=True)
class Judged:
    """`shown`: the package. `stream`: its stream alone, a plain encode without index or signature.

    `macs_per_frame`: multiply-accumulates as `sr.rate.budget` counts them, with what is skipped.
    `skipped`: the share of the pixels that no network makes.
    """

    shown: Point
    stream: Point
    macs_per_frame: float
    skipped: float
    segments: int

    def to_json(self) -> dict[str, Any]:
        """As a job's record has it."""
        points = {"shown": vars(self.shown), "stream": vars(self.stream)}
        return {**vars(self), **points}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        points = {name: Point(**record[name]) for name in ("shown", "stream")}
        return cls(**{**record, **points})


def judge_package(
    folder: Path,
    film: Source,
    metrics: tuple[str, ...],
    worst: float = 1.0,
    only: Collection[int] | None = None,
    on_frame: Callable[[int], object] = lambda done: None,
    step: Step = lambda name, make: make(),
) -> Judged:
    """Play the package and compare every frame, or some, a step for each part of the film.

    Raises PackageError, InputError.
    """
    package = open_package(folder)
    index = package.index
    assert index is not None, folder
    found = compare_film(package, film, metrics, only, on_frame, step)
    sizes = part_bytes(folder, index)
    sent, own = rated_bytes(sizes), sum(sizes[part] for part in SR_PARTS)
    shown_point, stream_point = (
        Point(
            size,
            {m: v for m in metrics if (v := quality.worst(m, worst)) is not None},
            {"scale": scale_number(index.scale), "kbps": kbps(size, index)},
        )
        for size, quality in ((sent, found.shown), (sent - own, found.stream))
    )
    frames = max(1, found.frames)
    skipped = found.skipped_px / (frames * index.lr.width * index.lr.height)
    macs = found.macs / frames
    return Judged(shown_point, stream_point, macs, skipped, len(index.segments))
