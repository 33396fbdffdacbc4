"""The quantisation benchmark: its arithmetic, its promises, and the page that shows them."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quant import ARMS, judge
from player.package.architecture import Architecture
from sr.models import build_network, deployed_network
from sr.training.data import FramePair

ROOT = Path(__file__).parents[2]
RESULTS = json.loads((ROOT / "benchmarks" / "results" / "quant.json").read_text())
CLIPS = ("cups_720p.mp4", "sintel_bamboo_1280x544.mp4", "street_tree_1080p.264")
MOST_LOSS_DB = {"int8, least squares": 0.15, "int8 fine-tuned": 0.05}


def test_a_frame_is_judged_over_every_pixel_of_both_paths():
    """A flat frame passes through the anchor, 3 code values below the original."""
    arch = Architecture("chain", 4, (4, 4), (1, 2))
    network = build_network(arch)
    for exit_ in network.get_submodule("exits"):
        exit_.weight.data.zero_()
    network = deployed_network(arch, network.deployed_arrays())
    pair = FramePair(np.full((6, 7, 3), 80, np.uint8), np.full((23, 28, 3), 83, np.uint8))
    wanted_db = 10 * np.log10(255**2 / 9)
    assert judge(network, [pair]) == pytest.approx({"easy": wanted_db, "hard": wanted_db})


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("arm", MOST_LOSS_DB)
def test_the_losses_measured_are_within_what_is_promised(clip, arm):
    (row,) = [r for r in RESULTS["rows"] if (r["clip"], r["arm"]) == (clip, arm)]
    assert row["loss_db"] <= MOST_LOSS_DB[arm]


def test_the_page_shows_the_json():
    text = (ROOT / "docs" / "quantisation.md").read_text(encoding="utf-8")
    for row in RESULTS["rows"]:
        assert row["arm"] in ARMS
        line = f"| {row['clip']} | {row['arm']} | {row['psnr_db']['hard']:.2f} |"
        assert f"{line} {row['loss_db']:+.3f} |" in text, row["arm"]
