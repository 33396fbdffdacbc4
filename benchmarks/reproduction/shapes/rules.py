"""All transfer functions: importing this module fills ALL_RULES."""

from benchmarks.reproduction.shapes import axes, edo, elementwise, isdo, isvdos, windows
from benchmarks.reproduction.shapes.registry import ALL_RULES

__all__ = ["ALL_RULES", "axes", "edo", "elementwise", "isdo", "isvdos", "windows"]
