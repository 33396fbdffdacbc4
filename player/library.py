"""The engine's shared library: whether a file is one, and the types of its functions."""

import ctypes
import hashlib
import os
import stat
import struct
from typing import Any

MAX_THREADS = 64  # of a pool, as in pool.c
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
_PT_LOAD = 1  # of an ELF file: what is mapped
# Libraries in use, by device and inode. Their descriptors stay open, because the dynamic linker
# knows a library by its name: /proc/self/fd/N of a number that is used again would be the old one.
_LOADED: dict[tuple[int, int], ctypes.CDLL] = {}


def sha256_of(descriptor: int) -> str:
    """SHA-256 (hex) of an open file, from its start; the descriptor stays open."""
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_library(descriptor: int) -> ctypes.CDLL:
    """The library of an open file, which is taken over, or closed where it is none.

    Raises OSError or AttributeError where it is no engine.
    """
    file = os.fstat(descriptor)
    known = _LOADED.get((file.st_dev, file.st_ino))
    try:
        if not known:
            _check_whole(descriptor, file)
        library = known or ctypes.CDLL(f"/proc/self/fd/{descriptor}")
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError):
        os.close(descriptor)
        raise
    if known:
        os.close(descriptor)
    _LOADED[file.st_dev, file.st_ino] = library
    return library


def _check_whole(descriptor: int, file: os.stat_result) -> None:
    """Raises OSError for what is no file, or is cut off.

    The dynamic linker maps what an ELF file says of itself; of a copy that broke off, the first
    page that is missing would end the process.
    """
    if not stat.S_ISREG(file.st_mode):
        raise OSError("no plain file")
    header = os.pread(descriptor, 64, 0)
    if len(header) < 64 or header[:5] != b"\x7fELF\x02":
        raise OSError("no 64-bit ELF file")
    table, size, count = struct.unpack("=32xQ14xHH6x", header)
    for i in range(count):
        segment = os.pread(descriptor, 56, table + i * size)
        kind, offset, in_file = struct.unpack("=I4xQ16xQ16x", segment.ljust(56, b"\xff"))
        if len(segment) < 56 or (kind == _PT_LOAD and offset + in_file > file.st_size):
            raise OSError("it is cut off")
