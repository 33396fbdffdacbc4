"""Memory between two pages that nothing may touch: one byte beyond it ends the process."""

import ctypes
import mmap

import numpy as np

_PAGE = mmap.PAGESIZE
_PROT_NONE = 0
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def fenced(size: int, align: int = 1, at_end: bool = True) -> np.ndarray:
    """`size` bytes that end where the upper forbidden page begins, or begin behind the lower one.

    The address is a multiple of `align`, for which the end may move down by less than `align`.
    """
    pages = -(-size // _PAGE)
    block = mmap.mmap(-1, (pages + 2) * _PAGE)
    whole = np.frombuffer(block, np.uint8)
    for page in (0, pages + 1):
        if _libc.mprotect(whole.ctypes.data + page * _PAGE, _PAGE, _PROT_NONE):
            raise OSError(ctypes.get_errno(), "mprotect")
    start = _PAGE + ((pages * _PAGE - size) // align * align if at_end else 0)
    return whole[start : start + size]
