"""The comparison with other runtimes: its arithmetic, its records, and a tiny real run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import peer_summary as s
from benchmarks import played
from benchmarks.entrants import Bench, Entrant, check_picture, find_entrants
from benchmarks.footprint import library_bytes, middle
from benchmarks.harness import Timing
from benchmarks.limits import LIMIT
from benchmarks.peer_groups import (
    LARGEST_SIDES_PX,
    SMALLEST_SIDE_PX,
    difference,
    measure_new_sizes,
    measure_quality,
    measure_whole,
    new_sizes,
)
from benchmarks.peers import Store
from benchmarks.runtimes import NAMES, OURS, find_runtime
from benchmarks.runtimes.interface import (
    Order,
    PlanesSession,
    Runtime,
    Session,
    Unsupported,
    planes,
)
from benchmarks.subject import Subject
from player.package.architecture import Architecture
from sr.models import build_network

SIZE = (24, 40)


def timed(runtime: str, dtype: str, gops: float, **labels: Any) -> s.Row:
    base = {"subject": s.HARD, "lr": s.MAIN_SIZE, "threads": 1, "median_ms": 1.0, "spread": 0.0}
    return {**base, "runtime": runtime, "dtype": dtype, "gops": gops, **labels}


ROWS = [
    timed(OURS, "int8", 400.0),
    timed("openvino", "int8", 250.0),
    timed("onnxruntime", "int8", 100.0),
    timed(LIMIT, "int8", 500.0),
    timed(OURS, "int8", 450.0, subject=s.CONVOLUTIONS),
    timed(OURS, "fp32", 100.0),
    timed("mnn", "fp32", 125.0),
    timed("onnxruntime", "fp32", 80.0),
    timed(LIMIT, "fp32", 110.0),
]


def test_the_fastest_peer_is_found_among_peers_alone():
    figures = s.summary(ROWS)
    assert figures["int8_fastest_peer"] == "openvino"
    assert figures["int8_ratio_to_fastest_peer"] == 1.6
    assert figures["fp32_fastest_peer"] == "mnn"
    assert figures["fp32_ratio_to_fastest_peer"] == 0.8
    assert figures["fp32_ratio_to_onnxruntime"] == 1.25
    assert figures["fp32_ratio_to_openvino"] is None
    assert figures["int8_ratio_to_fastest_peer_2_threads"] is None


def test_shares_are_of_the_limit_of_the_same_format():
    figures = s.summary(ROWS)
    assert figures["int8_share_of_limit"] == 0.8
    assert figures["int8_share_of_limit_3x3"] == 0.9
    assert figures["fp32_share_of_limit"] == round(100 / 110, 3)


def test_new_sizes_are_compared_call_by_call():
    def calls(runtime: str, gops: float, *calls_ms: float) -> s.Row:
        return timed(runtime, "int8", gops, subject=s.DYNAMIC, lr="new", calls_ms=list(calls_ms))

    rows = [calls(OURS, 9.0, 1.0, 2.0, 4.0), calls("x", 5.0, 2.0, 10.0, 12.0), calls("y", 1.0, 9)]
    figures = s.summary(rows)
    assert figures["dynamic_ratio_to_fastest_peer"] == 3.0  # the middle of 2, 5 and 3
    assert figures["dynamic_fastest_peer"] == "x int8"


def test_footprints_are_compared_with_whoever_needs_least_of_each():
    def needs(runtime: str, peak: float, first: float, library: float) -> s.Row:
        figures = {"peak_over_idle_mib": peak, "first_frame_ms": first, "library_mib": library}
        return {"subject": s.FOOTPRINT, "runtime": runtime, "dtype": "int8", **figures}

    figures = s.summary([needs(OURS, 5, 10, 1), needs("a", 50, 15, 20), needs("b", 20, 40, 30)])
    assert figures["memory_ratio_to_leanest_peer"] == 4.0
    assert figures["memory_leanest_peer"] == "b int8"
    assert figures["first_frame_ratio_to_leanest_peer"] == 1.5
    assert figures["library_ratio_to_leanest_peer"] == 20.0


def test_what_int8_loses_is_against_our_fp32():
    def kept(runtime: str, dtype: str, db: float) -> s.Row:
        return {"subject": s.QUALITY, "runtime": runtime, "dtype": dtype, "psnr_hr_db": db}

    rows = [kept(OURS, "fp32", 32.0), kept(OURS, "int8", 31.99), kept("a", "int8", 31.7)]
    assert s.summary(rows)["int8_loss_db"] == {OURS: 0.01, "a": 0.3}
    assert s.summary([])["int8_loss_db"] is None


def test_the_table_has_every_timed_row(capsys):
    s.print_tables(ROWS)
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line]) == len(ROWS) + 1
    assert lines[0].split()[:3] == ["subject", "lr", "threads"]
    assert len({len(line) for line in lines if line}) == 1


def test_what_a_longer_run_does_more_is_taken_round_by_round():
    assert difference(Timing((3.0, 5.0)), Timing((1.0, 2.0))).samples_s == (2.0, 3.0)


def test_new_sizes_differ_and_stay_within_bounds():
    sizes = list(new_sizes(50))
    assert len(set(sizes)) == 50
    assert sizes == list(new_sizes(50))
    for side, most in zip(np.array(sizes).T, LARGEST_SIDES_PX, strict=True):
        assert side.min() >= SMALLEST_SIDE_PX and side.max() <= most


def test_other_networks_are_compared_by_themselves():
    names = list(s.OTHER_NETWORKS)
    rows = [timed(OURS, "int8", 30.0, subject=names[0]), timed("x", "int8", 20.0, subject=names[0])]
    figures = s.summary(ROWS + rows)
    assert figures["other_networks"][f"{names[0]} int8"] == {"ratio": 1.5, "fastest_peer": "x int8"}
    assert {name.rpartition(" ")[0] for name in figures["other_networks"]} == {names[0]}
    assert figures["int8_ratio_to_fastest_peer"] == 1.6


def test_places_are_what_pixel_unshuffle_makes_of_a_frame_with_its_halo():
    lr = np.random.default_rng(0).integers(0, 256, (6, 10, 3), np.uint8)
    padded = torch.from_numpy(planes(lr, 4))
    wanted = torch.nn.functional.pixel_unshuffle(padded, 2).numpy()
    assert np.array_equal(planes(lr, 4, units=2), wanted)


def test_an_interrupted_run_goes_on(tmp_path):
    first = Store(tmp_path / "rows.part", resume=False)
    assert first.rows("a", lambda: [{"x": 1}]) == [{"x": 1}]
    again = Store(tmp_path / "rows.part", resume=True)
    assert again.rows("a", lambda: [{"x": 2}]) == [{"x": 1}]
    fresh = Store(tmp_path / "rows.part", resume=False)
    assert fresh.rows("a", lambda: [{"x": 2}]) == [{"x": 2}]
    assert json.loads((tmp_path / "rows.part").read_text()) == {"a": [{"x": 2}]}


def test_a_footprint_is_the_median_of_each_figure():
    assert middle([{"a": 1.0, "b": 9}, {"a": 3.0, "b": 7}, {"a": 2.0, "b": 8}]) == {"a": 2, "b": 8}


def test_a_runtimes_size_is_that_of_its_mapped_libraries(tmp_path):
    files = [tmp_path / n for n in ("own/a.so", "own.libs/b.so.1", "other/c.so", "owner/d.so")]
    for i, file in enumerate(files):
        file.parent.mkdir()
        file.write_bytes(bytes(10**i))
    maps = "".join(f"7f00-7f01 r-xp 0 08:01 5    {file}\n" * 2 for file in files)
    runtime = _Broken()
    runtime.libraries = ("own",)
    assert library_bytes(runtime, maps) == 1 + 10


@pytest.mark.parametrize("name", NAMES)
def test_every_runtime_says_what_it_needs(name):
    runtime = find_runtime(name)
    assert runtime.name == name
    assert set(runtime.dtypes) <= {"fp32", "int8"}
    assert runtime.dtypes == ("fp32", "int8") or runtime.absent


class _Broken(Runtime):
    """Gives black pictures in fp32 and has no int8."""

    name = "broken"

    def convert(self, subject: Subject, order: Order) -> None:
        if order.dtype == "int8":
            raise Unsupported("no integers")

    def open(self, order: Order, threads: int) -> Session:
        return _Black(order)


class _Black(PlanesSession):
    def run(self, fed: Any) -> Any:
        height, width = (4 * (side - 12) for side in fed.shape[2:])
        return np.zeros((1, 3, height, width), np.float32)


@pytest.fixture(scope="module")
def subject() -> Subject:
    """A network of the default's form and random weights, on a picture that is not flat."""
    arch = Architecture("chain", 4, (16,) * 6, (2, 6))
    tensors = {k: t.numpy() for k, t in build_network(arch, seed=1).deployed_tensors().items()}
    y, x = np.mgrid[: 4 * SIZE[0], : 4 * SIZE[1]]
    waves = [127 + 100 * np.sin(x / (7 + c) + y / (9 - c)) for c in range(3)]
    frame = np.stack(waves, axis=2).astype(np.uint8)
    return Subject(arch, tensors, (frame,), (frame,))


def test_wrong_pictures_end_the_comparison(subject):
    exact = subject.exact(subject.lr(SIZE))
    check_picture(Entrant(_Broken(), "fp32"), exact, exact)
    for dtype in ("fp32", "int8"):
        with pytest.raises(SystemExit, match="broken"):
            check_picture(Entrant(_Broken(), dtype), np.zeros_like(exact), exact)


def test_who_is_absent_is_listed_with_the_reason(subject, tmp_path, monkeypatch):
    runtime = _Broken()
    monkeypatch.setattr("benchmarks.entrants.find_runtime", lambda _: runtime)
    entrants, absent = find_entrants(["broken"], subject, [SIZE, None], tmp_path)
    assert [e.name for e in entrants] == ["broken fp32"]
    assert {a["reason"] for a in absent} == {"int8, no integers"}
    runtime.modules = ("no_such_module",)
    entrants, absent = find_entrants(["broken"], subject, [SIZE], tmp_path)
    assert not entrants and absent[0]["reason"] == "not installed: no_such_module"


@pytest.fixture(scope="module")
def bench(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = Path(tmp_path_factory.mktemp("peers"))
    entrants, _ = find_entrants((OURS, "onnxruntime"), subject, [SIZE, None], folder)
    return Bench(subject, tuple(entrants), folder, rounds=2)


@pytest.mark.slow
def test_a_tiny_comparison(bench):
    """Both runtimes in both formats compute the same picture in turns, and every row is there."""
    rows = measure_whole(bench, SIZE, 1)
    rows += measure_new_sizes(bench, 3, 1)
    names = {(r["subject"], r["runtime"], r["dtype"]) for r in rows if r["runtime"] != LIMIT}
    both = {(name, dtype) for name in (OURS, "onnxruntime") for dtype in ("fp32", "int8")}
    assert {(n, d) for subject, n, d in names if subject == s.HARD} == both
    assert {(n, d) for subject, n, d in names if subject == s.DYNAMIC} == both
    assert {(n, d) for subject, n, d in names if subject == s.CONVOLUTIONS} == {
        (OURS, "fp32"),
        (OURS, "int8"),
    }
    assert s.pick(rows, runtime=LIMIT, dtype="fp32")
    json.dumps(rows)


@pytest.mark.slow
def test_quality_is_measured_on_the_test_frames(bench):
    rows = {(r["runtime"], r["dtype"]): r for r in measure_quality(bench, SIZE)}
    assert rows[OURS, "fp32"]["psnr_exact_db"] > 60
    for name in (OURS, "onnxruntime"):
        assert 30 < rows[name, "int8"]["psnr_exact_db"] < 100


def test_as_played_is_compared_with_the_fastest_peer_of_each_clip():
    def row(clip: str, runtime: str, ratio: float) -> dict[str, Any]:
        return {"clip": clip, "runtime": runtime, "threads": 1, "ratio": ratio}

    rows = [row("a", played.ROUTED, 1.0), row("a", played.ALL_HARD, 1.2), row("a", "x", 2.0)]
    rows += [row("a", "y", 3.0), row("b", played.ROUTED, 1.0), row("b", "x", 4.0)]
    figures = played.summary(rows, [{"clip": "a", "given_away_db": 0.05}])
    assert figures["ratio_to_fastest_peer_1_thread"] == {"a": 2.0, "b": 4.0}
    assert figures["mean_ratio_1_thread"] == 3.0
    assert figures["given_away_db"] == {"a": 0.05}
    assert played.hard_patches(np.array([[0, 0, 4, 4, 3, 1]], np.int32)).tolist() == [
        [0, 0, 4, 4, 3, 2]
    ]
