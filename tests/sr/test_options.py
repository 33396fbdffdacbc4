"""What the command line's words become: records, lists parsed once, one flat identity of a job."""

from pathlib import Path

import pytest

from sr.encode.options import EncodeOptions, TrainingOptions
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


def test_more_networks_than_a_route_can_name_are_refused():
    EncodeOptions.of(FILM, OUT, method="stdo", chunks=16)
    with pytest.raises(UsageError, match="--chunks 17: a package holds 16 networks at most"):
        EncodeOptions.of(FILM, OUT, method="stdo", chunks=17)


def test_the_identity_of_a_job_is_flat_and_decided():
    """As job.json has had it since 0.1, so that a job that was begun then is still the same."""
    identity = EncodeOptions.of(FILM, OUT).to_json()
    assert identity.keys() == {
        "source", "scale", "preset", "method", "backbone", "chunks", "chunk_rule", "lr_codec",
        "lr_crf", "frames", "hard_share", "max_loss_db", "route_cell_px", "route_hold_frames",
        "seed", "threads", "steps", "warm_start", "dtype", "stages", "budget", "budget_ms",
        "groups", "patches", "protect", "routes", "probe_share",
    }  # fmt: skip
    decided = (identity["dtype"], identity["patches"], identity["source"])
    assert decided == ("int8", "error", "film.mp4")
    assert TrainingOptions(preset="fast").bounds.steps == 2500
