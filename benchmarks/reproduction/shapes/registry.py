"""The rules of the laboratory: a copy of the product's, which the files beside this one add to."""

from compiler.importing.shapes.operators import Rules
from compiler.importing.shapes.rules import RULES

ALL_RULES = Rules(RULES)
