"""Weights blobs damaged on purpose, and what psr_net_open says of them."""

import ctypes
import struct
import zlib

from player.engine import Engine

OK, FORMAT, ARCH, CRC, LIMIT, SELFTEST = range(6)


def opened_code(engine: Engine, data: bytes) -> int:
    """The code of psr_net_open for these bytes; what it opened is closed again."""
    handle = ctypes.c_void_p()
    code = engine.library.psr_net_open(data, len(data), ctypes.byref(handle))
    assert bool(handle) == (code == OK)
    if handle:
        engine.library.psr_net_close(handle)
    return int(code)


def sealed(body: bytes) -> bytes:
    """Bytes with the checksum that makes the parser read on."""
    return body + struct.pack("<I", zlib.crc32(body))


def patched(blob: bytes, at: int, value: bytes) -> bytes:
    """The blob with other bytes from `at` on, its checksum mended."""
    return sealed(blob[:at] + value + blob[at + len(value) : -4])
