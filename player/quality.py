"""How good a whole film is, by several measures at once: `QualityMeter`.

    ours, original [H, W, 3] u8 ---squared errors: PSNR------------.
             '--exact YUV 4:2:0--+--player/xpsnr.py----------------+--> Quality: the errors of
                                 '--player/vmaf.py, an FFmpeg------'    each frame, by metric

Each metric has an error for each frame, 0 at best, and a score for a mean of errors. So a film's
score and that of its worst frames are one formula over all frames or over some. What is not asked
for costs nothing.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Protocol, Self

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from chunking.colour import Colour, rgb_to_frame, yuv_colour
from player import metrics
from player.vmaf import MODELS, VmafProcess, find_vmaf, need_vmaf
from player.xpsnr import XpsnrGraph, has_xpsnr

Image = NDArray[np.uint8]


def _xpsnr_db(root: float) -> float:
    return min(metrics.MAX_PSNR_DB, -20 * math.log10(root)) if root > 0 else metrics.MAX_PSNR_DB


def _vmaf(error: float) -> float:
    return 100 - error


METRICS: Mapping[str, Callable[[float], float]] = {
    "psnr_rgb": metrics.psnr_db,
    "psnr_y": metrics.psnr_db,
    "xpsnr_y": _xpsnr_db,
    "vmaf": _vmaf,
    "vmaf_neg": _vmaf,
}
"""By name the score of a mean error; higher is better."""

_PIXEL_ERRORS: Mapping[str, Callable[[Image, Image], float]] = {
    "psnr_rgb": metrics.mse_rgb,
    "psnr_y": metrics.mse_y,
}


@dataclass(frozen=True)
class Quality:
    """The error of each frame, in order, for each metric that was measured."""

    errors: Mapping[str, Sequence[float]]

    def mean(self, metric: str) -> float | None:
        """The film's score; None where the metric was not measured, or there was no frame."""
        return self.worst(metric, 1.0)

    def worst(self, metric: str, share: float) -> float | None:
        """The score of the worst `share` (0 to 1) of the frames by this metric, at least of one."""
        errors = np.sort(self.errors.get(metric, ()))[::-1]
        count = max(1, math.ceil(share * len(errors)))
        return METRICS[metric](float(np.mean(errors[:count]))) if len(errors) else None

    def of_frames(self, metric: str) -> list[float]:
        """The score of each frame."""
        return [METRICS[metric](error) for error in self.errors.get(metric, ())]


def measurable(wanted: Iterable[str] = tuple(METRICS)) -> list[str]:
    """Those of the `wanted` metrics for which the tool is here."""
    here = {name: find_vmaf() is not None for name in MODELS.keys() & set(wanted)}
    return [name for name in wanted if here.get(name, name != "xpsnr_y" or has_xpsnr())]


class FrameFilter(Protocol):
    """A tool that compares YUV frames as they come."""

    def add(self, ours: av.VideoFrame, original: av.VideoFrame) -> None: ...

    def finish(self) -> dict[str, list[float]]: ...


class QualityMeter:
    """Compares a film's frames with the original's, by the metrics that are named.

        with QualityMeter(["psnr_y", "vmaf"], info.colour, info.frame_rate) as meter:
            for ours, original in pairs:
                meter.add(ours, original)
            meter.result().mean("psnr_y")

    `colour` and `frame_rate` are the original's: XPSNR and VMAF see its YUV form. Raises
    MissingToolError for a metric without its tool, VmafError where FFmpeg fails.
    """

    def __init__(
        self, wanted: Iterable[str], colour: Colour, frame_rate: Fraction, threads: int = 1
    ) -> None:
        names = list(wanted)
        if unknown := set(names) - METRICS.keys():
            raise ValueError(f"no such metric: {', '.join(sorted(unknown))}")
        self._colour, self._reformatter = yuv_colour(colour), VideoReformatter()
        self._errors: dict[str, list[float]] = {n: [] for n in names if n in _PIXEL_ERRORS}
        self._filters: list[FrameFilter] = []
        self._open = ExitStack()
        if "xpsnr_y" in names:
            self._filters.append(XpsnrGraph(frame_rate))
        if models := [name for name in names if name in MODELS]:
            process = self._open.enter_context(VmafProcess(need_vmaf(), models, threads))
            self._filters.append(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def add(self, ours: Image, original: Image) -> None:
        """Compare one frame [H, W, 3] u8 with the original's."""
        for name, errors in self._errors.items():
            errors.append(_PIXEL_ERRORS[name](ours, original))
        if self._filters:
            pair = [self._yuv(picture) for picture in (ours, original)]
            for tool in self._filters:
                tool.add(*pair)

    def result(self) -> Quality:
        """What the frames so far are worth; none can be added afterwards."""
        errors = dict(self._errors)
        for tool in self._filters:
            errors |= tool.finish()
        return Quality(errors)

    def _yuv(self, rgb: Image) -> av.VideoFrame:
        # Only luma counts here; 4:2:0 cannot hold odd sizes.
        odd = rgb.shape[0] % 2 or rgb.shape[1] % 2
        pix_fmt = "yuv444p" if odd else "yuv420p"
        return rgb_to_frame(rgb, pix_fmt, self._colour, self._reformatter)
