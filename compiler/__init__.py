"""The compiler: a target -> an engine for every network of the family (docs/compiler.md)."""

from compiler.compile_error import CompileError
from compiler.engine import EngineFiles, compile_engine

__all__ = ["CompileError", "EngineFiles", "compile_engine"]
