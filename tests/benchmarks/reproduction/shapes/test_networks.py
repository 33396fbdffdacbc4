"""Rank and dimension propagation on the networks themselves, and the table in docs/shapes.md."""

import json
from pathlib import Path

import pytest

from benchmarks.reproduction.shapes import count_constants, everything
from benchmarks.reproduction.shapes import prove_shapes as prove_with_all_rules
from benchmarks.reproduction.shapes.shape_class import (
    ConvolutionClass,
    SideClass,
    convolution_classes,
)
from benchmarks.shapes import declared_shapes, import_as_tvm_does, measure_path, table
from compiler.importing.program import import_program
from compiler.importing.shapes import prove_shapes
from compiler.pipeline import PASSES
from compiler.plan.verify import bindings_of
from sr.models import architecture, export_paths

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def programs():
    """Each network's paths at x4."""
    names = ("chain", "espcn", "wdsr")
    return {name: export_paths(architecture(name, 4, dynamic=True)) for name in names}


def recognised(program):
    module = import_program(program)
    for stage in PASSES:
        module = stage.run(module)
    return module


def test_clamps_are_proved_inert_where_relax_keeps_them(programs):
    """min(max(h - 4, 0), h) - min(4, h) is h - 8 for the h >= 14 that the program promises."""
    module = import_as_tvm_does(programs["chain"]["hard"])
    relax_says, we_say = declared_shapes(module), prove_shapes(module)
    bindings = bindings_of(module["main"])
    crops = [b.var for b in bindings if "strided_slice" in str(b.value)[:30]]
    h = we_say.dims(module["main"].params[0])[2]
    assert "max" in str(relax_says.of(crops[0])) and "max" not in str(we_say.of(crops[0]))
    eight = we_say.domain.apply(lambda n: n - 8, h)
    assert we_say.domain.equal(we_say.dims(crops[0])[2], eight)
    counts = [
        sum(count_constants(proofs.of(b.var))[0] for b in bindings)
        for proofs in (relax_says, we_say)
    ]
    assert counts == [144, 148]


def test_every_dimension_of_every_network_is_proved(programs):
    for paths in programs.values():
        for program in paths.values():
            module = import_program(program)
            proofs = prove_shapes(module)
            for var in proofs.region.facts:
                proved, number = count_constants(proofs.of(var))
                assert proved == number
            # The rules that no network needs change nothing of what is proved.
            more = prove_with_all_rules(module)
            assert {str(v): str(proofs.of(v)) for v in proofs.region.facts} == {
                str(v): str(facts) for v, facts in everything(more).items()
            }


def test_wdsr_needs_the_proofs_to_be_imported_at_all(programs):
    without, with_proofs = measure_path("wdsr", "hard", programs["wdsr"]["hard"])
    assert without.dims is None
    assert with_proofs.sums == (5, 5)  # four blocks, and the skip convolution
    assert with_proofs.fused[0] == with_proofs.fused[1]


def test_versions_are_chosen_by_what_is_constant(programs):
    first, *_, last = convolution_classes(recognised(programs["chain"]["easy"]))
    assert first == ConvolutionClass(
        "trunk.0", 3, 32, 3, SideClass("s53 - 2", 4, 8190), SideClass("s0 - 2", 4, 8190)
    )
    assert (last.layer, last.channels_in, last.channels_out, last.window) == ("exits.0", 32, 48, 1)
    assert last.rows.is_symbolic


def test_classes_are_of_recognised_modules(programs):
    module = import_program(programs["espcn"]["hard"])
    assert convolution_classes(module) == ()  # nothing is recognised yet


def test_the_table_in_the_docs_is_the_json_and_the_json_is_true(programs):
    rows = json.loads((ROOT / "benchmarks/results/shapes.json").read_text())["rows"]
    assert table(rows) in (ROOT / "docs/shapes.md").read_text(encoding="utf-8")
    now = measure_path("chain", "hard", programs["chain"]["hard"])
    before = [r for r in rows if (r["network"], r["path"]) == ("chain", "hard")]
    for measured, kept in zip(now, before, strict=True):
        for name in ("dims", "sums", "fused", "formulas"):
            assert list(getattr(measured, name)) == kept[name]
        assert measured.calls == kept["calls"]
