"""Films of images on the command line."""

import json

import cv2
import pytest
from click.testing import CliRunner

from chunking.input_error import InputError
from sr.cli import pocketsr
from sr.usage_error import UsageError
from tests.sr.conftest import drifting_pictures

PLAIN = ("--method", "plain", "--scale", "2", "--lr-codec", "lossless")


def run(*arguments):
    return CliRunner().invoke(pocketsr, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "frames").mkdir()
    for i, picture in enumerate(drifting_pictures(4, 48, 64)):
        cv2.imwrite(str(tmp_path / "frames" / f"{i:05d}.png"), picture[..., ::-1])
    return tmp_path / "frames"


def test_images_are_probed_encoded_continued_and_measured(folder, tmp_path):
    pattern, rate = folder / "%05d.png", ("--frame-rate", "24000/1001")
    for named in (folder, pattern):
        probed = json.loads(run("probe", named, *rate, "--json").stdout)
        assert (probed["frames_hint"], probed["width"]) == (4, 64)
        assert probed["frame_rate"] == pytest.approx(23.976, abs=1e-3)
    encode = ("encode", pattern, "-o", tmp_path / "p", *PLAIN)
    done = run(*encode, *rate, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["frames"] == 4
    measured = run("measure", tmp_path / "p", "--reference", folder, *rate, "--no-vmaf", "--json")
    assert json.loads(measured.stdout)["frames"] == 4
    # The same job, by all of its images: done already, or another one.
    assert run(*encode, *rate).exit_code == 0
    assert "(another film or --frame-rate)" in str(run(*encode, "--frame-rate", "25").exception)
    cv2.imwrite(str(folder / "00003.png"), cv2.imread(str(folder / "00002.png")))
    assert "another film or --frame-rate" in str(run(*encode, *rate).exception)


@pytest.mark.parametrize("command", ["probe", "encode", "measure"])
def test_images_want_a_rate_and_films_want_none(folder, film, tmp_path, command):
    (tmp_path / "p" / "video").mkdir(parents=True)
    (tmp_path / "p" / "video" / "init.mp4").touch()  # what makes a folder a package
    before, behind = {
        "probe": (["probe"], []),
        "encode": (["encode"], ["-o", tmp_path / "new", *PLAIN]),
        "measure": (["measure", tmp_path / "p", "--reference"], []),
    }[command]
    for named in (folder, folder / "%05d.png"):
        result = run(*before, named, *behind)
        assert isinstance(result.exception, UsageError)
        assert "4 images: say how many a second, --frame-rate 24" in str(result.exception)
    result = run(*before, film, *behind, "--frame-rate", "24")
    assert isinstance(result.exception, UsageError)
    assert "is not images: --frame-rate is for" in str(result.exception)
    for rate in ("0", "1/0", "abc", "1000", "-24", "inf", "nan"):
        assert run(*before, folder, *behind, "--frame-rate", rate).exit_code == 2
    (folder / "00001.png").unlink()
    result = run(*before, folder, *behind, "--frame-rate", "24")
    assert isinstance(result.exception, InputError)
    assert "number 1 is missing" in str(result.exception)
