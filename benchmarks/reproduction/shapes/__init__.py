"""Rank and dimension propagation for all of Relax, on top of the product's (docs/shapes.md).

The compiler needs the rules of seven operators (compiler/importing/shapes/rules.py). SoD2's claim
is about any model: here are the rules of the others, control flow, R.match_cast and inputs of
unknown shape, held to NumPy by random graphs (tests/benchmarks/reproduction/shapes).
"""

from benchmarks.reproduction.shapes.analysis import everything, prove_shapes
from benchmarks.reproduction.shapes.cells import count_constants

__all__ = ["count_constants", "everything", "prove_shapes"]
