"""Packages with a network that lies with every player: nothing is trained, no weights are sent."""

import numpy as np
import pytest

from chunking.lr import downscale
from player.engines import engine_of
from player.package.paths import BICUBIC, HARD
from player.package.shipped import shipped_blob, shipped_names
from player.package.verify import verify_package
from player.package.weights import unpack_weights
from player.session import open_package
from player.upscale import upscale
from sr.quant.integer_network import IntegerNetwork
from sr.scoring import upscale_paths
from tests.sr.test_cli import FAST, refused
from tests.sr.test_encode import contents, run

NAME = shipped_names(2)[0]


def test_nothing_is_trained_and_nothing_sent(film, tmp_path):
    report = run(film, tmp_path / "p", steps=None, shipped=NAME, max_loss_db=0.0)
    assert report["steps"] == report["fine_tuning_steps"] == 0
    assert report["shipped"] == NAME and report["weights_bytes"] == [0]
    assert [path.name for path in (tmp_path / "p/sr").glob("weights*")] == []
    assert verify_package(tmp_path / "p").ok
    again = run(film, tmp_path / "q", steps=None, shipped=NAME, max_loss_db=0.0)
    assert again["paths"] == report["paths"]
    assert contents(tmp_path / "p") == contents(tmp_path / "q")


def test_its_routes_are_its_own(film, tmp_path):
    """A cell takes the network only where the network is better than the anchor there."""
    from chunking.video import read_frames

    run(film, tmp_path / "p", steps=None, shipped=NAME, max_loss_db=0.0, rate_weight=0.0, frames=1)
    blob = unpack_weights(shipped_blob(NAME))
    (frame,) = read_frames(film, 1)
    lr = downscale(frame.rgb, 2)
    made = dict(upscale_paths(IntegerNetwork(blob.arch, blob.tensors), lr))
    wrong = {p: (made[p].astype(float) - frame.rgb) ** 2 for p in (BICUBIC, HARD)}
    (shown,) = upscale(open_package(tmp_path / "p"), None)
    for y, x, height, width, _, path in shown.patches.tolist():
        at = np.s_[2 * y : 2 * (y + height), 2 * x : 2 * (x + width)]
        if path != BICUBIC:
            assert wrong[HARD][at].mean() < wrong[BICUBIC][at].mean() + 1.0, (y, x)
    assert engine_of(open_package(tmp_path / "p")) is None  # no cache in a test's home: int8


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--shipped", "x2-none"), "for scale 2 there is"),
        (("--shipped", NAME, "--stages", "chase"), "nothing is trained with --shipped"),
        (("--shipped", NAME, "--method", "stdo"), "stdo trains networks"),
        (("--shipped", NAME, "--method", "plain"), "plain has no network"),
        (("--shipped", NAME, "--scale", "3"), "for scale 3 there is"),
    ],
)
def test_contradictions_are_said(film, tmp_path, options, said):
    fast = [o for o in FAST if o not in ("--steps", "3")]
    assert said in refused(2, "encode", film, "-o", tmp_path / "p", *fast, *options)
