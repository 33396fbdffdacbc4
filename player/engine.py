"""The compiled engine (`compiler/runtime/pocketsr.h`) from Python, by ctypes.

Images are not copied: rows may be apart, the pixels of a row must lie together. Whatever is given
(player/arrays.py), and whatever was closed meanwhile (player/handle.py), is an EngineError.
"""

import ctypes
import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.arrays import Image, Patches, bytes_of, check_out, checked_patches, int_of, row_stride
from player.handle import Arena, EngineError, Handle, check_code
from player.library import MAX_THREADS, load_library, sha256_of
from player.package.architecture import Architecture
from player.package.layout import ENGINE_ABI, ENGINE_INFO, ENGINE_LIBRARY
from player.package.package_error import PackageError
from player.package.paths import PATH_NAMES
from player.package.router_blob import is_router, unpack_router
from player.package.scale import hr_px
from player.package.weights import read_header

__all__ = ["MAX_THREADS", "Engine", "EngineError", "EngineNotFoundError", "Image", "Network",
           "Pool", "Router"]  # fmt: skip

_AGAIN = "run `compile` again"


class EngineNotFoundError(PackageError):
    """Somebody named an engine, and there is none."""

    exit_code = 3


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
        path = Path(os.path.realpath(path))
        try:
            path = path / ENGINE_LIBRARY if path.is_dir() else path
            # A pipe without a writer would be waited for.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
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
        try:
            library = load_library(descriptor)
        except (OSError, AttributeError) as error:
            raise PackageError(f"{path}: not an engine ({error}); {_AGAIN}") from error
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
        blob = bytes_of(blob)
        # C proves the weights themselves, in a hundredth of the time that coded ones take Python.
        arch = read_header(blob).arch
        handle = ctypes.c_void_p()
        code = self.library.psr_net_open(blob, len(blob), ctypes.byref(handle))
        fault = self.library.psr_fault(blob, len(blob)) if code else None
        check_code(code, f"weights: {fault.decode()}" if fault else "weights")
        return Network(self, Handle("network", handle, self.library.psr_net_close), arch)

    def load_router(self, blob: bytes) -> "Router":
        """A router out of its blob, its self-test passed; raises as `load` does."""
        blob = bytes_of(blob)
        unpack_router(blob)
        handle = ctypes.c_void_p()
        check_code(self.library.psr_router_open(blob, len(blob), ctypes.byref(handle)), "router")
        return Router(self.library, Handle("router", handle, self.library.psr_router_close))

    def self_test(self, blob: bytes) -> None:
        """Load a blob, weights or a router, and give it back; raises as `load` does."""
        blob = bytes_of(blob)
        (self.load_router if is_router(blob) else self.load)(blob).close()

    def pool(self, threads: int | None = None) -> "Pool":
        """A pool of 1 to 64 threads (as many as there are cores); raises EngineError."""
        cores = min(MAX_THREADS, os.cpu_count() or 1)
        count = int_of(cores if threads is None else threads, "threads")
        handle = ctypes.c_void_p()
        check_code(self.library.psr_pool_open(count, ctypes.byref(handle)), f"{count} threads")
        close = self.library.psr_pool_close
        return Pool(self, Handle("pool", handle, close, has_threads=True), count)


class Network:
    """A network that the engine has unpacked; immutable, for any number of threads."""

    def __init__(self, engine: Engine, handle: Handle, arch: Architecture) -> None:
        self.engine = engine
        self.handle = handle
        self.arch = arch
        self.scale = arch.scale
        self.paths = tuple(p for p in range(len(PATH_NAMES)) if self.halo_px(p) >= 0)

    def halo_px(self, path: int) -> int:
        """LR pixels of context that a patch needs on every side; -1 where there is no such path."""
        with self.handle as net:
            return int(self.engine.library.psr_halo_px(net, int_of(path, "path")))

    def info(self, height_px: int, width_px: int) -> dict[str, Any]:
        """Scale, units, widths and exits; halo, and MACs and arena of a patch, by path."""
        return self._json("psr_info", height_px, width_px)

    def explain(self, path: int) -> dict[str, Any]:
        """The plan of a path: its values and steps, as pocketsr.h says; of all paths together
        for the path behind the last one."""
        return self._json("psr_explain", path)

    def _json(self, function: str, *asked: int) -> dict[str, Any]:
        write = getattr(self.engine.library, function)
        arguments = [int_of(number, function) for number in asked]
        with self.handle as net:
            size = write(net, *arguments, None, 0) + 1
            if size == 1:
                raise EngineError("PSR_E_ARG", f"{function} of {asked}")
            text = ctypes.create_string_buffer(size)
            write(net, *arguments, text, size)
        found = json.loads(text.value)
        assert isinstance(found, dict)
        return found

    def arena_bytes(self, path: int, height_px: int, width_px: int) -> int:
        """Working memory of `upscale` for a patch of this size without its halo."""
        size = int_of(height_px, "height"), int_of(width_px, "width")
        with self.handle as net:
            return int(self.engine.library.psr_arena_bytes(net, int_of(path, "path"), *size))

    def upscale(self, lr: Image, path: int) -> Image:
        """One patch with its halo [h + 2R, w + 2R, 3] u8 to [r h, r w, 3] u8, in this thread.

        Raises EngineError.
        """
        lr_stride, halo = row_stride(lr), self.halo_px(path)
        height, width = (side - 2 * halo for side in lr.shape[:2])
        if halo < 0 or height < 1 or width < 1:
            raise EngineError("PSR_E_ARG", f"patch of {lr.shape} on path {path}")
        hr = np.empty((hr_px(height, self.scale), hr_px(width, self.scale), 3), np.uint8)
        arena = Arena(self.arena_bytes(path, height, width))
        with self.handle as net:
            code = self.engine.library.psr_upscale(
                net, path, lr.ctypes.data, lr_stride, height, width,
                hr.ctypes.data, row_stride(hr), arena.address,
            )  # fmt: skip
        check_code(code, f"patch of {height}x{width} px")
        return hr

    def close(self) -> None:
        """Give the memory back; calls that are under way end first, later ones are refused."""
        self.handle.close()


class Router:
    """A router that the engine has unpacked: from an LR frame to the path of each of its cells.

    Immutable, for any number of threads. `cell_px`: LR pixels of a cell, across and down.
    `hold_frames`: for how many frames a decision should be kept.
    """

    def __init__(self, library: ctypes.CDLL, handle: Handle) -> None:
        self.library = library
        self.handle = handle
        with handle as router:
            self.cell_px = int(library.psr_router_cell_px(router))
            self.hold_frames = int(library.psr_router_hold_frames(router))

    def arena_bytes(self, height_px: int, width_px: int) -> int:
        """Working memory of `route` for a frame of this size."""
        size = int_of(height_px, "height"), int_of(width_px, "width")
        with self.handle as router:
            return int(self.library.psr_router_arena_bytes(router, *size))

    def route(self, lr: Image) -> NDArray[np.uint8]:
        """The path [rows, columns] u8 of each cell of a frame [h, w, 3] u8, in this thread.

        Cells at the right and bottom may be cut. Raises EngineError.
        """
        stride = row_stride(lr)
        height, width = lr.shape[:2]
        paths = np.empty((-(-height // self.cell_px), -(-width // self.cell_px)), np.uint8)
        arena = Arena(self.arena_bytes(height, width))
        with self.handle as router:
            code = self.library.psr_route(
                router, lr.ctypes.data, stride, height, width, paths.ctypes.data, arena.address
            )
        check_code(code, f"frame of {height}x{width} px")
        return paths

    def close(self) -> None:
        """Give the memory back; calls that are under way end first, later ones are refused."""
        self.handle.close()


class Pool:
    """Threads with an arena each, that upscale the patches of a frame.

    One frame at a time: of several Python threads the others wait. A process that was forked has
    none of the threads, and opens a pool of its own.
    """

    def __init__(self, engine: Engine, handle: Handle, threads: int) -> None:
        self.engine = engine
        self.handle = handle
        self.threads = threads

    def frame(
        self,
        networks: Sequence[Network],
        patches: Patches,
        lr: Image,
        out: Image | None = None,
    ) -> Image:
        """A whole frame [H, W, 3] u8 to [r H, r W, 3] u8, into `out` where it is given.

        `patches` [n, 6] int32 are (y, x, h, w, network, path) in LR pixels and cover the frame
        once. Raises EngineError.
        """
        networks = tuple(networks)
        self._check_networks(networks)
        lr_stride = row_stride(lr)
        patches = checked_patches(patches, len(networks), lr)
        (height, width), scale = lr.shape[:2], networks[0].scale
        shape = hr_px(height, scale), hr_px(width, scale), 3
        if out is not None:
            check_out(out, shape, lr)
        hr = np.empty(shape, np.uint8) if out is None else out
        with ExitStack() as opened:
            pool = opened.enter_context(self.handle)
            # An array of pointers that C reads during the call, and does not keep.
            nets = [opened.enter_context(network.handle).value for network in networks]
            code = self.engine.library.psr_frame(
                pool, (ctypes.c_void_p * len(nets))(*nets), len(nets), patches.ctypes.data,
                len(patches), lr.ctypes.data, lr_stride, height, width, hr.ctypes.data,
                row_stride(hr),
            )  # fmt: skip
        check_code(code, f"frame of {height}x{width} px")
        return hr

    def _check_networks(self, networks: Sequence[Network]) -> None:
        if not networks:
            raise EngineError("PSR_E_ARG", "there is no network")
        library = self.engine.library
        # What one library unpacked is nonsense to another.
        if not all(isinstance(n, Network) and n.engine.library is library for n in networks):
            raise EngineError("PSR_E_ARG", "a network was not loaded by the engine of the pool")
        if len({network.scale for network in networks}) != 1:
            raise EngineError("PSR_E_ARG", "networks of different scales in one frame")

    def close(self) -> None:
        """End the threads; a frame that is under way ends first, later ones are refused."""
        self.handle.close()
