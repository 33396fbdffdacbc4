"""The whole search, on a film small enough: what it makes is proved, never worse than plain."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.same_bytes import drifting_pictures, write_film
from chunking.input_error import InputError
from chunking.probe import probe
from chunking.stream import write_lr_stream
from player.package.index import read_index
from player.package.sizes import part_bytes, rated_bytes
from player.package.verify import verify_package
from sr.encode import best, rounds
from sr.encode.best import encode_best
from sr.encode.ladder import LadderOptions, encode_ladder
from sr.encode.report_file import read_report
from sr.encode.search_options import SearchOptions
from sr.progress import Progress
from sr.rate import sample
from sr.rate.curve import Point
from sr.rate.goal import GoalError
from sr.rate.judge import judge_package
from sr.rate.proof import Verdict, compare

METRICS = ("psnr_y", "psnr_rgb")


def search(film: Path, out: Path, **options) -> dict:
    options = {"lr_codec": "h264", "steps": 4, "threads": 1, **options}
    with Progress() as progress:
        return encode_best(SearchOptions.of(film, out, **options), progress)


@pytest.fixture(scope="module")
def found(film, tmp_path_factory):
    """A search that ended with the plain encode, and its folder."""
    out = tmp_path_factory.mktemp("found") / "p"
    return search(film, out), out


def test_a_film_too_short_for_weights_is_the_plain_encode(found, film):
    report, out = found
    networks = [c for c in report["search"]["considered"] if c["widths"]]
    assert all(choice["shipped"] for choice in networks)  # none of its own was worth a trial
    assert report["method"] == "plain" and report["scale"] == 1
    assert verify_package(out).ok
    assert not (out / "work").exists()
    shown = judge_package(out, film, METRICS).shown
    assert shown.quality["psnr_y"] == pytest.approx(report["plain"]["psnr_y"], abs=1e-3)
    sizes = part_bytes(out, read_index(out).index)
    assert shown.bytes == report["made"]["bytes"] == rated_bytes(sizes)


def test_a_film_larger_than_any_stream_is_refused_before_any_work(film, tmp_path, monkeypatch):
    large = replace(probe(film), width=5120, height=2880)
    monkeypatch.setattr(best, "probe", lambda source: large)
    options = SearchOptions.of(film, tmp_path / "p", lr_codec="h264")
    with Progress() as progress:
        with pytest.raises(InputError, match="too large for x1"):
            encode_best(options, progress)
        with pytest.raises(InputError, match="too large for x1"):
            encode_ladder(LadderOptions(options, None), progress)
    assert not (tmp_path / "p").exists()


def test_a_search_that_is_done_stays_done(found, film):
    report, out = found
    assert search(film, out) == read_report(out) == report


def test_encodes_side_by_side_change_nothing(found, film, tmp_path):
    beside = search(film, tmp_path / "p", threads=2)
    assert beside["search"]["points"] == found[0]["search"]["points"]
    assert beside["search"]["best"] == found[0]["search"]["best"]


def with_network(monkeypatch, report, better):
    """Let the search choose a network, and the proof say what it is worth."""
    plain = report["search"]["plain"]
    shape = {"widths": [8, 8, 8], "exits": [2, 3], "units": 1}
    found = {**report["search"], "best": {**plain, **shape}}
    monkeypatch.setattr(best._Best, "_search", lambda self: found)
    judged = lambda package, points, metric, segments: Verdict(  # noqa: E731
        better, {"psnr_y": 0.1}, {"psnr_y": 30.0, "psnr_rgb": 29.0}
    )
    monkeypatch.setattr(best, "compare", judged)


def without_network(search: dict) -> list[dict]:
    """What a search considered of plain encodes."""
    return [choice for choice in search["considered"] if not choice["widths"]]


def test_a_network_that_is_ahead_is_the_package(found, film, tmp_path, monkeypatch):
    with_network(monkeypatch, found[0], better=True)
    report = search(film, tmp_path / "p")
    assert report["method"] == "dydca"
    assert report["plain"].items() >= {"psnr_y": 30.0, "psnr_rgb": 29.0}.items()
    assert (tmp_path / "p/sr/weights-000.bin").exists()
    assert verify_package(tmp_path / "p").ok
    assert {p["device"] for p in report["phones"]} >= {"flagship", "mid-range"}


def test_a_network_that_is_behind_is_not(found, film, tmp_path, monkeypatch):
    with_network(monkeypatch, found[0], better=False)
    report = search(film, tmp_path / "p")
    assert report["method"] == "plain"
    assert not (tmp_path / "p/sr/weights-000.bin").exists()
    assert verify_package(tmp_path / "p").ok


@pytest.mark.parametrize("pays", [True, False])
def test_where_the_best_does_not_pay_the_next_best_is_tried(
    found, film, tmp_path, monkeypatch, capsys, pays
):
    """Of another scale: what was promised wrong there was promised wrong for all its networks."""
    known = found[0]["search"]
    shape = {"widths": [8, 8, 8], "exits": [2, 3], "units": 1}
    first = {**known["plain"], **shape, "worth": 1.4}
    near = {**first, "worth": 1.3}
    other = {**first, "scale": 2, "crf": 20.0, "worth": 1.2}
    plain_2 = {**known["plain"], "scale": 2, "worth": 0.5}
    rest = [first, near, other, *known["considered"], plain_2]
    told = {**known, "best": first, "considered": rest}
    monkeypatch.setattr(best._Best, "_search", lambda self: told)
    seen: list[float] = []

    def judged(package, points, metric, segments):
        seen.append(package.made_by["scale"])
        return replace(compare(package, points, metric, segments), better=pays and seen[-1] == 2)

    monkeypatch.setattr(best, "compare", judged)
    report = search(film, tmp_path / "p")
    # A smaller stream as it is, and of frames moved through the network; without any HR at last.
    assert seen == [1, 2, 2] if pays else seen[:4] == [1, 2, 2, 1]
    assert (report["method"], report["scale"]) == (("dydca", 2) if pays else ("plain", 1))
    moved = {"moved": True} if report["ways"][0]["moved"] else {}
    assert report["chosen"] == (other | moved if pays else told["plain"])
    said = capsys.readouterr().err
    assert "the next best is tried" in said
    assert ("this is the plain encode" in said) == (not pays)


def test_a_small_stream_stands_beside_plain_ones_of_both_sizes(found, film, tmp_path, monkeypatch):
    known = found[0]["search"]
    small = {**known["plain"], "scale": 2, "units": 1}
    made = {**small, "widths": [8, 8, 8], "exits": [2, 3]}
    known = {**known, "best": made, "considered": [*without_network(known), small]}
    monkeypatch.setattr(best._Best, "_search", lambda self: known)
    seen: list = []

    def judged(package, points, metric, segments):
        seen.extend([package, *points])
        return compare(package, points, metric, segments)

    monkeypatch.setattr(best, "compare", judged)
    search(film, tmp_path / "p", lr="bicubic")
    package, stream, goal, at_hr, as_small = seen[:5]
    assert [p.made_by["scale"] for p in (package, stream, goal)] == [2, 2, 1]
    assert [p.made_by["scale"] for p in (at_hr, as_small)] == [1, 2]
    assert stream.bytes < package.bytes and as_small.quality != stream.quality


@pytest.mark.parametrize(
    ("lr", "saves", "is_dim"),
    [
        (None, True, False),
        (None, False, False),
        (None, True, True),
        ("learned", False, False),
        ("learned", True, True),
    ],
)
def test_frames_moved_through_the_network_are_taken_where_they_save_more(
    found, film, tmp_path, monkeypatch, capsys, saves, is_dim, lr
):
    """But not where the stream alone shows much less; who asks for them gets no others."""
    if is_dim:
        monkeypatch.setitem(best.MOST_LESS_ALONE, "psnr_y", -100.0)
    known = found[0]["search"]
    small = {**known["plain"], "scale": 2, "units": 1, "crf": 20.0}
    made = {**small, "widths": [8, 8, 8], "exits": [2, 3]}
    known = {**known, "best": made, "considered": [*without_network(known), small]}
    monkeypatch.setattr(best._Best, "_search", lambda self: known)
    saved = iter([0.1, 0.2] if saves else [0.2, 0.1])
    seen: list = []

    def judged(package, points, metric, segments):
        seen.append(package)
        return replace(
            compare(package, points, metric, segments),
            better=True,
            saved={"psnr_y": next(saved)},
        )

    monkeypatch.setattr(best, "compare", judged)
    report = search(film, tmp_path / "p", lr=lr)
    moved = (saves or lr == "learned") and not is_dim
    assert report["chosen"].get("moved", False) is moved
    only = is_dim or lr == "learned"
    assert [way["moved"] for way in report["ways"]] == ([moved] if only else [moved, not moved])
    assert report["made"] == seen[1 if moved and not only else 0].to_json()
    assert ("bicubic ones are taken" in capsys.readouterr().err) == (is_dim and lr == "learned")
    if not only:
        assert seen[1].bytes != seen[0].bytes
    assert verify_package(tmp_path / "p").ok
    assert str(tmp_path) not in (tmp_path / "p/report.json").read_text()


def test_a_smaller_plain_encode_is_proved_beside_hr(found, film, tmp_path, monkeypatch):
    """The sample promised it; of drifting waves half the pixels show far less, and by however few
    bytes: HR is there."""
    known = found[0]["search"]
    small = {**known["plain"], "scale": 2, "units": 1}
    considered = [*without_network(known), small]
    known = {**known, "plain": small, "best": small, "considered": considered}
    monkeypatch.setattr(best._Best, "_search", lambda self: known)
    seen: list = []

    def judged(package, points, metric, segments):
        seen.append([package, *points])
        return compare(package, points, metric, segments)

    monkeypatch.setattr(best, "compare", judged)
    report = search(film, tmp_path / "p")
    assert report["method"] == "plain" and report["scale"] == 1
    package, *points = seen[0]
    at_hr = [point.bytes for point in points if point.made_by["scale"] == 1]
    assert package.made_by["scale"] == 2 and len(set(at_hr)) == 2
    assert package.quality in [point.quality for point in points]


def test_where_nothing_pays_the_plain_encode_is_the_one_that_is_least_behind(
    found, film, tmp_path, monkeypatch
):
    """Of sintel_desert by H.265 at crf 38 a stream of scale 3 was given, behind one of scale 2 that
    its proof had made."""
    known = found[0]["search"]
    best_small = {**known["plain"], "scale": 2, "units": 1}
    considered = [*without_network(known), best_small]
    known = {**known, "best": known["plain"], "considered": considered}
    points = [dict(point) for point in known["points"]]
    small = [{**point, "scale": 2, "psnr_rgb": point["psnr_rgb"] + 9} for point in points]
    known |= {"points": [*points, *small]}  # as the sample has it, ahead by RGB
    monkeypatch.setattr(best._Best, "_search", lambda self: known)

    def judged(package, points, metric, segments):
        behind = -0.1 if package.made_by["scale"] == 1 else -0.02
        return replace(compare(package, points, metric, segments), saved={metric: behind})

    monkeypatch.setattr(best, "compare", judged)
    monkeypatch.setattr(rounds.Rounds, "meets", lambda self, attempt, goal: True)
    report = search(film, tmp_path / "p")
    assert (report["method"], report["scale"]) == ("plain", 2)
    assert report["made"]["psnr_y"] == report["plain"]["psnr_y"]

    # But not where it does not show what is asked for.
    monkeypatch.undo()
    monkeypatch.setattr(best._Best, "_search", lambda self: known)
    monkeypatch.setattr(best, "compare", judged)
    assert search(film, tmp_path / "q")["scale"] == 1


def test_the_last_crf_of_a_codec_has_a_slope_too(film, tmp_path):
    found = search(film, tmp_path / "p", like_crf=51)["search"]
    assert {p["crf"] for p in found["points"] if p["scale"] == 1} >= {51, 47}
    assert found["plain"]["quality_per_crf"] < 0 and found["plain"]["ln_bytes_per_crf"] < 0


def test_without_a_slope_the_first_attempt_stands(found, film, tmp_path, monkeypatch):
    known = {**found[0]["search"]}
    known["plain"] = {**known["plain"], "quality_per_crf": 0.0}
    with_network(monkeypatch, {"search": known}, better=True)
    assert search(film, tmp_path / "p")["method"] == "dydca"


def test_a_killed_search_goes_on_where_it_was(found, film, tmp_path, monkeypatch):
    with_network(monkeypatch, found[0], better=True)
    judge, calls = rounds.judge_package, []

    def killed(folder, *rest, **more):
        calls.append(folder.name)
        if folder.name.startswith("network"):
            raise KeyboardInterrupt
        return judge(folder, *rest, **more)

    monkeypatch.setattr(rounds, "judge_package", killed)
    with pytest.raises(KeyboardInterrupt):
        search(film, tmp_path / "p")
    kept = (tmp_path / "p/work/network-0/sr/weights-000.bin").read_bytes()
    monkeypatch.setattr(rounds, "judge_package", judge)
    search(film, tmp_path / "p")
    assert calls == ["hr-0", "network-0"]
    assert (tmp_path / "p/sr/weights-000.bin").read_bytes() == kept


def test_a_search_goes_on_behind_the_last_encode_of_its_sample(found, film, tmp_path, monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        before = count_encodes(patched, most=1)
        search(film, tmp_path / "p")
    after = count_encodes(monkeypatch, most=99)
    report = search(film, tmp_path / "p")
    assert after and not {*before} & {*after}
    for part in ("points", "best", "considered"):
        assert report["search"][part] == found[0]["search"][part]


def count_encodes(patched, most: int) -> list[str]:
    """The encodes of the sample from now on; behind `most` the search is killed."""
    made: list[str] = []

    def write(frames, folder, *rest):
        if len(made) == most:
            raise KeyboardInterrupt
        made.append(folder.name)
        return write_lr_stream(frames, folder, *rest)

    patched.setattr(sample, "write_lr_stream", write)
    return made


def test_a_target_out_of_reach_says_what_is_near(film, tmp_path):
    with pytest.raises(GoalError, match="cannot be reached with h264: the nearest is"):
        search(film, tmp_path / "p", target_kbps=2.0)
    assert GoalError.exit_code == 4


def test_bytes_that_are_asked_for_are_met(film, tmp_path, found):
    kbps = found[0]["made"]["kbps"] * 0.8
    report = search(film, tmp_path / "p", target_kbps=kbps)
    assert report["made"]["kbps"] == pytest.approx(kbps, rel=0.06)


@pytest.mark.parametrize("here", [True, False])
def test_the_proof_asks_for_vmaf_where_its_tool_is(film, tmp_path, monkeypatch, here):
    monkeypatch.setattr(
        "sr.encode.search_options.measurable", lambda wanted: list(wanted) if here else []
    )

    def proved(**options):
        return SearchOptions.of(film, tmp_path / "p", lr_codec="h264", **options).proved

    assert proved() == ("psnr_y", "psnr_rgb", *(["vmaf"] if here else []))
    # What is measured is what is learned.
    asked = {"lr_codec": "h264"}
    assert SearchOptions.of(film, tmp_path / "p", **asked).training.loss == (
        "contrast" if here else "ycbcr"
    )
    assert SearchOptions.of(film, tmp_path / "p", loss="rgb", **asked).training.loss == "rgb"
    by_rgb = SearchOptions.of(film, tmp_path / "p", metric="psnr-rgb", **asked)
    assert by_rgb.training.loss == "rgb"
    # Who tunes the encoder for PSNR wants PSNR.
    assert proved(codec_opts="tune=psnr") == ("psnr_y", "psnr_rgb")


def test_a_package_that_is_behind_in_vmaf_is_not_better():
    def point(size: int, psnr: float, vmaf: float) -> Point:
        return Point(size, {"psnr_y": psnr, "vmaf": vmaf})

    plain = [point(100_000, 30, 60), point(200_000, 33, 80), point(400_000, 36, 90)]
    assert compare(point(200_000, 34, 80), plain, "psnr_y", 1).better
    behind = compare(point(200_000, 34, 78), plain, "psnr_y", 1)
    assert not behind.better and behind.saved["vmaf"] < -0.005 < behind.saved["psnr_y"]


def test_a_film_with_odd_sides_is_searched_as_any(tmp_path):
    """Its stream at scale 1 is a row and a column larger, as 4:2:0 wants it."""
    film = write_film(tmp_path / "odd.mkv", [p[:-1, :-1] for p in drifting_pictures(8, 96, 128)])
    assert (probe(film).height, probe(film).width) == (95, 127)
    report = search(film, tmp_path / "p")
    assert report["scale"] == 1 and verify_package(tmp_path / "p").ok
    judged = judge_package(tmp_path / "p", film, METRICS).shown
    assert judged.quality["psnr_y"] == pytest.approx(report["plain"]["psnr_y"], abs=1e-3)
