"""The compiler: torch.export programs -> an engine for a target (docs/compiler.md)."""

from compiler.engine import EngineFiles, Network, compile_engine
from compiler.errors import CompileError

__all__ = ["CompileError", "EngineFiles", "Network", "compile_engine"]
