"""Rank and dimension propagation: what is known of shapes before anything runs (docs/shapes.md)."""

from compiler.importing.shapes.analysis import ShapeProofs, prove_shapes
from compiler.importing.shapes.facts import Facts, TensorFacts, TupleFacts
from compiler.importing.shapes.lattice import NAC, UNDEF, Element, Inferred, Known, Symbolic

__all__ = [
    "NAC",
    "UNDEF",
    "Element",
    "Facts",
    "Inferred",
    "Known",
    "ShapeProofs",
    "Symbolic",
    "TensorFacts",
    "TupleFacts",
    "prove_shapes",
]
