"""Showing a film in real time, without sound, with three keys: quit, pause, compare to bicubic."""

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from chunking.colour import Colour
from player.bicubic import upscale_bicubic
from player.engine import Engine
from player.package.scale import Scale
from player.playback import Frames, PlayOptions, end_ticks, lr_info, shown_rgb, shown_size
from player.prefetch import prefetch
from player.session import Listener, Package, ignore
from player.upscale import UpscaledFrame, upscale
from player.window import COMPARE, PAUSE, QUIT, Window

LATE_S = 0.05  # later than this, a frame is dropped before it is upscaled
MAX_DROPS = 15  # in a row; then one frame is shown all the same, so that a slow machine sees some
POLL_S = 0.02  # keys are looked at this often while nothing is to be shown
UPSCALED_AHEAD = 2  # frames; so that upscaling goes on while a frame waits for its time

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Clock:
    """Time and waiting, both in seconds; tests bring their own."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Pacer:
    """Maps presentation times to the clock, and counts what was dropped.

    The film's time starts with the first frame that is asked about; `toggle_pause` holds it, and
    lets it run on.
    """

    def __init__(self, time_base: Fraction, clock: Clock | None = None) -> None:
        self._time_base, self._clock = time_base, clock or Clock()
        self._origin_s: float | None = None  # the clock's time at which pts 0 is due
        self._paused_s: float | None = None  # since when
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

    def wait(self, pts: int) -> bool:
        """Sleep for at most POLL_S; whether the frame at `pts` is due. Never while paused."""
        left_s = POLL_S if self._paused_s is not None else self._due_s(pts) - self._clock.now()
        if left_s <= 0:
            return True
        self._clock.sleep(min(left_s, POLL_S))
        return False

    def toggle_pause(self) -> None:
        """Hold the film's time, or let it run on."""
        if self._paused_s is None:
            self._paused_s = self._clock.now()
            return
        if self._origin_s is not None:
            # Everything that is still to come is due later, by as long as the pause was.
            self._origin_s += self._clock.now() - self._paused_s
        self._paused_s = None

    def _due_s(self, pts: int) -> float:
        if self._origin_s is None:
            self._origin_s = self._clock.now() - float(pts * self._time_base)
        return self._origin_s + float(pts * self._time_base)


class Display(Protocol):
    """Something that shows pictures and has keys."""

    def show(self, rgb: Image, caption: str) -> None: ...
    def pressed(self) -> list[str]: ...


@dataclass(frozen=True)
class Shown:
    """How many frames were shown, and how many dropped because they were late."""

    shown: int
    dropped: int
    quit: bool


class Show:
    """The state of a running film: what the keys have asked for."""

    def __init__(self, display: Display, pacer: Pacer, scale: Scale) -> None:
        self._display, self._pacer, self._scale = display, pacer, scale
        self._compare = self._quit = False

    def run(self, frames: Iterable[UpscaledFrame], end: int | None = None) -> Shown:
        """Show every frame at its time until the film ends or `q` is pressed.

        The last one stays until `end`, in ticks; without it, the film ends there.
        """
        shown, frame = 0, None
        for frame in frames:
            # Keys first, so that `q` ends the film before another frame appears.
            while self._obey(frame) and not self._pacer.wait(frame.pts):
                pass
            if self._quit:
                break
            self._draw(frame)
            shown += 1
        if frame is not None and end is not None:
            while not self._quit and self._obey(frame) and not self._pacer.wait(end):
                pass
        return Shown(shown, self._pacer.dropped, self._quit)

    def _obey(self, frame: UpscaledFrame) -> bool:
        """Do what the keys ask for; whether the film goes on. `frame` is the next one."""
        for key in self._display.pressed():
            if key == QUIT:
                self._quit = True
            elif key == PAUSE:
                self._pacer.toggle_pause()
            elif key == COMPARE:
                self._compare = not self._compare
                self._draw(frame)
        return not self._quit

    def _draw(self, frame: UpscaledFrame) -> None:
        if self._compare:
            height, width = frame.rgb.shape[:2]
            rgb = upscale_bicubic(frame.lr, self._scale)[:height, :width]
            self._display.show(rgb, "bicubic")
        else:
            self._display.show(frame.rgb, "PocketSR")


def _grained(frames: Frames, colour: Colour) -> Frames:
    with closing(frames):
        for frame in frames:
            yield replace(frame, rgb=shown_rgb(frame, colour))


def show_package(
    package: Package,
    engine: Engine | None,
    options: PlayOptions | None = None,
    on_event: Listener = ignore,
) -> Shown:
    """Play in a window; frames that would be late are dropped.

    Raises WindowUnavailableError where there is no pygame or no screen.
    """
    options = options or PlayOptions()
    info = lr_info(package)
    height, width = shown_size(package, info)
    pacer = Pacer(info.time_base)
    frames = upscale(package, engine, options.threads, on_event, options.limit, pacer.wanted)
    if options.grain:
        frames = _grained(frames, info.colour)
    with (
        Window(width, height, package.directory.name) as window,
        closing(prefetch(frames, UPSCALED_AHEAD)) as ahead,
    ):
        return Show(window, pacer, package.scale).run(
            ahead, end_ticks(package, info, options.limit)
        )
