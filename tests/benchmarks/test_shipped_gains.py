"""The control of each network that ships, and the means over the clips."""

import pytest

from benchmarks.shipped_gains import controls_of, means
from benchmarks.shipped_networks import RECIPES


@pytest.mark.parametrize("name", RECIPES)
def test_the_control_is_another_network_of_the_scale(name):
    for control in controls_of(name):
        assert control in RECIPES and control != name
        assert RECIPES[control].scale == RECIPES[name].scale
        assert RECIPES[control].lr == "bicubic"


def test_a_filter_is_compared_with_that_of_another_codec_and_a_large_one_with_the_small():
    assert controls_of("x1-h264-large") == controls_of("x1-av1") == ("x1-h264",)
    assert controls_of("x2-coarse") == ("x2-fine",)
    assert controls_of("x3-medium") == ("x3-fine", "x3-coarse")


def test_one_for_sharp_streams_is_compared_with_those_for_bicubic_ones():
    assert controls_of("x3-sharp-fine") == ("x3-coarse", "x3-medium", "x3-fine")
    assert controls_of("x1.5-sharp") == ()


def test_means_are_over_the_clips_of_a_network():
    def row(network: str, luma: float) -> dict:
        gain = {"psnr_y": luma, "psnr_rgb": luma / 2}
        control = {"psnr_y": -luma, "psnr_rgb": 0.0}
        same = {"codec": "av1", "lr": "bicubic", "crf": 44.0, "control_network": "c"}
        others = {"control": control, "by_rgb": gain, "promised": gain, "kept": control}
        return {"network": network, **same, "gain": gain, **others}

    first, second = means([row("a", 0.2), row("b", 0.5), row("a", 0.4)])
    assert (first["network"], second["network"]) == ("a", "b")
    assert first["gain_psnr_y"] == pytest.approx(0.3)
    assert first["gain_psnr_rgb"] == pytest.approx(0.15)
    assert first["control_psnr_y"] == first["kept_psnr_y"] == pytest.approx(-0.3)
    assert first["promised_psnr_y"] == pytest.approx(0.3)
    assert first["control_network"] == "c" and first["crf"] == 44.0
