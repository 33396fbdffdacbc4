"""What the command line's words become: records, lists parsed once, one flat identity of a job."""

import json
from fractions import Fraction
from pathlib import Path

import pytest

from sr.encode.options import EncodeOptions
from sr.encode.records import TrainingOptions
from sr.encode.search_options import SearchOptions
from sr.usage_error import UsageError

FILM, OUT = Path("film.mp4"), Path("out")


@pytest.mark.parametrize("text", ["chex,fair", "chex, fair", " chex ,fair "])
def test_blanks_between_stages_lose_none(text):
    """`--stages "chex, fair"` once lost fair's patches."""
    options = EncodeOptions.of(FILM, OUT, stages=text)
    assert options.shrink.stages == ("chex", "fair")
    assert options.patch_choice == "method"
    assert options.to_json()["stages"] == "chex,fair"


def test_protected_names_are_a_list_without_repeats():
    options = EncodeOptions.of(FILM, OUT, protect="face, text,,face", groups=Path("g.json"))
    assert options.routes.protect == ("face", "text")


def test_every_option_lands_in_the_one_record_that_has_it():
    options = EncodeOptions.of(FILM, OUT, scale=2, seed=7, max_loss_db=0.2, budget="0.5x")
    assert (options.stream.scale, options.training.seed) == (2, 7)
    assert (options.routes.max_loss_db, options.shrink.budget) == (0.2, "0.5x")
    with pytest.raises(TypeError, match="no option of encode: budgets"):
        EncodeOptions.of(FILM, OUT, budgets="1x")


@pytest.mark.parametrize(
    ("asked", "units", "cell_px"),
    [
        ({}, 1, 12),
        ({"scale": "1"}, 1, 24),
        ({"scale": "1", "units": 3}, 3, 36),
        ({"scale": "1.5"}, 2, 24),
        ({"scale": Fraction(3, 2), "units": 2}, 2, 24),
        ({"scale": 2, "units": 3}, 3, 36),
        ({"scale": 2, "units": 3, "routes": "both"}, 3, 24),
        ({"units": 2, "route_cell_px": 8}, 2, 8),
    ],
)
def test_units_and_cells_are_decided_together(asked, units, cell_px):
    options = EncodeOptions.of(FILM, OUT, **asked)
    assert (options.units, options.route_cell_px) == (units, cell_px)
    identity = json.loads(json.dumps(options.to_json()))
    assert identity["scale"] == float(Fraction(str(asked.get("scale", 4))))
    assert (identity["units"], identity["route_cell_px"]) == (units if units > 1 else None, cell_px)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"scale": "1.5", "units": 1}, "scale 1.5 makes no whole pixels of units of 1 px; use"),
        ({"scale": "1.5", "units": 3}, "scale 1.5 makes no whole pixels of units of 3 px"),
        ({"units": 4}, r"units of 4 px is not of 1, 1.5, 2, 3, 4 on 1\.\.3"),
        ({"units": 2, "backbone": "espcn"}, "espcn: only scales 2, 3, 4 on single pixels"),
        ({"scale": 1, "backbone": "wdsr"}, "wdsr: only scales 2, 3, 4 on single pixels"),
        ({"units": 2, "route_cell_px": 12}, "on units of 2 px cells are multiples of 8 px"),
        ({"units": 3, "route_cell_px": 0}, "cells are multiples of 12 px, 1024 at most"),
        ({"route_cell_px": 2048}, "1024 at most"),
        ({"method": "plain", "units": 2}, "--units: plain has no network; use another --method"),
        ({"method": "plain", "steps": 9}, "--steps: plain has no network"),
        ({"method": "plain", "budget": "0.5x"}, "--stages and budgets: plain has no network"),
        ({"method": "plain", "routes": "router"}, "--routes router: plain has no network"),
        ({"method": "plain", "dtype": "fp32"}, "--dtype: plain has no network"),
        ({"lr_codec": "h264", "lr_crf": 60}, "--lr-crf 60: h264 has none above 51"),
        ({"lr_codec": "h265", "lr_crf": 51.5}, "--lr-crf 51.5: h265 has none above 51"),
        ({"lr_codec": "lossless", "lr_crf": 30}, "--lr-crf 30: a lossless stream has no rate"),
        ({"scale": 4, "shipped": "x4-coarse", "routes": "router"}, "not with --shipped alone"),
        ({"scale": 1, "warm_start": True}, "--warm-start: the generic network is a chain"),
        ({"units": 2, "warm_start": True}, "--warm-start: the generic network is a chain"),
        ({"backbone": "espcn", "warm_start": True}, "--warm-start: the generic network is"),
        ({"scale": 1, "lr": "sharp"}, "--lr sharp: at --scale 1 nothing is made smaller"),
        ({"lr_from": Path("own.mp4"), "lr": "sharp"}, "--lr-from takes a stream as it is"),
        ({"method": "cafm", "dtype": "fp32"}, "--dtype fp32: cafm changes integers"),
        ({"method": "delta", "backbone": "wdsr"}, "--dtype fp32: delta changes integers"),
        ({"method": "delta", "stages": "chex"}, "--stages: delta changes integers"),
        ({"method": "awdnn", "hard_share": 0.3}, "--hard-share: awdnn has one path; use --method"),
        ({"method": "repcam", "backbone": "espcn"}, "repcam is a chain with branches"),
    ],
)
def test_what_no_network_can_be_is_refused_in_one_line(asked, message):
    with pytest.raises(UsageError, match=message) as caught:
        EncodeOptions.of(FILM, OUT, **asked)
    assert "\n" not in str(caught.value)


def test_more_networks_than_a_route_can_name_are_refused():
    EncodeOptions.of(FILM, OUT, method="stdo", chunks=16)
    with pytest.raises(UsageError, match="--chunks 17: a package holds 16 networks at most"):
        EncodeOptions.of(FILM, OUT, method="stdo", chunks=17)
    with pytest.raises(UsageError, match="16 networks at most, 15 of chunks by delta"):
        EncodeOptions.of(FILM, OUT, method="delta", chunks=16)


def test_the_identity_of_a_job_is_flat_and_decided():
    """As job.json has had it since 0.1, so that a job that was begun then is still the same."""
    identity = EncodeOptions.of(FILM, OUT).to_json()
    assert identity.keys() == {
        "source", "scale", "preset", "method", "backbone", "chunks", "chunk_rule", "lr_codec",
        "lr_crf", "frames", "hard_share", "max_loss_db", "route_cell_px", "route_hold_frames",
        "seed", "threads", "steps", "warm_start", "dtype", "stages", "budget", "budget_ms",
        "groups", "patches", "protect", "routes", "probe_share", "units",
        "widths", "exits", "warm_from", "segment_s", "codec_opts", "max_macs", "loss",
        "rate_weight", "shipped", "revision",
    }  # fmt: skip
    assert (identity["scale"], identity["units"], identity["route_cell_px"]) == (4, None, 12)
    decided = (identity["dtype"], identity["patches"], identity["source"])
    assert decided == ("int8", "error", "film.mp4")
    assert TrainingOptions(preset="fast").bounds.steps == 2500


def test_which_streams_are_meant_is_part_of_a_job_only_where_it_was_asked():
    """So that what was encoded before there was a choice has the same identity still."""
    told = EncodeOptions.of(Path("f.mp4"), Path("p"), audio=None, video=None).to_json()
    assert not {"audio", "video", "lr"} & told.keys()
    asked = EncodeOptions.of(Path("f.mp4"), Path("p"), audio="deu", video=2)
    assert asked.to_json().items() >= {"audio": "deu", "video": 2}.items()
    assert (asked.film.path, asked.film.video) == (Path("f.mp4"), 2)
    search = SearchOptions.of(Path("f.mp4"), Path("p"), audio="1")
    assert search.to_json()["audio"] == "1" and not {"video", "lr"} & search.to_json().keys()
    assert EncodeOptions.of(Path("f.mp4"), Path("p"), lr="sharp").to_json()["lr"] == "sharp"


@pytest.mark.parametrize(("metric", "share"), [("psnr-y", 0.7), ("psnr-rgb", None)])
def test_the_search_plans_routes_by_what_it_is_asked_for(metric, share):
    search = SearchOptions.of(Path("f.mp4"), Path("p"), metric=metric)
    bare = {"scale": 1, "widths": None, "shipped": None, "most_macs": None}
    made = search.of_choice(Path("q"), bare, 30.0)
    assert made.routes.luma_share == share
    assert made.to_json().get("luma_share") == share


def test_a_choice_of_the_search_is_encoded_as_it_was_tried():
    """Reports from before there were two kinds of downscaling name none."""
    search = SearchOptions.of(Path("f.mp4"), Path("p"))
    bare = {"scale": 3, "widths": None, "shipped": None, "most_macs": None}
    for told, kind in (({}, None), ({"lr": "bicubic"}, None), ({"lr": "sharp"}, "sharp")):
        made = search.of_choice(Path("q"), bare | told, 30.0)
        assert (made.stream.scale, made.stream.lr, made.stream.lr_crf) == (3, kind, 30.0)
