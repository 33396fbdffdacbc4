"""`play`: the options of --out."""

import pytest
from click.testing import CliRunner

from player.playback import OutputError, PlayOptions
from sr.commands.play import command


def asked(monkeypatch, tmp_path, *arguments):
    """The options that reach the player, or the message of a usage error."""
    seen: list[PlayOptions] = []

    def play_package(package, engine, options, on_event):
        seen.append(options)
        return {"frames": 0, "seconds": 0.0, "fps": {"upscale_p50": 0.0, "pipeline": 0.0}}

    monkeypatch.setattr("player.playback.play_package", play_package)
    monkeypatch.setattr("sr.commands.play.open_trusted", lambda package, trust: None)
    monkeypatch.setattr("player.engines.engine_of", lambda *arguments: None)
    done = CliRunner().invoke(command, [str(tmp_path), *arguments])
    assert done.exit_code == (0 if seen else 2)
    return seen[0].out_crf if seen else done.output, done.stderr


def test_the_quality_of_a_file(monkeypatch, tmp_path):
    crf, said = asked(monkeypatch, tmp_path, "--out", "hr.mp4")
    assert crf == 16 and "hr.mp4 is H.264 at CRF 16; --out-crf lossless" in said
    assert asked(monkeypatch, tmp_path, "--out", "hr.mp4", "--out-crf", "0") == (0, "")
    assert asked(monkeypatch, tmp_path, "--out", "hr.mkv", "--out-crf", "lossless") == (None, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out-crf", "lossless"], "--out-crf is the quality of --out"),
        (["--out", "hr.mp4", "--out-crf", "52"], "52 is not in the range"),
        (["--threads", "65"], "65 is not in the range 1<=x<=64"),
        (["--threads", "0"], "0 is not in the range"),
        (["--out", "hr.mp4", "--out-crf", "best"], "'best' is not a valid integer"),
    ],
)
def test_usage_errors(monkeypatch, tmp_path, arguments, message):
    assert message in asked(monkeypatch, tmp_path, *arguments)[0]


@pytest.mark.parametrize("name", ["hr.gif", "hr", "gone/hr.mp4", "package/hr.mp4"])
def test_an_output_that_is_none_is_refused_before_anything_else(monkeypatch, tmp_path, name):
    (tmp_path / "package").mkdir()
    monkeypatch.setattr("sr.commands.play.open_trusted", lambda *_: pytest.fail("too late"))
    done = CliRunner().invoke(command, [str(tmp_path / "package"), "--out", str(tmp_path / name)])
    assert isinstance(done.exception, OutputError) and done.exception.exit_code == 2
    assert done.output == ""
