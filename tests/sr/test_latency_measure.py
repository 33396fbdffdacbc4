"""Latency tables are found, kept and measured, here and on other machines."""

import itertools
import json
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.latency_table import (
    MANIFEST,
    Manifest,
    blob_name,
    device_script,
    main,
    read_manifest,
    read_times,
    write_bench,
)
from player.package.paths import HARD
from player.package.weights import INT8, unpack_weights
from sr.latency import LatencyError, find_latency, measure
from sr.latency.measure import (
    HOST,
    Patience,
    benched_architectures,
    compile_networks,
    measure_latency,
    random_blob,
    static_chain,
    time_in_turns,
    time_networks,
)
from sr.latency.table import MS, LatencyTable, parse_table
from tests.sr.made_latency import CACHE, SIZE, assert_monotone, frame_times, made_table


@pytest.fixture(scope="module")
def table() -> LatencyTable:
    return made_table()


# ---- finding and keeping ----


@pytest.fixture
def measurements(monkeypatch, tmp_path, table):
    """How often this machine was measured; nothing is really measured."""
    calls = []

    def pretend(target: str, dtype: str, scale: int) -> LatencyTable:
        calls.append((target, dtype, scale))
        return replace(table, machine=replace(table.machine, dtype=dtype, scale=scale))

    monkeypatch.setenv("POCKETSR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(measure, "measure_latency", pretend)
    return calls


def test_this_machine_is_measured_once_for_each_format_and_scale(measurements):
    first = find_latency(HOST)
    assert find_latency(HOST) == first and measurements == [(HOST, "int8", 4)]
    assert find_latency(HOST, "fp32", 3).machine.scale == 3
    assert measurements[1:] == [(HOST, "fp32", 3)]


def test_a_damaged_cache_is_measured_again(measurements):
    first = find_latency(HOST)
    path = measure.cache_path(HOST, "int8", 4)
    path.write_bytes(path.read_bytes()[:100])
    assert find_latency(HOST) == first and len(measurements) == 2
    assert parse_table(path.read_bytes()) == first


def test_another_processor_is_measured_again(measurements, monkeypatch):
    find_latency(HOST)
    monkeypatch.setattr(measure, "processor_name", lambda: "another")
    find_latency(HOST)
    assert len(measurements) == 2


def test_a_target_that_is_not_here_says_how_to_measure_it(measurements):
    with pytest.raises(LatencyError, match=r"--target android-arm64 --bench DIR") as caught:
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


def test_benched_networks_are_blobs_that_the_player_reads():
    for arch in benched_architectures(4)[:3]:
        blob = unpack_weights(random_blob(arch, "int8"))
        assert (blob.arch, blob.dtype) == (arch, INT8)
        assert unpack_weights(random_blob(arch, "fp32")).arch == arch


# ---- another machine ----


def made_manifest(size: tuple[int, int] = SIZE) -> Manifest:
    networks = tuple(arch.widths for arch in benched_architectures(4))
    return Manifest("android-arm64", "int8", 4, size, CACHE, networks)


def bench_line(name: str, ms: float, **other: object) -> str:
    bench = {"fps_p50": 1000 / ms, "isa": "i8mm", "size": SIZE, "threads": [{}]} | other
    return json.dumps({"network": name, "bench": bench})


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
        (lambda lines: [*lines, '{"network": "bicubic"}'], "not what psr-bench prints"),
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
    for number in range(len(manifest.networks)):
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
        (["--bench", "none", "--from", "none.jsonl"], 3),
        (["--widest", "20", "--bench", "none"], 2),
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
    manifest = write_bench(HOST, "int8", 4, tmp_path / "bench", widest=32)
    done = subprocess.run(
        ["sh", str(tmp_path / "bench" / "run.sh")], capture_output=True, text=True, check=True
    )
    assert read_manifest(tmp_path / "bench") == manifest
    table = read_times(manifest, done.stdout.splitlines(), "stdout")
    unseen = [static_chain(4, widths) for widths in ((32,) * 6, (16,) * 6, (24, 20) * 3)]
    files, _ = compile_networks(unseen, HOST, "int8", tmp_path / "engine")
    isa, times = time_networks(files.shared, unseen, "int8", SIZE)
    assert isa == table.machine.isa
    predicted = [table.predict_ms(arch, HARD, *SIZE) for arch in unseen]
    for ms, ns in zip(predicted, times.hard_ns, strict=True):
        assert ms / predicted[0] == pytest.approx(ns / times.hard_ns[0], rel=0.15)
