"""Showing frames at their times: when to wait, and which frames are too late to bother with."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

LATE_S = 0.05  # later than this, a frame is dropped before it is upscaled
MAX_DROPS = 15  # in a row; then one frame is shown all the same, so that a slow machine sees some


@dataclass(frozen=True)
class Clock:
    """Time and waiting, both in seconds; tests bring their own."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Pacer:
    """Maps presentation times to the clock, and counts what was dropped.

    The film's time starts with the first frame; `pause` and `resume` hold it.
    """

    def __init__(self, time_base: Fraction, clock: Clock | None = None) -> None:
        self._time_base, self._clock = time_base, clock or Clock()
        self._origin_s: float | None = None
        self._paused_s: float | None = None
        self._drops_in_a_row = 0
        self.dropped = 0

    def wanted(self, pts: int) -> bool:
        """Whether the frame at `pts` is worth upscaling: not when it is already late."""
        late = self._due_s(pts) + LATE_S < self._clock.now()
        if late and self._drops_in_a_row < MAX_DROPS:
            self._drops_in_a_row += 1
            self.dropped += 1
            return False
        self._drops_in_a_row = 0
        return True

    def wait_s(self, pts: int) -> float:
        """Seconds until the frame at `pts` is due, 0 where it is due or late."""
        return max(0.0, self._due_s(pts) - self._clock.now())

    def sleep(self, seconds: float) -> None:
        """Wait by this clock."""
        self._clock.sleep(seconds)

    def pause(self) -> None:
        """Hold the film's time."""
        self._paused_s = self._clock.now()

    def resume(self) -> None:
        """Let it run on: everything that is still to come is due later by the pause."""
        if self._paused_s is not None and self._origin_s is not None:
            self._origin_s += self._clock.now() - self._paused_s
        self._paused_s = None

    def _due_s(self, pts: int) -> float:
        if self._origin_s is None:
            self._origin_s = self._clock.now() - float(pts * self._time_base)
        return self._origin_s + float(pts * self._time_base)
