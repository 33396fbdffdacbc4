"""The latency table: the work that it counts, the solver, its file, other machines."""

import itertools
import json
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from player.package.weights import BICUBIC, EASY, HARD, INT8, Architecture, unpack_weights
from sr.latency import LatencyError, find, find_latency
from sr.latency.__main__ import main
from sr.latency.bench import (
    MANIFEST,
    Manifest,
    blob_name,
    device_script,
    read_manifest,
    read_times,
    write_probes,
)
from sr.latency.fit import fit_layers, non_negative
from sr.latency.measure import (
    HOST,
    PathTimes,
    Patience,
    build_table,
    compile_probes,
    measure_latency,
    time_in_turns,
    time_networks,
)
from sr.latency.probes import probe_architectures, random_blob, static_chain
from sr.latency.table import MS, LatencyTable, Machine, parse_table
from sr.latency.work import Cache, arena_column_bytes, cut_columns, path_work

SIZE = (135, 480)
CACHE = Cache(512 * 1024, 232, 1)
MACHINE = Machine(HOST, "int8", "avx9", "a processor", "0.1.0", "2026-01-01T00:00:00Z", 4, 1, *SIZE)


def made_table(seed: int = 0) -> LatencyTable:
    """A table whose layers cost what the kernels' loops may cost, by drawn terms."""
    rng = np.random.default_rng(seed)
    per_tile, per_group, per_two, per_block = rng.uniform(0.2, 1.5, (4, 4))

    def added(g: int, b: int) -> float:
        loops = per_group[b] * g + per_two[b] * -(-g // 2) + per_block[b] * -(-g // 4)
        return float(per_tile[b] + loops)

    rows = [list(itertools.accumulate(added(g, b) for b in range(4))) for g in range(1, 17)]
    exits = tuple(3.0 + 0.3 * g + 0.1 * -(-g // 2) for g in range(1, 17))
    return LatencyTable(MACHINE, CACHE, 7.0, (2.0, 4.0, 6.0, 8.0), tuple(map(tuple, rows)), exits)


def frame_times(table: LatencyTable, archs: tuple[Architecture, ...]) -> PathTimes:
    hard = tuple(table.predict_ms(arch, HARD, *SIZE) / MS for arch in archs)
    return PathTimes(hard, table.predict_ms(archs[0], BICUBIC, *SIZE) / MS)


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
    compiler = pytest.importorskip("compiler.engine")
    formats = pytest.importorskip("compiler.formats")
    from sr.models import export_paths

    def planned(widths: tuple[int, ...]) -> int:
        arch = static_chain(4, widths)
        network = compiler.Network(arch, export_paths(arch))
        plan = compiler.plan_network(network, formats.find_format(dtype))
        return plan.plans["hard"].memory.arena.per_column

    value = {"int8": 1, "fp32": 4}[dtype]
    narrow, mixed = (16, 16, 16), (36, 64, 20, 48)
    other = planned(narrow) - arena_column_bytes(narrow, Cache(1, 0, value))
    found = arena_column_bytes(mixed, Cache(1, other, value))
    assert found == pytest.approx(planned(mixed), rel=0.03)


# ---- the solver ----


@pytest.mark.parametrize("seed", range(3))
def test_the_solver_recovers_a_table_exactly(seed):
    wanted = made_table(seed)
    archs = probe_architectures(4)
    found = build_table(MACHINE, CACHE, archs, frame_times(wanted, archs))
    assert np.allclose(found.convolution_ns, wanted.convolution_ns, rtol=1e-6)
    assert np.allclose(found.first_ns, wanted.first_ns, rtol=1e-6)
    assert np.allclose(found.exit_ns, wanted.exit_ns, rtol=1e-6)
    assert found.fixed_ns == pytest.approx(wanted.fixed_ns)


@pytest.mark.parametrize("widest", [32, 48, 64, 96, 128])
def test_the_probes_determine_every_layer(widest):
    archs = probe_architectures(4, widest)
    works = [path_work(arch, HARD, SIZE, CACHE) for arch in archs]
    layers = fit_layers(works, [1e6] * len(works), 1.0, widest)
    assert np.shape(layers.convolution_ns) == (widest // 4, widest // 16)
    with pytest.raises(LatencyError, match="do not determine"):
        fit_layers(works[:4], [1e6] * 4, 1.0, widest)


def test_noise_in_the_times_leaves_predictions_near_and_monotone(table):
    archs, noise = probe_architectures(4), np.random.default_rng(1)
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


def assert_monotone(table: LatencyTable) -> None:
    rows = np.array(table.convolution_ns)
    assert (np.diff(rows, axis=0) >= 0).all() and (np.diff(rows, axis=1) >= 0).all()
    assert (np.diff(table.first_ns) >= 0).all() and (np.diff(table.exit_ns) >= 0).all()


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


# ---- finding and keeping ----


@pytest.fixture
def measurements(monkeypatch, tmp_path, table):
    """How often this machine was measured; nothing is really measured."""
    calls = []

    def measure(target: str, dtype: str, scale: int) -> LatencyTable:
        calls.append((target, dtype, scale))
        return replace(table, machine=replace(table.machine, dtype=dtype, scale=scale))

    monkeypatch.setenv("POCKETSR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(find, "measure_latency", measure)
    return calls


def test_this_machine_is_measured_once_for_each_format_and_scale(measurements):
    first = find_latency(HOST)
    assert find_latency(HOST) == first and measurements == [(HOST, "int8", 4)]
    assert find_latency(HOST, "fp32", 3).machine.scale == 3
    assert measurements[1:] == [(HOST, "fp32", 3)]


def test_a_damaged_cache_is_measured_again(measurements):
    first = find_latency(HOST)
    path = find.cache_path(HOST, "int8", 4)
    path.write_bytes(path.read_bytes()[:100])
    assert find_latency(HOST) == first and len(measurements) == 2
    assert parse_table(path.read_bytes()) == first


def test_another_processor_is_measured_again(measurements, monkeypatch):
    find_latency(HOST)
    monkeypatch.setattr(find, "processor_name", lambda: "another")
    find_latency(HOST)
    assert len(measurements) == 2


def test_a_target_that_is_not_here_says_how_to_measure_it(measurements):
    with pytest.raises(LatencyError, match=r"--target android-arm64 --probes DIR") as caught:
        find_latency("android-arm64")
    assert caught.value.exit_code == 2 and not measurements
    with pytest.raises(LatencyError):
        measure_latency("android-arm64")


def test_a_file_is_taken_for_its_own_format_and_scale(measurements, tmp_path, table):
    path = tmp_path / "phone.json"
    path.write_text(table.to_json())
    assert find_latency(str(path)) == table and not measurements
    with pytest.raises(LatencyError, match="not of int8 at x3"):
        find_latency(str(path), scale=3)
    with pytest.raises(FileNotFoundError):
        find_latency(str(tmp_path / "none.json"))


# ---- timing ----


def test_rounds_end_when_the_medians_stand_and_every_run_has_its_turn():
    order, now = [], itertools.count()

    def run(name: str) -> None:
        order.append(name)

    runs = [lambda: run("a"), lambda: run("b")]
    patience = Patience(least_rounds=6, most_rounds=50)
    times = time_in_turns(runs, patience, clock=lambda: float(next(now)))
    assert times == [[1.0] * 6, [1.0] * 6]
    assert order == ["a", "b"] * 7  # the first round does not count


def test_rounds_go_on_while_the_medians_move():
    now = itertools.accumulate(itertools.count(1))
    patience = Patience(least_rounds=6, most_rounds=12)
    times = time_in_turns([lambda: None], patience, clock=lambda: float(next(now)))
    assert len(times[0]) == 12


def test_probes_are_blobs_that_the_player_reads():
    for arch in probe_architectures(4)[:3]:
        blob = unpack_weights(random_blob(arch, "int8"))
        assert (blob.arch, blob.dtype) == (arch, INT8)
        assert unpack_weights(random_blob(arch, "fp32")).arch == arch


# ---- another machine ----


def made_manifest(size: tuple[int, int] = SIZE) -> Manifest:
    probes = tuple(arch.widths for arch in probe_architectures(4))
    return Manifest("android-arm64", "int8", 4, size, CACHE, probes)


def bench_line(name: str, ms: float, **other: object) -> str:
    bench = {"fps_p50": 1000 / ms, "isa": "i8mm", "size": SIZE, "threads": [{}]} | other
    return json.dumps({"probe": name, "bench": bench})


def device_lines(table: LatencyTable, rounds: int = 3) -> list[str]:
    times = frame_times(table, tuple(made_manifest().architectures))
    named = [("bicubic", times.bicubic_ns)]
    named += [(blob_name(i), ns) for i, ns in enumerate(times.hard_ns)]
    noise = [1.0, 1.0, 5.0]  # a round in which the phone was busy
    lines = [bench_line(n, ns * MS * noise[r]) for r in range(rounds) for n, ns in named]
    return ['{"processor": "SM8650"}', *lines]


def test_a_devices_times_become_its_table(table):
    found = read_times(made_manifest(), device_lines(table), "times.jsonl")
    machine = found.machine
    assert (machine.target, machine.isa, machine.processor) == ("android-arm64", "i8mm", "SM8650")
    assert np.allclose(found.convolution_ns, table.convolution_ns, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], "timed 2 times"),
        (lambda lines: [*lines[:4], lines[4][:20]], "line 5: not JSON"),
        (lambda lines: [*lines, "[]"], "not a JSON object"),
        (lambda lines: [*lines, '{"probe": "bicubic"}'], "not what psr-bench prints"),
        (lambda lines: [*lines, bench_line("bicubic", 1.0, size=(9, 9))], "is wanted"),
        (lambda lines: [*lines, bench_line("bicubic", 1.0, threads=[{}, {}])], "is wanted"),
        (lambda lines: [*lines, bench_line("bicubic", 1.0, isa="neon")], "several instruction"),
    ],
)
def test_times_that_are_not_whole_are_refused(table, change, message):
    with pytest.raises(LatencyError, match=message):
        read_times(made_manifest(), change(device_lines(table)), "times.jsonl")


def test_the_devices_script_prints_what_is_read(tmp_path, table):
    """With a psr-bench that knows its answers."""
    manifest = made_manifest()
    times = frame_times(table, tuple(manifest.architectures))
    cases = [f"{blob_name(i)}-hard) f={1e9 / ns};;" for i, ns in enumerate(times.hard_ns)]
    cases.append(f"{blob_name(0)}-bicubic) f={1e9 / times.bicubic_ns};;")
    form = '{"fps_p50": %s, "isa": "i8mm", "size": [%d, %d], "threads": [{"threads": 1}]}'
    fake = ['case "$2-$4" in', *cases, "esac", f"printf '{form}\\n' $f {SIZE[0]} {SIZE[1]}"]
    (tmp_path / "psr-bench").write_text("\n".join(["#!/bin/sh", *fake, ""]))
    for number in range(len(manifest.probes)):
        (tmp_path / blob_name(number)).touch()
    (tmp_path / "run.sh").write_text(device_script(SIZE))
    environment = {"PATH": "/usr/bin:/bin", "ROUNDS": "3"}
    done = subprocess.run(
        ["sh", str(tmp_path / "run.sh")], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    found = read_times(manifest, done.stdout.splitlines(), "stdout")
    assert np.allclose(found.convolution_ns, table.convolution_ns, rtol=1e-4)


def test_a_manifest_of_something_else_is_refused(tmp_path):
    (tmp_path / MANIFEST).write_text('{"schema": "other"}')
    with pytest.raises(LatencyError, match="make it again"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--from", "x.jsonl"], 2),
        (["--target", "android-arm64"], 2),
        (["--probes", "none", "--from", "none.jsonl"], 3),
        (["--widest", "20", "--probes", "none"], 2),
    ],
)
def test_a_wrong_call_ends_in_one_line_and_its_code(arguments, code, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["latency", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == code
    assert "Traceback" not in capsys.readouterr().err


# ---- for real ----


@pytest.mark.slow
def test_this_machine_measures_a_small_table():
    table = measure_latency(widest=32)
    assert parse_table(table.to_json()) == table and table.widest == 32
    assert_monotone(table)
    narrow, wide = (table.predict_ms(static_chain(4, (w,) * 6), HARD, *SIZE) for w in (4, 32))
    assert 2 * narrow < wide  # one group and block against eight and two


@pytest.mark.slow
def test_psr_bench_of_this_machine_gives_a_table_that_predicts(tmp_path):
    """The way that a phone takes, here; against the engine's own times in this process."""
    manifest = write_probes(HOST, "int8", 4, tmp_path / "probes", widest=32)
    done = subprocess.run(
        ["sh", str(tmp_path / "probes" / "run.sh")], capture_output=True, text=True, check=True
    )
    assert read_manifest(tmp_path / "probes") == manifest
    table = read_times(manifest, done.stdout.splitlines(), "stdout")
    unseen = [static_chain(4, widths) for widths in ((32,) * 6, (16,) * 6, (24, 20) * 3)]
    files, _ = compile_probes(unseen, HOST, "int8", tmp_path / "engine")
    isa, times = time_networks(files.shared, unseen, "int8", SIZE)
    assert isa == table.machine.isa
    predicted = [table.predict_ms(arch, HARD, *SIZE) for arch in unseen]
    for ms, ns in zip(predicted, times.hard_ns, strict=True):
        assert ms / predicted[0] == pytest.approx(ns / times.hard_ns[0], rel=0.15)
