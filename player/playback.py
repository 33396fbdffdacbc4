"""Playing a package: frames go to sinks (a file, a hash, nothing), and the rate is measured."""

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from player.package.package_error import PackageError
from player.upscale import UpscaledFrame

Sink = Callable[[UpscaledFrame], None]


@dataclass(frozen=True)
class Rate:
    """Frames a second: of upscaling alone, at the median and the 95th percentile of the time a
    frame takes, and of the whole pipeline (decode, upscale, sinks).
    """

    upscale_p50: float
    upscale_p95: float
    pipeline: float


@dataclass(frozen=True)
class Playback:
    """What was played. `seconds` is wall time from the first frame asked for to the last done."""

    frames: int
    seconds: float
    fps: Rate

    def to_json(self) -> dict[str, Any]:
        """The object of `play --json`; the caller adds what the sinks know."""
        return {
            "schema": "pocketsr.play/1",
            "frames": self.frames,
            "seconds": self.seconds,
            "fps": vars(self.fps),
        }


def play(frames: Iterable[UpscaledFrame], sinks: Sequence[Sink] = ()) -> Playback:
    """Give every frame to every sink, in order."""
    started = time.perf_counter()
    times = []
    for frame in frames:
        times.append(frame.seconds)
        for sink in sinks:
            sink(frame)
    seconds = time.perf_counter() - started
    return Playback(len(times), seconds, _rate(times, seconds))


def _rate(times: Sequence[float], seconds: float) -> Rate:
    if not times:
        return Rate(0.0, 0.0, 0.0)
    p50, p95 = np.percentile(times, [50, 95]).tolist()
    return Rate(1 / max(p50, 1e-9), 1 / max(p95, 1e-9), len(times) / max(seconds, 1e-9))


class HashSink:
    """SHA-256 over the RGB bytes of all frames in order: the conformance of an engine."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def __call__(self, frame: UpscaledFrame) -> None:
        self._hash.update(np.ascontiguousarray(frame.rgb).data)

    @property
    def hex(self) -> str:
        return self._hash.hexdigest()

    def check(self, expected: str) -> None:
        """Raises PackageError where the frames are not those that were expected."""
        if self.hex != expected.strip().lower():
            raise PackageError(
                f"the upscaled frames hash to {self.hex}, not {expected}: "
                "engine, package or decoder differ from those that made the hash"
            )
