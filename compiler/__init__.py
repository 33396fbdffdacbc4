"""The compiler: torch.export programs -> an engine for a target (docs/compiler.md)."""

from compiler.compile_error import CompileError
from compiler.engine import EngineFiles, Network, compile_engine

__all__ = ["CompileError", "EngineFiles", "Network", "compile_engine"]
