"""`measure`: its options, and the lines for people."""

import pytest
from click.testing import CliRunner

from player.measure import MeasureOptions
from sr.commands.measure import command, table

QUALITY = {"psnr_rgb": 31.25, "psnr_y": 33.5}
RESULT = {
    "bicubic": QUALITY, "generic": None, "plain": {"kbps": 274.4, **QUALITY},
    "psnr": {"rgb": 32.0, "y": 34.0}, "ssim_y": None, "xpsnr_y": 33.125, "vmaf": None,
    "vmaf_neg": None, "worst": None, "frames": 9, "grain_frames": 0,
    "bytes": {"total": 2, "weights": 1},
    "kbps": {"video": 200.0, "sr": 20.0, "total": 220.0}, "paths": {"easy": 1.0},
    "macs_per_frame": 0, "method": "dydca", "fps": {"upscale_p50": 1.0, "pipeline": 1.0},
}  # fmt: skip


def asked(monkeypatch, tmp_path, *arguments, vmaf=True):
    """The options that reach the player, or what is said."""
    seen: list[MeasureOptions] = []

    def measure(package, reference, engine, options, on_event):
        seen.append(options)
        return RESULT

    found = tmp_path / "ffmpeg" if vmaf else None
    monkeypatch.setattr("player.vmaf.find_vmaf", lambda: found)
    monkeypatch.setattr("player.quality.find_vmaf", lambda: found)
    monkeypatch.setattr("player.measure.measure", measure)
    monkeypatch.setattr("sr.commands.measure.open_trusted", lambda package, trust: None)
    monkeypatch.setattr("player.engines.engine_of", lambda *arguments: None)
    monkeypatch.setattr("chunking.probe.probe", lambda film: None)
    done = CliRunner().invoke(command, [str(tmp_path), "--reference", "film.mp4", *arguments])
    return seen[0] if seen else done


def test_vmaf_is_measured_where_its_tool_is_unless_it_is_refused(monkeypatch, tmp_path):
    without = {"psnr_rgb", "psnr_y", "xpsnr_y"}
    assert set(asked(monkeypatch, tmp_path).metrics) == without | {"vmaf", "vmaf_neg"}
    assert set(asked(monkeypatch, tmp_path, "--no-vmaf").metrics) == without
    assert set(asked(monkeypatch, tmp_path, vmaf=False).metrics) == without
    refused = asked(monkeypatch, tmp_path, "--vmaf", vmaf=False).exception
    assert refused.exit_code == 2 and "pip install 'pocketsr[vmaf]'" in str(refused)


def test_shares(monkeypatch, tmp_path):
    assert asked(monkeypatch, tmp_path, "--worst", "5%").worst == 0.05
    assert asked(monkeypatch, tmp_path, "--worst", "0.5").worst == 0.5
    for wrong in ("0", "101%", "nan", "five"):
        done = asked(monkeypatch, tmp_path, "--worst", wrong)
        assert done.exit_code == 2 and "is no share, such as 5%" in done.output


@pytest.mark.parametrize("worst", [None, {"share": 0.05, **QUALITY, "xpsnr_y": 30.0, "vmaf": 81.2,
                                          "vmaf_neg": 80.0}])  # fmt: skip
def test_the_lines_put_the_plain_encode_beside_ours(worst):
    lines = dict(table({**RESULT, "worst": worst}))
    assert lines["plain encode"] == " 31.25 dB RGB   33.50 dB Y  at 274 kbps"
    assert lines["PocketSR"] == " 32.00 dB RGB   34.00 dB Y  at 220 kbps"
    assert lines["generic"] == "not measured: no engine"
    assert lines["perceived"] == "XPSNR 33.12 dB  VMAF -  NEG -"
    if worst:
        assert "VMAF 81.2  NEG 80.0" in lines["worst 5%"]


def test_of_a_plain_encode_nothing_is_said_that_a_network_would_do():
    lines = [name for name, _ in table({**RESULT, "method": "plain"})]
    assert not {"generic", "paths", "MACs"} & {*lines} and {"rate", "FPS"} < {*lines}
    assert {"generic", "paths", "MACs"} < {name for name, _ in table(RESULT)}


def test_film_grain_is_said_where_there_is_some():
    assert "film grain" not in dict(table(RESULT))
    said = dict(table({**RESULT, "grain_frames": 8}))["film grain"]
    assert said == "of 8 of 9 frames; left out here, added when it is shown"
