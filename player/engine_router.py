"""A router on the engine: from an LR frame to the path of each of its cells."""

import ctypes
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.engine_calls import Arena, Image, check_code, row_stride

_POINTER, _INT = ctypes.c_void_p, ctypes.c_int
ROUTER_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "psr_router_open": (_INT, [ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(_POINTER)]),
    "psr_router_close": (None, [_POINTER]),
    "psr_router_cell_px": (_INT, [_POINTER]),
    "psr_router_hold_frames": (_INT, [_POINTER]),
    "psr_router_arena_bytes": (ctypes.c_size_t, [_POINTER, _INT, _INT]),
    "psr_route": (
        _INT,
        [_POINTER, _POINTER, ctypes.c_ssize_t, _INT, _INT, _POINTER, _POINTER],
    ),
}


class Router:
    """A router that the engine has unpacked; immutable, for any number of threads.

    `cell_px`: LR pixels of a cell, across and down. `hold_frames`: for how many frames a decision
    should be kept.
    """

    def __init__(self, library: ctypes.CDLL, handle: ctypes.c_void_p) -> None:
        self.library = library
        self.handle = handle
        self.cell_px = int(library.psr_router_cell_px(handle))
        self.hold_frames = int(library.psr_router_hold_frames(handle))
        self._finalizer = weakref.finalize(self, library.psr_router_close, handle)

    def arena_bytes(self, height_px: int, width_px: int) -> int:
        """Working memory of `route` for a frame of this size."""
        return int(self.library.psr_router_arena_bytes(self.handle, height_px, width_px))

    def route(self, lr: Image) -> NDArray[np.uint8]:
        """The path [rows, columns] u8 of each cell of a frame [h, w, 3] u8, in this thread.

        Cells at the right and bottom may be cut. Raises EngineError.
        """
        height, width = lr.shape[:2]
        stride = row_stride(lr)
        paths = np.empty((-(-height // self.cell_px), -(-width // self.cell_px)), np.uint8)
        arena = Arena(self.arena_bytes(height, width))
        code = self.library.psr_route(
            self.handle, lr.ctypes.data, stride, height, width, paths.ctypes.data, arena.address
        )
        check_code(code, f"frame of {height}x{width} px")
        return paths

    def close(self) -> None:
        """Give the memory back; the router must not be used any more."""
        self._finalizer()
