"""`--lr learned` at a scale: two encodes, the second on frames moved by the first one's network."""

from pathlib import Path

import pytest

from player.package.layout import SR, weights_name
from player.package.shipped import shipped_file, shipped_names
from player.package.verify import verify_package
from sr.encode.options import EncodeOptions
from sr.encode.records import RETOUCHED
from sr.usage_error import UsageError
from tests.attack.kills import TRAINED, stop_at_each_change
from tests.sr.test_encode import contents, run

STEPS, FRAMES, SHIPPED = 6, 4, shipped_names(2)[0]


def picture_and_network(package):
    """What plays: all but the index and the manifests, which hold the package's id."""
    made = contents(package)
    return {n: data for n, data in made.items() if n.startswith("video/") or "weights" in n}


def test_it_is_two_encodes_by_hand(film, tmp_path):
    report = run(film, tmp_path / "learned", steps=STEPS, lr="learned", frames=FRAMES)
    run(film, tmp_path / "bicubic", steps=STEPS, frames=FRAMES)
    blob = tmp_path / "bicubic" / SR / weights_name(0)
    more = {"through": blob, "warm_from": blob, "frames": FRAMES}
    run(film, tmp_path / "moved", steps=STEPS // RETOUCHED, **more)
    made = picture_and_network(tmp_path / "learned")
    assert made == picture_and_network(tmp_path / "moved")
    assert made.keys() == picture_and_network(tmp_path / "bicubic").keys()
    first = picture_and_network(tmp_path / "bicubic")
    assert all(made[name] != first[name] for name in made if "init" not in name)
    assert report["steps"] == STEPS + STEPS // RETOUCHED
    assert verify_package(tmp_path / "learned").ok
    assert not (tmp_path / "learned/work").exists()


def test_a_network_that_ships_moves_them_by_itself(film, tmp_path):
    options = {"steps": None, "shipped": SHIPPED, "frames": FRAMES}
    report = run(film, tmp_path / "learned", lr="learned", **options)
    run(film, tmp_path / "moved", through=shipped_file(SHIPPED), **options)
    assert picture_and_network(tmp_path / "learned") == picture_and_network(tmp_path / "moved")
    assert report["steps"] == 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kill", [False, True], ids=["fail", "kill"])
def test_a_stop_at_some_changes_of_the_disk_loses_nothing(film, tmp_path, kill):
    asked = {**TRAINED, "lr": "learned"}
    stops, findings = stop_at_each_change(film, tmp_path, asked, kill, step=5, first=int(kill))
    assert stops > 20 and not findings


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "plain"}, "not with --method plain"),
        ({"method": "stdo"}, "not with --method stdo"),
        ({"method": "repcam"}, "not with --method repcam"),
        ({"stages": "chase"}, "not with --stages"),
        ({"dtype": "fp32"}, "not with networks of fp32"),
        ({"backbone": "wdsr"}, "not with networks of fp32"),
        ({"scale": "1"}, "at --scale 1 nothing is made smaller"),
    ],
)
def test_what_does_not_fit_is_said(options, said):
    with pytest.raises(UsageError, match=f"--lr learned: {said}"):
        EncodeOptions.of(Path("f.mp4"), Path("p"), lr="learned", **options)
