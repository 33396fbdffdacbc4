"""All transfer functions: importing this module fills `operators.RULES`."""

from compiler.importing.shapes import axes, edo, elementwise, isdo, isvdos, windows

__all__ = ["axes", "edo", "elementwise", "isdo", "isvdos", "windows"]
