"""Soundness: on random graphs, what the analysis says is what a run finds. Never wrong."""

from collections import Counter
from random import Random

import numpy as np
import pytest

from compiler.shapes import NAC, Facts, ShapeProofs, TensorFacts, prove_shapes
from compiler.shapes.facts import TupleFacts
from compiler.shapes.formula import value_of
from compiler.shapes.lattice import NotConstant, Symbolic, formula_of
from tests.compiler.relax_graphs import FAILURES, make_function
from tests.compiler.relax_reference import Run

GRAPHS = 250  # 1000s of values; a second a hundred graphs


def check(facts: Facts, value, symbols, tally: Counter) -> None:
    """Every constant is the number that the run has there."""
    if isinstance(facts, TupleFacts):
        assert len(facts.fields) == len(value)
        for field, part in zip(facts.fields, value, strict=True):
            check(field, part, symbols, tally)
        return
    if facts.dims is NAC or isinstance(value, list):
        tally["nac"] += 1
        return
    shape = (len(value),) if isinstance(value, tuple) else np.shape(value)
    assert len(facts.dims) == len(shape)
    contents = [] if facts.values is NAC else list(facts.values)
    numbers = np.reshape(value, -1) if contents else []
    assert len(contents) == len(numbers)
    for element, number in [
        *zip(facts.dims, shape, strict=True),
        *zip(contents, numbers, strict=True),
    ]:
        tally["nac" if element is NAC else "proved"] += 1
        if element is not NAC:
            assert value_of(formula_of(element), symbols) == number, (element, number)


def inputs_symbols(proofs: ShapeProofs, run: Run, params) -> dict:
    """Values of the symbols, those that the analysis gave to open dimensions included."""
    symbols = dict(run.symbols)
    for param in params:
        facts, value = proofs.of(param), run.values[param]
        assert isinstance(facts, TensorFacts)
        cells = (
            [] if isinstance(facts.dims, NotConstant) else zip(facts.dims, value.shape, strict=True)
        )
        numbers = (
            []
            if isinstance(facts.values, NotConstant)
            else zip(facts.values, np.reshape(value, -1), strict=True)
        )
        for element, number in [*cells, *numbers]:
            if isinstance(element, Symbolic):
                symbols.setdefault(element.symbol, int(number))
    return symbols


def check_graph(seed: int, tally: Counter) -> None:
    random = Random(seed)
    module, inputs = make_function(random)
    proofs = prove_shapes(module)
    everything = proofs.everything()
    function = module["main"]
    tally["rounds"] = max(tally["rounds"], proofs.rounds)
    for _ in range(4):
        run = Run(module=module)
        try:
            run.enter(function, inputs.draw(random))
        except FAILURES:
            tally["stopped"] += 1
            continue
        tally["runs"] += 1
        symbols = inputs_symbols(proofs, run, function.params)
        for var, value in run.values.items():
            try:
                check(everything[var], value, symbols, tally)
            except AssertionError as e:
                raise AssertionError(
                    f"seed {seed}: {var.name} {everything[var]} {np.shape(value)} {e}\n{module}"
                ) from e


@pytest.mark.parametrize("part", range(5))
def test_random_graphs_have_the_shapes_that_were_proved(part):
    tally: Counter = Counter()
    for seed in range(part * GRAPHS // 5, (part + 1) * GRAPHS // 5):
        check_graph(seed, tally)
    assert tally["runs"] > tally["stopped"]  # most graphs run at other sizes too
    assert tally["proved"] > 4 * tally["nac"]  # and most of their dimensions are proved
