"""Soundness: on random graphs, what the analysis says is what a run finds. Never wrong."""

import faulthandler
from collections import Counter
from contextlib import suppress
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from random import Random

import numpy as np
import pytest
import tvm
from tvm import relax

from benchmarks.reproduction.shapes import count_constants, everything, isvdos, prove_shapes
from compiler.importing.shapes import NAC, Facts, ShapeProofs, Symbolic, TensorFacts, TupleFacts
from compiler.importing.shapes.lattice import formula_of, value_of
from tests.benchmarks.reproduction.shapes.relax_graphs import DECLARED, FAILURES, make_function
from tests.benchmarks.reproduction.shapes.relax_reference import Run

GRAPHS = 300


def check(facts: Facts, value, symbols, tally: Counter, place: str) -> None:
    """Every constant is the number that the run has there."""
    if isinstance(facts, TupleFacts):
        assert len(facts.fields) == len(value)
        for field, part in zip(facts.fields, value, strict=True):
            check(field, part, symbols, tally, place)
        return
    if facts.dims is NAC or isinstance(value, list):
        tally["nac"] += 1
        return
    shape = (len(value),) if isinstance(value, tuple) else np.shape(value)
    contents = [] if facts.values is NAC else list(facts.values)
    numbers = np.reshape(value, -1) if contents else []
    assert len(facts.dims) == len(shape) and len(contents) == len(numbers), (place, shape)
    found = zip((*facts.dims, *contents), (*shape, *numbers), strict=True)
    for element, number in found:
        tally["nac" if element is NAC else "proved"] += 1
        if element is not NAC:
            assert value_of(formula_of(element), symbols) == number, (place, shape)


def inputs_symbols(proofs: ShapeProofs, run: Run, params) -> dict:
    """Values of the symbols, those that the analysis gave to open dimensions included."""
    symbols = dict(run.symbols)
    for param in params:
        facts, value = proofs.of(param), run.values[param]
        assert isinstance(facts, TensorFacts)
        cells = zip(facts.dims, value.shape, strict=True) if facts.dims is not NAC else ()
        contents = () if facts.values is NAC else facts.values
        numbers = zip(contents, np.reshape(value, -1)[: len(contents)], strict=True)
        for element, number in (*cells, *numbers):
            if isinstance(element, Symbolic):
                symbols.setdefault(element.symbol, int(number))
    return symbols


def check_graph(seed: int, tally: Counter) -> None:
    random = Random(seed)
    module, inputs = make_function(random)
    proofs = prove_shapes(module)
    proved = everything(proofs)
    assert proofs.rounds <= 2 + sum(len(proofs.dims(v) or ()) + 1 for v in proved)
    for _ in range(4):
        run = Run(module=module)
        try:
            run.enter(module["main"], inputs.draw(random))
        except FAILURES:
            tally["stopped"] += 1
            continue
        tally["runs"] += 1
        symbols = inputs_symbols(proofs, run, module["main"].params)
        for var, value in run.values.items():
            place = f"seed {seed}, {var.name} = {proved[var]}"
            check(proved[var], value, symbols, tally, place)
    for var, facts in proved.items():
        tally["relax"] += declared_constants(var.ty)
        tally["rdp"] += count_constants(facts)[0]


def declared_constants(declared: tvm.ir.Type) -> int:
    """Dimensions that Relax's own struct info has as numbers or formulas."""
    if isinstance(declared, tvm.ir.TupleType):
        return sum(map(declared_constants, declared.fields))
    if not isinstance(declared, relax.TensorType):
        return 1 if isinstance(declared, relax.ShapeType) and declared.ndim >= 0 else 0
    return len(declared.shape.values) if isinstance(declared.shape, relax.ShapeExpr) else 0


@pytest.mark.parametrize("part", range(5))
def test_random_graphs_have_the_shapes_that_were_proved(part):
    tally: Counter = Counter()
    for seed in range(part * GRAPHS // 5, (part + 1) * GRAPHS // 5):
        check_graph(seed, tally)
    assert tally["runs"] > tally["stopped"]  # most graphs run at other sizes too
    assert tally["proved"] > 4 * tally["nac"]  # and most of their dimensions are proved
    assert tally["rdp"] > 1.3 * tally["relax"]  # more than Relax knows by itself


@pytest.mark.slow
def test_many_random_graphs_have_the_shapes_that_were_proved():
    tally: Counter = Counter()
    for seed in range(100_000, 102_000):
        check_graph(seed, tally)
    assert tally["runs"] > tally["stopped"]


@pytest.mark.slow
def test_tvm_itself_finds_the_shapes_that_were_proved():
    """The same, on TVM's virtual machine, with those graphs that it can compile and run."""
    tally: Counter = Counter()
    for seed in range(200):
        random = Random(seed)
        module, inputs = make_function(random, most_steps=8, names=DECLARED)
        run = Run(module=module)
        with suppress(*FAILURES):
            run.enter(module["main"], inputs.draw(random))
            # Relax gives an empty slice a negative size.
            is_whole = all(np.size(v) for v in run.values.values() if v is not None)
            results = run_on_machine(module, run) if is_whole else None
            if results is not None:
                check_machine(seed, module, run, results, tally)
    assert tally["runs"] > 20 and tally["proved"] > 400


def run_on_machine(module: tvm.IRModule, run: Run):
    """All results; None where the VM cannot. In a process of its own: some graphs crash it."""

    def work(pipe: Connection) -> None:
        faulthandler.disable()
        arguments = [tvm.runtime.tensor(run.values[p]) for p in module["main"].params]
        with suppress(RuntimeError, *FAILURES):
            machine = relax.VirtualMachine(tvm.compile(module, "llvm"), tvm.cpu())
            pipe.send(from_machine(machine["main"](*arguments)))

    here, there = Pipe()
    child = get_context("fork").Process(target=work, args=(there,))
    child.start()
    there.close()
    try:
        return here.recv()
    except EOFError:
        return None
    finally:
        child.join()


def check_machine(seed: int, module, run: Run, results, tally: Counter) -> None:
    tally["runs"] += 1
    proofs, main = prove_shapes(module), module["main"]
    symbols = inputs_symbols(proofs, run, main.params)
    for place, var in enumerate(main.body.body.fields):
        facts = proofs.of(var)
        check(facts, results[place], symbols, tally, f"seed {seed}, {var.name} = {facts}")


def from_machine(value):
    """A VM's value as NumPy's: an array, a tuple of sizes, or a list of such."""
    if hasattr(value, "numpy"):
        return value.numpy()
    parts = list(value)
    return tuple(parts) if all(isinstance(p, int) for p in parts) else [*map(from_machine, parts)]


def test_a_wrong_rule_would_be_found(monkeypatch):
    """The property can fail: a slice that forgets its clamps is caught."""

    def unclamped(domain, length, begin, end, step):
        return domain.apply(lambda b, e: e - b, begin, end)

    monkeypatch.setattr(isvdos, "slice_length", unclamped)
    with pytest.raises(AssertionError, match="seed"):
        for seed in range(40):
            check_graph(seed, Counter())
