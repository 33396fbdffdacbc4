"""`pocketsr report`: one page of its own, true to what was measured, and open about what is not."""

import json
import re
import shlex
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from benchmarks.same_bytes import drifting_pictures, write_film
from player.quality import Quality
from player.session import open_package
from sr.commands.encode import command as encode_command
from sr.commands.encode import told
from sr.encode.beside import beside_plain
from sr.encode.encode import encode
from sr.encode.options import EncodeOptions
from sr.encode.report.make import make_report
from sr.encode.report.moments import _most_wrong, moments, worst_frames
from sr.encode.report.sides import Side, measured_sides
from sr.encode.report_file import read_report, write_report
from sr.progress import Progress
from tests.sr.test_cli import pocketsr, refused

METRICS = ("psnr_y", "psnr_rgb")
# As a search leaves it in report.json.
SEARCH = {
    "points": [
        {"scale": s, "crf": c, "network": None, "bytes": b, "psnr_y": y, "psnr_rgb": y - 2}
        for s, c, b, y in ((1, 23, 9000, 40.0), (1, 28, 5000, 37.0), (2, 20, 6000, 36.0))
    ]
    + [{"scale": 2, "lr": "sharp", "crf": 20, "network": None, "bytes": 6500, "psnr_y": 37.0,
        "psnr_rgb": 35.0}],
    "considered": [
        {"scale": 1, "crf": 23.5, "widths": [8, 8], "expected_bytes": 8000, "worth": 1.1,
         "gmacs_a_frame": 0.5},
        {"scale": 2, "crf": 20, "widths": None, "expected_bytes": 9500, "worth": 0.9,
         "gmacs_a_frame": 0},
        {"scale": 2, "lr": "sharp", "crf": 21, "widths": [48], "shipped": "x2-coarse",
         "adapted": True, "expected_bytes": 9000, "worth": 1.05, "gmacs_a_frame": 2},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return write_film(
        tmp_path_factory.mktemp("film") / "a <b> & c.mp4", drifting_pictures(20, 96, 128)
    )


@pytest.fixture(scope="module")
def made(film, tmp_path_factory):
    """A package at scale 2 beside the plain encode of its bytes, as if a search had found it."""
    home = pytest.MonkeyPatch()
    home.setenv("POCKETSR_HOME", str(tmp_path_factory.mktemp("home")))
    options = EncodeOptions.of(
        film, tmp_path_factory.mktemp("made") / "p", scale=2, lr_codec="h264", steps=4, threads=1
    )
    with Progress() as progress:
        report = beside_plain(options, encode(options, progress), progress)
    write_report(options.out, {**report, "search": SEARCH, "command": "pocketsr encode <film>"})
    yield options.out
    home.undo()


def page_of(package, film) -> str:
    with Progress() as progress:
        return make_report(open_package(package), film, None, METRICS, progress)


@pytest.fixture(scope="module")
def page(made, film) -> str:
    return page_of(made, film)


class Addresses(HTMLParser):
    """All that the page would fetch or lead to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes) -> None:
        # A namespace is a name, and leads nowhere.
        self.found += [v or "" for k, v in attributes if k in ("src", "href", "srcset", "data")]


def test_the_page_is_all_there_is(page):
    assert len(page) < 5_000_000
    found = [a for a in Addresses(page).found if not a.startswith("#")]
    assert found and all(a.startswith("data:image/webp;base64,") for a in found)
    assert not re.search(r"url\((?!#)|@import|fetch\(", page)


def test_it_shows_every_side_as_it_was_measured(page, made):
    report = read_report(made)
    rows = dict(re.findall(r"<tr><td>([^<]+)</td><td>[\d,]+</td><td>([\d.]+)", page))
    assert {"PocketSR", "stream alone", "plain encode"} <= rows.keys()
    assert float(rows["PocketSR"]) == pytest.approx(report["made"]["psnr_y"], abs=0.011)
    kbps = dict(re.findall(r"<tr><td>([^<]+)</td><td>([\d,]+)</td>", page))
    assert float(kbps["stream alone"]) < float(kbps["PocketSR"])  # without the network's bytes
    assert float(rows["plain encode"]) == pytest.approx(report["plain"]["psnr_y"], abs=0.3)
    assert page.count('class="moment"') == 3 and page.count("<img data-name=") == 3 * 4
    assert "Not shown" not in page
    assert page.count("<svg") == 2  # over the rate, and over time
    assert "2 layers of 8" in page and "worth" in page
    assert "<td>x2 sharp</td><td>x2-coarse, adapted</td>" in page
    assert "pocketsr encode &lt;film&gt;" in page


def test_names_of_films_are_text_and_no_tags(page):
    assert "a &lt;b&gt; &amp; c.mp4" in page and "a <b>" not in page


def test_a_name_that_is_no_utf_8_is_shown_as_far_as_it_is(made, tmp_path):
    package = shutil.copytree(made, tmp_path / "p")
    job = json.loads((package / "job.json").read_text())
    (package / "job.json").write_text(json.dumps(job | {"source": "caf\udce9.mp4"}))
    shown = page_of(package, None)
    assert "caf\N{REPLACEMENT CHARACTER}" in shown and shown.encode("utf-8")


def test_without_the_film_what_is_known_is_shown_and_the_rest_named(made):
    page = page_of(made, None)
    assert "Not shown: quality and pictures (give the film with --reference)" in page
    assert "Bytes" in page and "2 layers of 8" in page and "Routes" in page
    assert 'class="moment"' not in page


@pytest.mark.parametrize(
    "damage", [{"points": 7}, {"points": [{}]}, {"considered": [{"worth": "<b>"}, {"worth": 1}]}]
)
def test_a_report_that_holds_anything_costs_its_own_part_alone(made, tmp_path, damage):
    package = Path(shutil.copytree(made, tmp_path / "p"))
    write_report(package, {**read_report(package), "search": {**SEARCH, **damage}})
    page = page_of(package, None)
    assert page.count("report.json is not one of ours") == 1 and "<b>" not in page


def test_reports_that_are_damaged_or_gone_are_named(made, film, tmp_path):
    package = Path(shutil.copytree(made, tmp_path / "p"))
    (package / "report.json").write_bytes(b"[1")
    assert "report.json is damaged" in page_of(package, None)
    for name in ("report.json", "job.json"):
        (package / name).unlink()
    page = page_of(package, film)
    assert "report.json is missing" in page and "tells of no plain encode" in page
    assert page.count('class="moment"') == 3 and page.count("<img data-name=") == 3 * 3


@pytest.mark.parametrize(
    "damage",
    [
        {"plain_of_the_goal": 3},
        {"plain": {"crf": 1e30}},
        {"job": {"source": "x"}},
        {"job": {"lr_codec": "foo", "segment_s": "x", "codec_opts": "", "frames": None}},
    ],
)
def test_records_of_somebody_elses_cost_the_plain_encode_alone(made, film, tmp_path, damage):
    package = Path(shutil.copytree(made, tmp_path / "p"))
    if job := damage.pop("job", None):
        (package / "job.json").write_text(json.dumps(job))
    write_report(package, {**read_report(package), **damage})
    page = page_of(package, film)
    assert "a plain encode beside it (job.json or report.json is not one of ours)" in page
    assert page.count('class="moment"') == 3


def test_frames_of_a_lost_segment_are_named_and_others_keep_their_times(film, tmp_path):
    options = EncodeOptions.of(
        film, tmp_path / "p", scale=2, lr_codec="h264", steps=4, threads=1, segment_s=0.5
    )
    with Progress() as progress:
        beside_plain(options, encode(options, progress), progress)
    package = open_package(options.out)
    assert [segment.frames for segment in package.index.segments] == [15, 5]
    (options.out / "video" / "seg-00001.m4s").unlink()
    page = page_of(options.out, film)
    assert "Not shown: 15 of 20 frames, which the package or the film lacks" in page
    with Progress() as progress:
        sides = measured_sides(open_package(options.out), None, film, METRICS, progress)
        whole = measured_sides(open_package(options.out), package, film, METRICS, progress)
    assert [len(side.times_s) for side in sides] == [5, 5]
    assert sides[0].times_s == whole[2].times_s[-5:]
    (worst, *_) = moments(sides, film)
    assert worst.time_s >= 0.49 and set(worst.pictures) == {"PocketSR", "stream alone", "film"}


def test_a_film_that_goes_on_behind_the_package_ends_in_a_page(made, tmp_path):
    longer = write_film(tmp_path / "longer.mp4", drifting_pictures(30, 96, 128))
    assert page_of(made, longer).count('class="moment"') == 3


def test_a_report_without_its_command_says_so(made, tmp_path):
    package = Path(shutil.copytree(made, tmp_path / "p"))
    report = read_report(package)
    report.pop("command")
    write_report(package, report)
    assert "the command that made it (report.json has none)" in page_of(package, None)


def test_the_worst_frames_are_those_that_so_many_are_worse_than():
    errors = np.random.default_rng(0).permutation(200) + 1.0
    found = worst_frames(Side("ours", None, False, Quality({"psnr_y": errors.tolist()}), 1.0, ()))
    assert {n: int(200 - errors[n]) for n in found} == {n: round(s * 200) for n, s in found.items()}
    assert [*found.values()] == [0.01, 0.05, 0.1]


@pytest.mark.parametrize("place", [(0, 0), (300, 500), (504, 896)])
def test_the_crop_is_where_most_is_wrong(place):
    original = np.full((720, 1280, 3), 100, np.uint8)
    ours = original.copy()
    y, x = place
    ours[y : y + 216, x : x + 384] += 20
    assert _most_wrong([ours], original) == (y, x, 216, 384)


@pytest.mark.parametrize(
    "words",
    ["film.mp4 -o p --scale 2 --lr-codec h265", "'a b.mp4' -o p --target-kbps 300.0 --warm-start"],
)
def test_the_command_is_told_as_it_was_given(words):
    given = ["/of/a/user/" + shlex.split(words)[0], *shlex.split(words)[1:], "--json"]
    context = encode_command.make_context("encode", given)
    assert shlex.split(told(context)) == ["pocketsr", "encode", *shlex.split(words)]


def test_the_command_writes_the_page_and_names_it(made, film, tmp_path):
    out = tmp_path / "page.html"
    done = pocketsr("report", made, "--reference", film, "-o", out, "--no-vmaf", "--json")
    assert json.loads(done.stdout)["page"] == str(out) and "<!doctype html>" in out.read_text()


def test_what_cannot_be_is_refused_before_any_work(made, tmp_path, film):
    assert "does not exist" in refused(2, "report", made, "-o", tmp_path / "no/page.html")
    before = sorted((path, path.read_bytes()) for path in made.rglob("*") if path.is_file())
    for place in (made / "page.html", made / "sr" / "page.html"):
        assert "lies inside the package" in refused(2, "report", made, "-o", place)
    for place in (film, made / "manifest.mpd"):
        line = refused(2, "report", made, "--reference", film, "-o", place)
        assert "end in .html or .htm" in line
    (tmp_path / "folder.html").mkdir()
    assert "is a folder" in refused(2, "report", made, "-o", tmp_path / "folder.html")
    assert before == sorted((path, path.read_bytes()) for path in made.rglob("*") if path.is_file())
    assert "is a file" in refused(2, "report", film)


@pytest.mark.slow
@pytest.mark.parametrize("width", [1200, 390])
def test_a_browser_shows_it_without_a_script_error(page, tmp_path, width):
    if (browser := shutil.which("chromium")) is None:
        pytest.skip("no Chromium here")
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
         "--disable-background-networking", f"--user-data-dir={tmp_path / 'user'}",
         f"--window-size={width},2000", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    assert done.stdout.count("clip-path: inset") == 3  # every slider is at its place
