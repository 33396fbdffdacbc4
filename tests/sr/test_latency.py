"""The latency table: the work that it counts, the solver, its predictions, its file."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from player.package.architecture import Architecture
from player.package.paths import BICUBIC, EASY, HARD
from sr.latency import LatencyError
from sr.latency.fit import fit_layers, non_negative
from sr.latency.measure import (
    benched_architectures,
    build_table,
    static_chain,
)
from sr.latency.table import (
    Cache,
    LatencyTable,
    arena_column_bytes,
    cut_columns,
    parse_table,
    path_work,
)
from tests.sr.made_latency import CACHE, MACHINE, SIZE, assert_monotone, frame_times, made_table


@pytest.fixture(scope="module")
def table() -> LatencyTable:
    return made_table()


# ---- the work that is counted ----


def test_a_layer_computes_the_frame_and_the_margin_that_later_layers_read():
    work = path_work(static_chain(4, (20, 4, 36)), HARD, (10, 30), CACHE)
    assert [layer.pixels for layer in work.trunk] == [14 * 34, 12 * 32, 10 * 30]
    assert [(layer.groups, layer.blocks) for layer in work.trunk] == [(0, 2), (5, 1), (1, 3)]
    assert (work.exit_groups, work.frame_px) == (9, 300)


def test_an_early_exit_computes_its_own_layers_alone():
    dynamic = Architecture("chain", 4, (32, 16, 48), (2, 3))
    assert path_work(dynamic, EASY, (9, 9), CACHE) == path_work(
        static_chain(4, (32, 16)), HARD, (9, 9), CACHE
    )


def test_columns_cover_the_frame_and_keep_to_the_cache():
    assert cut_columns(480, 1000, 512 * 1024) == (480,)
    assert cut_columns(480, 1256, 512 * 1024) == (240, 240)
    assert cut_columns(100, 10**9, 512 * 1024) == (48, 52)  # 64 at least, cut at multiples of 4
    for width, per_column in itertools.product((1, 63, 65, 479, 1921), (100, 1000, 5000)):
        columns = cut_columns(width, per_column, 512 * 1024)
        assert sum(columns) == width
        assert max(columns) <= max(64, 512 * 1024 // per_column) + 4


def test_columns_that_are_cut_compute_their_margins_twice():
    widths = (64,) * 6
    whole, cut = (
        path_work(static_chain(4, widths), HARD, (10, 480), replace(CACHE, cache_bytes=size))
        for size in (1 << 20, 512 * 1024)
    )
    assert whole.trunk[0].pixels == 20 * 490
    assert cut.trunk[0].pixels == 20 * (250 + 250)


@pytest.mark.parametrize("dtype", ["int8", "fp32"])
def test_the_arena_is_that_of_the_compilers_plan(dtype):
    pipeline = pytest.importorskip("compiler.pipeline")
    formats = pytest.importorskip("compiler.plan.formats")

    def planned(widths: tuple[int, ...]) -> int:
        plans = pipeline.plan_network(static_chain(4, widths), formats.find_format(dtype))
        return plans["hard"].memory.arena.per_column

    value = {"int8": 1, "fp32": 4}[dtype]
    narrow, mixed = (16, 16, 16), (36, 64, 20, 48)
    other = planned(narrow) - arena_column_bytes(narrow, Cache(1, 0, value))
    found = arena_column_bytes(mixed, Cache(1, other, value))
    assert found == pytest.approx(planned(mixed), rel=0.03)


# ---- the solver ----


@pytest.mark.parametrize("seed", range(3))
def test_the_solver_recovers_a_table_exactly(seed):
    wanted = made_table(seed)
    archs = benched_architectures(4)
    found = build_table(MACHINE, CACHE, archs, frame_times(wanted, archs))
    assert np.allclose(found.convolution_ns, wanted.convolution_ns, rtol=1e-6)
    assert np.allclose(found.first_ns, wanted.first_ns, rtol=1e-6)
    assert np.allclose(found.exit_ns, wanted.exit_ns, rtol=1e-6)
    assert found.fixed_ns == pytest.approx(wanted.fixed_ns)


@pytest.mark.parametrize("widest", [32, 48, 64, 96, 128])
def test_the_benched_networks_determine_every_layer(widest):
    archs = benched_architectures(4, widest)
    works = [path_work(arch, HARD, SIZE, CACHE) for arch in archs]
    layers = fit_layers(works, [1e6] * len(works), 1.0, widest)
    assert np.shape(layers.convolution_ns) == (widest // 4, widest // 16)
    with pytest.raises(LatencyError, match="do not determine"):
        fit_layers(works[:4], [1e6] * 4, 1.0, widest)


def test_noise_in_the_times_leaves_predictions_near_and_monotone(table):
    archs, noise = benched_architectures(4), np.random.default_rng(1)
    exact = frame_times(table, archs)
    noisy = tuple((np.array(exact.hard_ns) * noise.normal(1, 0.01, len(archs))).tolist())
    found = build_table(MACHINE, CACHE, archs, replace(exact, hard_ns=noisy))
    for widths in ((32,) * 6, (24, 20) * 3, (8,) * 6, (48, 16, 64)):
        arch = static_chain(4, widths)
        wanted = table.predict_ms(arch, HARD, *SIZE)
        assert found.predict_ms(arch, HARD, *SIZE) == pytest.approx(wanted, rel=0.03)
    assert_monotone(found)


@pytest.mark.parametrize("seed", range(20))
def test_non_negative_least_squares_meets_the_conditions_of_optimality(seed):
    rng = np.random.default_rng(seed)
    matrix, wanted = rng.normal(size=(12, 7)), rng.normal(size=12)
    x = non_negative(matrix, wanted)
    slope = matrix.T @ (matrix @ x - wanted)
    assert (x >= 0).all() and (slope > -1e-8).all()
    assert np.abs(slope[x > 0]).max(initial=0) < 1e-8


# ---- the table ----


def test_a_frame_takes_the_sum_of_its_layers(table):
    arch = static_chain(4, (20, 36))
    wanted = 7.0 * 200 + table.first(20) * 12 * 22 + table.convolution(20, 36) * 200
    wanted += table.exit(36) * 200
    assert table.predict_ms(arch, HARD, 10, 20) == pytest.approx(wanted * 1e-6)
    assert table.predict_ms(arch, BICUBIC, 10, 20) == pytest.approx(1400e-6)


def test_outputs_within_a_block_and_inputs_within_a_group_cost_the_same(table):
    assert table.width_step == 16
    assert table.convolution(32, 20) == table.convolution(32, 32) < table.convolution(32, 36)
    assert table.convolution(28, 32) < table.convolution(32, 32) == table.convolution(29, 32)
    assert table.first(4) == table.first(16) < table.first(20)


def test_predictions_rise_with_every_width(table):
    for position, width in itertools.product(range(4), range(4, 64, 4)):
        widths = [24, 40, 16, 32]
        widths[position] = width
        wider = [*widths[:position], width + 4, *widths[position + 1 :]]
        less, more = (table.predict_ms(static_chain(4, w), HARD, *SIZE) for w in (widths, wider))
        assert less < more  # at least the reader's group of inputs


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        (static_chain(3, (32,)), "scale 4"),
        (static_chain(4, (32, 80)), "--widest 80"),
        (Architecture("espcn", 4, (64, 32), (2,)), "espcn"),
    ],
)
def test_networks_that_the_table_does_not_know_are_refused(table, arch, message):
    with pytest.raises(LatencyError, match=message) as caught:
        table.predict_ms(arch, HARD, *SIZE)
    assert caught.value.exit_code == 2


def test_the_file_gives_the_table_back(table):
    assert parse_table(table.to_json()) == table
    assert json.loads(table.to_json())["schema"] == "pocketsr.latency/1"


def broken_tables() -> dict[str, str]:
    fields = json.loads(made_table().to_json())
    nan = fields | {"exit_ns": [float("nan"), *fields["exit_ns"][1:]]}
    return {
        "no json": "{",
        "a list": "[]",
        "nothing": "{}",
        "another schema": json.dumps(fields | {"schema": "pocketsr.latency/2"}),
        "negative": json.dumps(fields | {"fixed_ns": -1.0}),
        "not finite": json.dumps(nan),
        "short row": json.dumps(fields | {"convolution_ns": [[1.0]] * 16}),
        "missing rows": json.dumps(fields | {"convolution_ns": fields["convolution_ns"][:3]}),
        "a text for a number": json.dumps(fields | {"first_ns": "1234"}),
        "no machine": json.dumps(fields | {"machine": None}),
        "a cache of nothing": json.dumps(fields | {"cache": fields["cache"] | {"cache_bytes": 0}}),
        "nested": "[" * 100_000,
    }


@pytest.mark.parametrize("name", broken_tables())
def test_malformed_tables_are_refused(name):
    with pytest.raises(LatencyError, match=r"here: not a latency table"):
        parse_table(broken_tables()[name], "here")
