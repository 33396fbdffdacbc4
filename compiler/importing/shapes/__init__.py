"""Rank and dimension propagation: what is known of shapes before anything runs (docs/shapes.md)."""

from compiler.importing.shapes.facts import Facts, TensorFacts, TupleFacts
from compiler.importing.shapes.lattice import NAC, UNDEF, Element, Inferred, Known, Symbolic
from compiler.importing.shapes.proofs import ShapeProofs, count_constants, prove_shapes

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
    "count_constants",
    "prove_shapes",
]
