"""A window on the desktop, by pygame (SDL): the extra `window` of setup.py."""

import math
import os
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUIT, PAUSE, COMPARE = "q", "space", "b"
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # its greeting would go to stdout


def fit(size: tuple[int, int], room: tuple[int, int], most: float = 1.0) -> tuple[int, int]:
    """The largest (width, height) of this shape, in pixels, that fits into the room and is at
    most `most` times the size given.
    """
    factor = min(most, room[0] / size[0], room[1] / size[1])
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


class WindowUnavailableError(RuntimeError):
    """No pygame, or no screen."""

    exit_code = 2


class Window:
    """A resizable window that shows frames [H, W, 3] u8; use it in a `with` block."""

    def __init__(self, width: int, height: int, title: str) -> None:
        """Raises WindowUnavailableError, and says what to do."""
        try:
            import pygame
        except ImportError as error:
            raise WindowUnavailableError(
                "a window needs pygame: pip install 'pocketsr[window]', or use --out FILE"
            ) from error
        self._pygame: Any = pygame
        self._title, self._caption = title, ""
        try:
            self._pygame.display.init()
            size = fit((width, height), self._pygame.display.get_desktop_sizes()[0])
            self._pygame.display.set_mode(size, self._pygame.RESIZABLE)
        except self._pygame.error as error:
            raise WindowUnavailableError(
                f"no window can be opened ({error}): use --out FILE, or set DISPLAY"
            ) from error
        self._names = {
            self._pygame.K_q: QUIT,
            self._pygame.K_ESCAPE: QUIT,
            self._pygame.K_SPACE: PAUSE,
            self._pygame.K_b: COMPARE,
        }

    def show(self, rgb: NDArray[np.uint8], caption: str) -> None:
        """Put a frame on the screen now, pixel for pixel where the window has its size."""
        height, width = rgb.shape[:2]
        # `tobytes`: a frame that was cropped has its rows apart, and SDL wants them together.
        picture = self._pygame.image.frombuffer(rgb.tobytes(), (width, height), "RGB")
        screen = self._pygame.display.get_surface()
        if screen.get_size() != (width, height):
            # The user has drawn the window to another size; the frame keeps its shape in it.
            size = fit((width, height), screen.get_size(), most=math.inf)
            picture = self._pygame.transform.smoothscale(picture, size)
            screen.fill((0, 0, 0))
        screen.blit(picture, (0, 0))
        self._pygame.display.flip()
        if caption != self._caption:
            self._caption = caption
            self._pygame.display.set_caption(f"{self._title} - {caption}")

    def pressed(self) -> list[str]:
        """The keys pressed since the last call, by name; closing the window is `q`."""
        # Asking for events is also what keeps the window alive for the desktop.
        keys = []
        for event in self._pygame.event.get():
            if event.type == self._pygame.QUIT:
                keys.append(QUIT)
            elif event.type == self._pygame.KEYDOWN and event.key in self._names:
                keys.append(self._names[event.key])
        return keys

    def __enter__(self) -> "Window":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pygame.display.quit()
