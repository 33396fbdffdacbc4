"""A package of settings that were given, beside the plain encode of the same bytes."""

import math
import tempfile
from pathlib import Path
from typing import Any

from chunking.probe import probe
from player.package.index import read_index
from player.package.sizes import part_bytes
from sr.encode.options import EncodeOptions
from sr.encode.rate_weight import DB_A_DOUBLING
from sr.encode.records import PLAIN
from sr.encode.report_file import write_report
from sr.progress import Progress
from sr.rate.curve import hull
from sr.rate.goal import BYTES_TOLERANCE, LAST_CRF, USUAL_CRF
from sr.rate.judge import judge_package
from sr.rate.rungs import HR
from sr.rate.sample import GOAL_ENCODES, Coding, StreamShelf, take_sample


def beside_plain(
    options: EncodeOptions, report: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    """The report of a finished encode with the plain encode of the same bytes beside it.

    Judged on a sample of the film; one warning where plain is better.
    """
    stream = options.stream
    if stream.lr_from:
        return _beside_own(options, report, progress)
    is_plain = options.training.method == PLAIN and stream.scale == 1
    if "plain" in report or is_plain or stream.lr_codec not in LAST_CRF:
        return report
    progress.stage("a plain encode of the same bytes", 0)
    info, metrics = probe(options.film), ("psnr_y", "psnr_rgb")
    sample = take_sample(options.film, info, stream.frames, stream.segment_s)
    numbers = {frame.index for frame in sample.frames}
    made = judge_package(options.out, options.film, metrics, only=numbers).shown
    # Streams of the sample have no manifests: that one's are like the package's own.
    manifests = part_bytes(options.out, read_index(options.out).index)["manifests"]
    left = made.bytes - manifests
    coding = Coding(stream.lr_codec, stream.segment_s, stream.codec_opts)
    with tempfile.TemporaryDirectory() as folder:
        shelf = StreamShelf(sample, coding, Path(folder), metrics)
        start, wanted = USUAL_CRF[stream.lr_codec], math.log(left)
        crf = shelf.crf_for(
            HR, start, lambda p: math.log(p.bytes) - wanted, BYTES_TOLERANCE, GOAL_ENCODES
        )
        plain = {m: round(hull(shelf.points(HR), m).at(left), 4) for m in metrics}
    ahead = plain["psnr_y"] - made.quality["psnr_y"]
    if ahead > 0:
        progress.warn(
            f"a plain encode of the same bytes is {ahead:.2f} dB (Y) better: "
            "without --scale the search finds what is best"
        )
    kbps = made.made_by["kbps"]
    report = {**report, "made": made.to_json(), "plain": {"kbps": kbps, "crf": crf, **plain}}
    write_report(options.out, report)
    return report


def _beside_own(
    options: EncodeOptions, report: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    """The report of a stream that was there already, with what the network adds to it."""
    if "made" in report:
        return report
    progress.stage("the package beside its stream", report["frames"])
    metrics = ("psnr_y", "psnr_rgb")
    judged = judge_package(options.out, options.film, metrics, on_frame=progress.at)
    gained = judged.shown.quality["psnr_y"] - judged.stream.quality["psnr_y"]
    worth = DB_A_DOUBLING * math.log2(judged.shown.bytes / judged.stream.bytes)
    if gained < worth and options.training.method != PLAIN:
        progress.warn(
            f"the network adds {gained:.2f} dB (Y), where as many bytes more in the stream would "
            f"add about {worth:.2f}: it pays on longer films, or at a lower rate"
        )
    report = {**report, "made": judged.shown.to_json(), "stream": judged.stream.to_json()}
    write_report(options.out, report)
    return report
