"""Packages with a network that lies with every player: nothing is trained, no weights are sent."""

import numpy as np
import pytest

from chunking.lr import downscale
from player.package.index import read_index
from player.package.paths import BICUBIC, path_of
from player.package.route_maps import unpack_routes
from player.package.shipped import shipped_blob, shipped_names
from player.package.verify import verify_package
from player.package.weights import unpack_weights
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
    wrong = {p: (frame_of.astype(float) - frame.rgb) ** 2 for p, frame_of in made.items()}
    (entry,) = read_index(tmp_path / "p").index.routes
    (paths,) = path_of(unpack_routes((tmp_path / "p" / entry.file).read_bytes()))
    assert set(np.unique(paths)) > {BICUBIC}
    for (y, x), path in np.ndenumerate(paths):
        at = np.s_[24 * y : 24 * (y + 1), 24 * x : 24 * (x + 1)]
        assert wrong[path][at].mean() <= wrong[BICUBIC][at].mean(), (y, x)


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
