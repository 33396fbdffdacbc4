"""Playing a ladder: each segment from the rung that is chosen for it, as an adaptive player does.

segment    1     2     3     4     5
--switch   300k  300k  2000k 800k        (the last one stays)
stretches  [300k 1-2] [2000k 3] [800k 4-]  each an `upscale` of its rung's package
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from player.engine import Engine
from player.package.ladder import check_alike, index_of, read_ladder
from player.package.package_error import PackageError
from player.playback import Frames, PlayOptions, play_frames
from player.session import Event, Listener, Package, ignore
from player.upscale import upscale


class SwitchError(PackageError):
    """A rung is asked for that the ladder does not have."""

    exit_code = 2


@dataclass(frozen=True)
class Rung:
    """A package of a ladder, and the engine that runs its networks."""

    package: Package
    engine: Engine | None


def open_rungs(
    ladder: Path, trust: frozenset[str] | None, open_rung: Callable[[Path], Package]
) -> dict[str, Package]:
    """The packages of a ladder by rising rate, by their folders.

    Raises PackageError where they are not those that were signed together.
    """
    found, _ = read_ladder(ladder, trust)
    indexes = {}
    for rung in found.rungs:
        try:
            indexes[rung.folder] = index_of(ladder, rung)
        except PackageError as error:
            raise PackageError(
                f"{ladder / rung.folder}: {error}; fetch the ladder again"
            ) from error
    check_alike(indexes)
    return {folder: open_rung(ladder / folder) for folder in indexes}


def parse_switch(text: str, rungs: Sequence[str]) -> list[str]:
    """The folders in "300k,2000k"; raises SwitchError where one is no rung."""
    names = [part if part.endswith("k") else f"{part}k" for part in text.split(",")]
    for name in names:
        if name not in rungs:
            raise SwitchError(f"--switch {text}: no rung {name}; there are {', '.join(rungs)}")
    return names


def play_switched(
    rungs: Mapping[str, Rung],
    names: Sequence[str],
    options: PlayOptions,
    on_event: Listener = ignore,
) -> dict[str, Any]:
    """As `play_package`, each segment from the rung in its place of `names`; sound and size are
    those of the last of `rungs`."""
    *_, top = rungs.values()

    def frames(listen: Listener) -> Frames:
        return upscale_switched(rungs, names, options.threads, listen, options.limit)

    return {**play_frames(top.package, frames, options, on_event), "switch": list(names)}


def upscale_switched(
    rungs: Mapping[str, Rung],
    names: Sequence[str],
    threads: int | None = None,
    on_event: Listener = ignore,
    limit: int | None = None,
) -> Frames:
    """The frames of `upscale`, of one rung after another; their times in ticks of the last rung."""
    *_, top = rungs.values()
    assert top.package.index is not None  # of a ladder every index was read
    shown = 0
    for name, first, end in _stretches(names, len(top.package.index.segments)):
        package, left = rungs[name].package, None if limit is None else limit - shown
        if left == 0:
            return
        assert package.index is not None
        ticks = package.index.time_base / top.package.index.time_base
        within = range(first, end)
        frames = upscale(
            package, rungs[name].engine, threads, on_event, left, segments=within.__contains__
        )
        with closing(frames):
            try:
                for frame in frames:
                    yield replace(frame, pts=round(frame.pts * ticks), index=shown)
                    shown += 1
            except PackageError as error:
                # No segment of the stretch is whole; others may be.
                what = f"{name}, segments {first + 1} to {end}"
                on_event(Event("segment", what, str(error), "its frames are skipped"))


def _stretches(names: Sequence[str], segments: int) -> Iterator[tuple[str, int, int]]:
    """(rung, first segment, one behind the last) of segments in a row from one rung."""
    chosen = [names[min(i, len(names) - 1)] for i in range(segments)]
    for name, group in groupby(range(segments), key=chosen.__getitem__):
        numbers = list(group)
        yield name, numbers[0], numbers[-1] + 1
