"""Showing a film in real time on a display, with three keys: quit, pause, compare to bicubic."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from player.bicubic import upscale_bicubic
from player.pacing import Pacer
from player.upscale import UpscaledFrame

QUIT, PAUSE, COMPARE = "q", "space", "b"
POLL_S = 0.02  # keys are looked at this often while nothing is to be shown
Image = NDArray[np.uint8]


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

    def __init__(self, display: Display, pacer: Pacer, scale: int) -> None:
        self._display, self._pacer, self._scale = display, pacer, scale
        self._paused = self._compare = self._quit = False

    def run(self, frames: Iterable[UpscaledFrame]) -> Shown:
        """Show every frame at its time until the film ends or `q` is pressed."""
        shown = 0
        for frame in frames:
            self._await_time(frame)
            if self._quit:
                break
            self._draw(frame)
            shown += 1
        return Shown(shown, self._pacer.dropped, self._quit)

    def _await_time(self, frame: UpscaledFrame) -> None:
        """Wait until the frame is due and not paused, looking at the keys meanwhile."""
        while True:
            self._obey(frame)
            left_s = POLL_S if self._paused else self._pacer.wait_s(frame.pts)
            if self._quit or left_s <= 0:
                return
            self._pacer.sleep(min(left_s, POLL_S))

    def _obey(self, frame: UpscaledFrame) -> None:
        for key in self._display.pressed():
            if key == QUIT:
                self._quit = True
            elif key == PAUSE:
                self._toggle_pause()
            elif key == COMPARE:
                self._compare = not self._compare
                self._draw(frame)

    def _toggle_pause(self) -> None:
        self._paused = not self._paused
        if self._paused:
            self._pacer.pause()
        else:
            self._pacer.resume()

    def _draw(self, frame: UpscaledFrame) -> None:
        if self._compare:
            height, width = frame.rgb.shape[:2]
            rgb = upscale_bicubic(frame.lr, self._scale)[:height, :width]
            self._display.show(rgb, "bicubic")
        else:
            self._display.show(frame.rgb, "PocketSR")
