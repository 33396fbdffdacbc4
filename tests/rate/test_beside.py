"""An encode of a scale that was given, beside the plain encode of its bytes."""

from sr.encode.beside import beside_plain
from sr.encode.encode import encode
from sr.encode.options import EncodeOptions
from sr.encode.report_file import read_report
from sr.progress import Progress
from sr.rate.judge import judge_package

METRICS = ("psnr_y", "psnr_rgb")


def test_a_scale_that_was_given_stands_beside_plain(film, tmp_path):
    asked = EncodeOptions.of(film, tmp_path / "p", scale=4, lr_codec="h264", steps=3, threads=1)
    said: list[str] = []
    with Progress() as progress:
        progress.warn = said.append  # type: ignore[method-assign]
        report = beside_plain(asked, encode(asked, progress), progress)
    assert report["plain"]["kbps"] == report["made"]["kbps"]
    assert report["plain"]["psnr_y"] > report["made"]["psnr_y"]
    assert any("a plain encode of the same bytes is" in line for line in said)
    assert read_report(tmp_path / "p") == report


def test_stream_alone_is_judged_as_a_plain_encode(film, tmp_path):
    """The control: a package whose network adds nothing shows what its stream shows."""
    options = EncodeOptions.of(film, tmp_path / "p", scale=1, lr_codec="h264", method="plain")
    with Progress() as progress:
        encode(options, progress)
    judged = judge_package(tmp_path / "p", film, METRICS)
    assert judged.shown.quality == judged.stream.quality
    # A stream is played without the index of a package.
    index = (tmp_path / "p/sr/index.bin").stat().st_size
    assert judged.shown.bytes == judged.stream.bytes + index and judged.skipped == 1.0


def test_a_plain_encode_is_not_set_beside_itself(film, tmp_path):
    asked = EncodeOptions.of(film, tmp_path / "p", scale=1, lr_codec="h264", method="plain")
    with Progress() as progress:
        report = encode(asked, progress)
        assert beside_plain(asked, report, progress) is report
