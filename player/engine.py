"""The compiled engine (`compiler/runtime/pocketsr.h`) from Python, by ctypes.

Arrays are checked here, because C would not. Nothing is copied: rows may be apart, the pixels
of a row must lie together.
"""

import ctypes
import hashlib
import json
import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.package.architecture import Architecture
from player.package.layout import ENGINE_ABI, ENGINE_INFO, ENGINE_LIBRARY
from player.package.package_error import PackageError
from player.package.paths import BICUBIC, PATH_NAMES
from player.package.router_blob import is_router, unpack_router
from player.package.scale import hr_px
from player.package.weights import read_header

MAX_THREADS = 64  # of a pool
_ALIGN = 64  # bytes; a cache line, and the widest vector
_AGAIN = "run `compile` again"
_POINTER, _BYTES, _INT = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
_SIZE, _STRIDE = ctypes.c_size_t, ctypes.c_ssize_t
_OUT = ctypes.POINTER(ctypes.c_void_p)
_IMAGES = (_POINTER, _STRIDE, _INT, _INT, _POINTER, _STRIDE)  # lr, its stride, h, w, hr, its stride
# Result and arguments of each function: without them ctypes would cut pointers to 32 bits.
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "psr_abi": (ctypes.c_uint32, []),
    "psr_build_info": (_BYTES, []),
    "psr_isa": (_BYTES, []),
    "psr_select_isa": (_INT, [_BYTES]),
    "psr_net_open": (_INT, [_BYTES, _SIZE, _OUT]),
    "psr_net_close": (None, [_POINTER]),
    "psr_fault": (_BYTES, [_BYTES, _SIZE]),
    "psr_hr_px": (_INT, [_POINTER, _INT]),
    "psr_unit_px": (_INT, [_POINTER]),
    "psr_info": (_INT, [_POINTER, _INT, _INT, _POINTER, _SIZE]),
    "psr_explain": (_INT, [_POINTER, _INT, _POINTER, _SIZE]),
    "psr_halo_px": (_INT, [_POINTER, _INT]),
    "psr_arena_bytes": (_SIZE, [_POINTER, _INT, _INT, _INT]),
    "psr_upscale": (_INT, [_POINTER, _INT, *_IMAGES, _POINTER]),
    "psr_pool_open": (_INT, [_INT, _OUT]),
    "psr_pool_close": (None, [_POINTER]),
    "psr_frame": (_INT, [_POINTER, _OUT, _INT, _POINTER, _INT, *_IMAGES]),
    "psr_router_open": (_INT, [_BYTES, _SIZE, _OUT]),
    "psr_router_close": (None, [_POINTER]),
    "psr_router_cell_px": (_INT, [_POINTER]),
    "psr_router_hold_frames": (_INT, [_POINTER]),
    "psr_router_arena_bytes": (_SIZE, [_POINTER, _INT, _INT]),
    "psr_route": (_INT, [_POINTER, _POINTER, _STRIDE, _INT, _INT, _POINTER, _POINTER]),
}
_ERRORS = {  # by the value of pocketsr.h: its name there, and what it means
    1: ("PSR_E_FORMAT", "not a blob that this engine can read"),
    2: ("PSR_E_ARCH", "a network outside the family, or of the other dtype"),
    3: ("PSR_E_CRC", "the checksum is wrong, the file is damaged"),
    4: ("PSR_E_LIMIT", "it asks for more than the limits allow"),
    5: ("PSR_E_SELFTEST", "the self-test gives other values than it should"),
    6: ("PSR_E_NOMEM", "out of memory"),
    7: ("PSR_E_ARG", "an argument is out of range"),
}
# Libraries in use, by device and inode. Their descriptors stay open, because the dynamic linker
# knows a library by its name: /proc/self/fd/N of a number that is used again would be the old one.
_LOADED: dict[tuple[int, int], ctypes.CDLL] = {}

Image = NDArray[np.uint8]


class EngineNotFoundError(PackageError):
    """Somebody named an engine, and there is none."""

    exit_code = 3


class EngineError(PackageError):
    """The engine refused something; `name` is the constant of pocketsr.h."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{message} ({name})")
        self.name = name


class Arena:
    """Working memory of one call: `address` is aligned, with `size` bytes behind it."""

    def __init__(self, size: int) -> None:
        # The buffer belongs to this object: an Arena must outlive the call that has its address.
        self._buffer = ctypes.create_string_buffer(size + _ALIGN)
        start = ctypes.addressof(self._buffer)
        self.address = start + -start % _ALIGN


def check_code(code: int, what: str) -> None:
    """Raises EngineError where a call has returned anything but PSR_OK."""
    if code:
        name, message = _ERRORS.get(code, (f"PSR_E_{code}", "the engine reports an unknown error"))
        raise EngineError(name, f"{what}: {message}")


def row_stride(image: Image) -> int:
    """Bytes from row to row; raises EngineError where C could not read or write the pixels."""
    # [row, column, colour] with strides (any, 3, 1); rows that overlap or run backwards are
    # refused.
    packed = image.ndim == 3 and image.shape[2] == 3 and image.strides[1:] == (3, 1)
    if image.dtype != np.uint8 or not packed or image.strides[0] < 3 * image.shape[1]:
        raise EngineError("PSR_E_ARG", f"image {image.shape} {image.dtype} is not RGB24 in rows")
    return image.strides[0]


def sha256_of(descriptor: int) -> str:
    """SHA-256 (hex) of an open file, from its start; the descriptor stays open."""
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


class Engine:
    """A loaded engine: makes networks out of blobs, and pools of threads that run them."""

    def __init__(self, library: ctypes.CDLL, path: Path) -> None:
        self.library = library
        self.path = path
        self.info: dict[str, Any] = json.loads(library.psr_build_info())

    @classmethod
    def open(cls, path: Path | str) -> "Engine":
        """Load the library that somebody named: its path, or that of the folder it is in.

        Raises EngineNotFoundError, or PackageError where it is damaged or of another ABI.
        """
        path = Path(path).resolve()
        path = path / ENGINE_LIBRARY if path.is_dir() else path
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            advice = f"give a {ENGINE_LIBRARY}, or the folder it is in"
            raise EngineNotFoundError(f"{path}: {error.strerror}; {advice}") from error
        try:
            wanted = json.loads((path.parent / ENGINE_INFO).read_bytes()).get("sha256")
        except FileNotFoundError:
            wanted = None  # a library by itself is taken as it is
        except (OSError, ValueError, AttributeError) as error:
            os.close(descriptor)
            raise PackageError(f"{path.parent}/{ENGINE_INFO}: {error}; {_AGAIN}") from error
        if wanted is not None and wanted != sha256_of(descriptor):
            os.close(descriptor)
            raise PackageError(f"{path}: not the file that `compile` made; {_AGAIN}")
        return cls.from_descriptor(descriptor, path)

    @classmethod
    def from_descriptor(cls, descriptor: int, path: Path) -> "Engine":
        """Load the library of an open file, which is taken over; `path` is for messages.

        So that what was checked is what is loaded. Raises PackageError where it is no engine.
        """
        file = os.fstat(descriptor)
        known = _LOADED.get((file.st_dev, file.st_ino))
        try:
            library = known or ctypes.CDLL(f"/proc/self/fd/{descriptor}")
            for name, (result, arguments) in _SIGNATURES.items():
                function = getattr(library, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError) as error:
            os.close(descriptor)
            raise PackageError(f"{path}: not an engine ({error}); {_AGAIN}") from error
        if known:
            os.close(descriptor)
        _LOADED[file.st_dev, file.st_ino] = library
        if library.psr_abi() != ENGINE_ABI:
            raise PackageError(f"{path}: ABI {library.psr_abi()}, not {ENGINE_ABI}; {_AGAIN}")
        return cls(library, path)

    @property
    def isa(self) -> str:
        """The instruction set whose kernels networks are opened for."""
        return str(self.library.psr_isa().decode())

    def select_isa(self, name: str) -> None:
        """Open networks for that instruction set from now on; raises EngineError."""
        check_code(self.library.psr_select_isa(name.encode()), f"instruction set {name}")

    def load(self, blob: bytes) -> "Network":
        """A network out of a weights blob, its self-test passed.

        Raises PackageError where its header is refused, EngineError for all else.
        """
        # C proves the weights themselves, in a hundredth of the time that coded ones take Python.
        arch = read_header(blob).arch
        handle = ctypes.c_void_p()
        code = self.library.psr_net_open(blob, len(blob), ctypes.byref(handle))
        fault = self.library.psr_fault(blob, len(blob)) if code else None
        check_code(code, f"weights: {fault.decode()}" if fault else "weights")
        return Network(self, handle, arch)

    def load_router(self, blob: bytes) -> "Router":
        """A router out of its blob, its self-test passed; raises as `load` does."""
        unpack_router(blob)
        handle = ctypes.c_void_p()
        check_code(self.library.psr_router_open(blob, len(blob), ctypes.byref(handle)), "router")
        return Router(self.library, handle)

    def self_test(self, blob: bytes) -> None:
        """Load a blob, weights or a router, and give it back; raises as `load` does."""
        (self.load_router if is_router(blob) else self.load)(blob).close()

    def pool(self, threads: int | None = None) -> "Pool":
        """A pool of threads (as many as there are cores); raises EngineError."""
        count = threads or min(MAX_THREADS, os.cpu_count() or 1)
        handle = ctypes.c_void_p()
        check_code(self.library.psr_pool_open(count, ctypes.byref(handle)), f"{count} threads")
        return Pool(self, handle, count)


class Network:
    """A network that the engine has unpacked; immutable, for any number of threads."""

    def __init__(self, engine: Engine, handle: ctypes.c_void_p, arch: Architecture) -> None:
        self.engine = engine
        self.handle = handle
        self.arch = arch
        self.scale = arch.scale
        self.paths = tuple(p for p in range(len(PATH_NAMES)) if self.halo_px(p) >= 0)
        # Not __del__: at the interpreter's end the library's functions may be gone before it runs.
        self._finalizer = weakref.finalize(self, engine.library.psr_net_close, handle)

    def halo_px(self, path: int) -> int:
        """LR pixels of context that a patch needs on every side; -1 where there is no such path."""
        return int(self.engine.library.psr_halo_px(self.handle, path))

    def info(self, height_px: int, width_px: int) -> dict[str, Any]:
        """Scale, units, widths and exits; halo, and MACs and arena of a patch, by path."""
        return self._json("psr_info", height_px, width_px)

    def explain(self, path: int) -> dict[str, Any]:
        """The plan of a path: its values and steps, as pocketsr.h says; of all paths together
        for the path behind the last one."""
        return self._json("psr_explain", path)

    def _json(self, function: str, *arguments: int) -> dict[str, Any]:
        write = getattr(self.engine.library, function)
        size = write(self.handle, *arguments, None, 0) + 1
        if size == 1:
            raise EngineError("PSR_E_ARG", f"{function} of {arguments}")
        text = ctypes.create_string_buffer(size)
        write(self.handle, *arguments, text, size)
        found = json.loads(text.value)
        assert isinstance(found, dict)
        return found

    def arena_bytes(self, path: int, height_px: int, width_px: int) -> int:
        """Working memory of `upscale` for a patch of this size without its halo."""
        return int(self.engine.library.psr_arena_bytes(self.handle, path, height_px, width_px))

    def upscale(self, lr: Image, path: int) -> Image:
        """One patch with its halo [h + 2R, w + 2R, 3] u8 to [r h, r w, 3] u8, in this thread."""
        halo = self.halo_px(path)
        height, width = (side - 2 * halo for side in lr.shape[:2])
        if halo < 0 or height < 1 or width < 1:
            raise EngineError("PSR_E_ARG", f"patch of {lr.shape} on path {path}")
        lr_stride = row_stride(lr)
        hr = np.empty((hr_px(height, self.scale), hr_px(width, self.scale), 3), np.uint8)
        arena = Arena(self.arena_bytes(path, height, width))
        code = self.engine.library.psr_upscale(
            self.handle, path, lr.ctypes.data, lr_stride, height, width,
            hr.ctypes.data, row_stride(hr), arena.address,
        )  # fmt: skip
        check_code(code, f"patch of {height}x{width} px")
        return hr

    def close(self) -> None:
        """Give the memory back; the network must not be used any more."""
        self._finalizer()


class Router:
    """A router that the engine has unpacked: from an LR frame to the path of each of its cells.

    Immutable, for any number of threads. `cell_px`: LR pixels of a cell, across and down.
    `hold_frames`: for how many frames a decision should be kept.
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


class Pool:
    """Threads with an arena each, that upscale the patches of a frame."""

    def __init__(self, engine: Engine, handle: ctypes.c_void_p, threads: int) -> None:
        self.engine = engine
        self.handle = handle
        self.threads = threads
        self._finalizer = weakref.finalize(self, engine.library.psr_pool_close, handle)

    def frame(
        self,
        networks: Sequence[Network],
        patches: NDArray[np.int32],
        lr: Image,
        out: Image | None = None,
    ) -> Image:
        """A whole frame [H, W, 3] u8 to [r H, r W, 3] u8, into `out` where it is given.

        `patches` [n, 6] int32 are (y, x, h, w, network, path) in LR pixels and cover the frame.
        Raises EngineError.
        """
        _check_patches(networks, patches, lr)
        height, width = lr.shape[:2]
        scale = networks[0].scale
        shape = hr_px(height, scale), hr_px(width, scale), 3
        hr = np.empty(shape, np.uint8) if out is None else out
        if hr.shape != shape:
            raise EngineError("PSR_E_ARG", f"out of {hr.shape} for a frame of {height}x{width} px")
        # An array of pointers that C reads during the call, and does not keep.
        handles = (ctypes.c_void_p * len(networks))(*(n.handle.value for n in networks))
        code = self.engine.library.psr_frame(
            self.handle, handles, len(networks), patches.ctypes.data, len(patches),
            lr.ctypes.data, row_stride(lr), height, width, hr.ctypes.data, row_stride(hr),
        )  # fmt: skip
        check_code(code, f"frame of {height}x{width} px")
        return hr

    def close(self) -> None:
        """End the threads; the pool must not be used any more."""
        self._finalizer()


def _check_patches(networks: Sequence[Network], patches: NDArray[np.int32], lr: Image) -> None:
    if patches.dtype != np.int32 or patches.ndim != 2 or patches.shape[1] != 6:
        raise EngineError("PSR_E_ARG", f"patches {patches.shape} {patches.dtype} are not [n, 6]")
    if not patches.flags.c_contiguous or not networks:
        raise EngineError("PSR_E_ARG", "patches are not contiguous, or there is no network")
    if len({n.scale for n in networks}) != 1:
        raise EngineError("PSR_E_ARG", "networks of different scales in one frame")
    y, x, h, w, network, path = patches.T.astype(np.int64)  # so that no sum can overflow
    inside = (y >= 0) & (x >= 0) & (h >= 1) & (w >= 1)
    inside &= (y + h <= lr.shape[0]) & (x + w <= lr.shape[1])
    inside &= (network >= 0) & (network < len(networks))
    inside &= (path >= BICUBIC) & (path < len(PATH_NAMES))
    if not inside.all():
        raise EngineError("PSR_E_ARG", "a patch lies outside the frame, or names no network")
    # By area alone: patches that overlap would pass, and leave pixels of the frame unwritten, but
    # never write outside of it.
    if (h * w).sum() != lr.shape[0] * lr.shape[1]:
        raise EngineError("PSR_E_ARG", "the patches do not cover the frame once")
