"""`encode --ladder`: rungs of a small film, which are dropped, and that all of it resumes."""

from pathlib import Path

import pytest

from player.package.index import read_index
from player.package.ladder import read_ladder
from player.package.ladder_verify import verify_ladder
from sr.commands.encode_asked import check_together
from sr.commands.encode_lines import ladder_lines
from sr.encode import ladder
from sr.encode.ladder import LadderOptions, automatic_rungs, encode_ladder, parse_ladder
from sr.encode.report_file import read_report
from sr.encode.search_options import SearchOptions
from sr.progress import Progress
from sr.rate.curve import Point
from sr.rate.goal import GoalError
from sr.usage_error import UsageError
from tests.sr.test_cli import pocketsr, refused


def options_of(film: Path, out: Path, kbps) -> LadderOptions:
    search = SearchOptions.of(film, out, lr_codec="h264", steps=4, threads=1, frames=8)
    return LadderOptions(search, kbps)


def test_the_command_stands_in_every_rungs_report(film, tmp_path):
    out, quick = tmp_path / "ladder", ["--steps", 4, "--threads", 1, "--frames", 8]
    done = pocketsr("encode", film, "-o", out, "--ladder", "150", "--lr-codec", "h264", *quick)
    assert done.returncode == 0, done.stderr
    command = read_report(out)["command"]
    assert "--ladder 150" in command and read_report(out / "150k")["command"] == command
    assert verify_ladder(out).ok
    assert "is a ladder: give the folder of one of its rungs" in refused(3, "compile", out)


@pytest.mark.parametrize("other", [("--scale", "2"), ("--lr-from", "own.mp4")])
def test_a_ladder_of_one_stream_is_refused_before_any_work(film, tmp_path, other):
    line = refused(2, "encode", film, "-o", tmp_path / "out", "--ladder", "100", *other)
    assert "--ladder" in line and not (tmp_path / "out").exists()


def make(film: Path, out: Path, kbps, restart=False) -> dict:
    with Progress() as progress:
        return encode_ladder(options_of(film, out, kbps), progress, restart)


def test_a_ladder_from_end_to_end(film, tmp_path, capsys, monkeypatch):
    out = tmp_path / "ladder"
    report = make(film, out, (150.0, 160.0, 900.0, 1e6))
    made = [rung["folder"] for rung in report["rungs"]]
    assert made == ["150k", "900k"]
    reasons = {row["asked_kbps"]: row["reason"] for row in report["dropped"]}
    assert "too near to 150" in reasons[160] and "cannot be reached" in reasons[1e6]
    said = capsys.readouterr().err
    assert "160 kbps is left out" in said and "1000000 kbps is left out" in said
    low, high = report["rungs"]
    assert low["kbps"] == pytest.approx(150, rel=0.2) and high["psnr_y"] > low["psnr_y"] + 1
    # Nothing of what was dropped is left, nor of the work.
    assert {path.name for path in out.iterdir()} == {
        "job.json", "report.json", "ladder.json", "manifest.mpd", "master.m3u8", *made,
    }  # fmt: skip
    assert verify_ladder(out).ok
    assert [rung.folder for rung in read_ladder(out)[0].rungs] == made
    assert len({read_index(out / name).index.id for name in made}) == 2
    rows = dict(ladder_lines(report, out)[:3])
    assert f"{low['kbps']:.0f} kbps  {low['psnr_y']:.2f} dB Y" in rows["150k"]
    assert ("left out", f"160 kbps: {reasons[160]}") in ladder_lines(report, out)

    # The same command finds it done, makes again what was damaged, and another one is refused.
    monkeypatch.setattr(ladder, "write_ladder", lambda *_: pytest.fail("it was whole"))
    assert make(film, out, (150.0, 160.0, 900.0, 1e6)) == report == read_report(out)
    monkeypatch.undo()
    (out / "150k/video/seg-00001.m4s").write_bytes(b"")
    make(film, out, (150.0, 160.0, 900.0, 1e6))
    assert verify_ladder(out).ok
    with pytest.raises(UsageError, match="ladder_kbps"):
        make(film, out, (150.0,))
    (out / "150k/notes.txt").write_text("somebody's own")
    with pytest.raises(GoalError):
        make(film, out, (1e6,), restart=True)
    assert [path.name for path in (out / "150k").iterdir()] == ["notes.txt"]
    assert not (out / "900k").exists() and not (out / "ladder.json").exists()


def test_where_no_rung_is_left_it_is_said(film, tmp_path):
    with pytest.raises(GoalError, match=r"no rung is left: .* cannot be reached"):
        make(film, tmp_path / "p", (1e6,))
    assert not (tmp_path / "p/ladder.json").exists()


def test_more_bytes_that_show_no_more_are_left_out(film, tmp_path, monkeypatch):
    def made(options, progress, step):
        shown = {"scale": 1, "kbps": options.goal.kbps, "psnr_y": 40.0}
        return {
            "made": shown,
            "method": "plain",
            "weights_bytes": [],
            "chosen": {},
            "plain": shown,
            "lost": ["a"],
        }

    monkeypatch.setattr(ladder, "encode_best", made)
    with Progress() as progress:
        options = options_of(film, tmp_path / "p", None)
        report = ladder._Ladder(options, progress, lambda *_: None).run([300.0, 900.0])
    assert [rung["asked_kbps"] for rung in report["rungs"]] == [300.0]
    assert "it shows 40.00 psnr_y" in report["dropped"][0]["reason"]
    assert report["lost"] == ["a"]


def test_what_is_not_reached_takes_no_other_rung_with_it(film, tmp_path, monkeypatch):
    """330 is too near to 300, but 300 cannot be reached."""
    asked = []

    def made(options, progress, step):
        asked.append(kbps := options.goal.kbps)
        if kbps == 300:
            raise GoalError("cannot be reached")
        shown = {"scale": 1, "kbps": kbps, "psnr_y": 30 + kbps / 100}
        return {"made": shown, "method": "plain", "weights_bytes": [], "chosen": {}, "plain": shown}

    monkeypatch.setattr(ladder, "encode_best", made)
    with Progress() as progress:
        options = options_of(film, tmp_path / "p", None)
        report = ladder._Ladder(options, progress, lambda *_: None).run(
            [300.0, 330.0, 340.0, 900.0]
        )
    assert asked == [900.0, 300.0, 330.0]
    assert [rung["asked_kbps"] for rung in report["rungs"]] == [330.0, 900.0]
    assert [row["asked_kbps"] for row in report["dropped"]] == [300.0, 340.0]
    assert "too near to 330" in report["dropped"][1]["reason"]


class Shelf:
    """A film whose bytes halve every six crf and which loses half a dB with each."""

    coding = type("Coding", (), {"codec": "h264"})
    sample = type("Sample", (), {"seconds": 10.0})

    def point(self, rung, crf):
        return Point(round(5e6 * 2 ** (-crf / 6)), {"psnr_y": 50 - crf / 2}, {})


def test_rungs_that_nobody_named():
    rates = automatic_rungs(Shelf(), 23.0)
    assert list(rates) == sorted(set(rates)) and len(rates) == 4
    assert rates[-1] == pytest.approx(5e6 * 2 ** (-23 / 6) / 1250, rel=0.05)
    # Down to 30 dB, which is crf 40: 23, 28, 33, 38.
    assert rates[0] == pytest.approx(5e6 * 2 ** (-38 / 6) / 1250, rel=0.05)


def test_rates_as_they_are_given():
    assert parse_ladder("800,300,300.0,2000") == (300.0, 800.0, 2000.0)
    assert parse_ladder("auto") is None
    for text in (
        "",
        "300,",
        "300;800",
        "-1",
        "0",
        "nan",
        "inf",
        "1e9",
        ",".join(map(str, range(1, 18))),
    ):
        with pytest.raises(UsageError, match="--ladder"):
            parse_ladder(text)


@pytest.mark.parametrize("other", ["target_kbps", "target_psnr", "worst", "like_crf"])
def test_contradictions_are_said(other):
    with pytest.raises(UsageError, match="contradict"):
        check_together({"ladder", other}, "300,800")
    with pytest.raises(UsageError, match="--scale is without one"):
        check_together({"ladder", "scale"}, "300,800")


def test_a_ladder_from_a_quality_downwards():
    check_together({"ladder", "like_crf"}, "auto")


def test_rungs_share_what_their_searches_keep(film, tmp_path, monkeypatch):
    """Encodes of the sample by their name, whichever rung asked first."""
    asked = []

    def search(options, progress, step):
        asked.append(
            (options.out.name, options.goal.kbps, step("sample-x1-crf23", lambda: len(asked)))
        )
        raise GoalError("enough")

    monkeypatch.setattr(ladder, "encode_best", search)
    with pytest.raises(GoalError):
        make(film, tmp_path / "p", (300.0, 900.0))
    assert asked == [("900k", 900.0, 0), ("300k", 300.0, 0)]
