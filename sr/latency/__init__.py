"""What widths cost on a target: milliseconds of the engine, measured on its real kernels.

It is a part of `sr`, not of the compiler, because pruning asks for it where there may be no TVM:
the table and its predictions need NumPy alone. Only measuring (`measure.py`) loads
the compiler and the engine, and only when it is called, as the commands do.
"""

from sr.latency.measure import find_latency
from sr.latency.table import LatencyError, LatencyTable

__all__ = ["LatencyError", "LatencyTable", "find_latency"]
