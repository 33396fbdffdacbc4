"""What is asked for: the quality of a plain encode, so many bytes, or so much quality."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sr.usage_error import UsageError

METRICS: Mapping[str, str] = {
    "psnr-y": "psnr_y",
    "psnr-rgb": "psnr_rgb",
    "xpsnr": "xpsnr_y",
    "vmaf": "vmaf",
}
"""Names of options, and of what `player.quality` measures."""

USUAL_CRF: Mapping[str, float] = {"h264": 23, "h265": 28, "av1": 35}
"""What streams are usually encoded with: x264's and x265's own default, and SVT-AV1's."""

LAST_CRF: Mapping[str, float] = {"h264": 51, "h265": 51, "av1": 63}

_METRIC_OF = {"psnr": "psnr_y", "xpsnr": "xpsnr_y", "vmaf": "vmaf"}
TOLERANCE: Mapping[str, float] = {"psnr_y": 0.1, "psnr_rgb": 0.1, "xpsnr_y": 0.1, "vmaf": 0.5}
BYTES_TOLERANCE = 0.02
FAR = 5  # tolerances: the goal is not reached; a network may bring half a dB more
MOST_LESS_ALONE = {"psnr_y": 0.5, "psnr_rgb": 0.5, "xpsnr_y": 0.5, "vmaf": 2.5}
"""What a stream of moved frames may show less by itself: every player shows it."""


def luma_share(metric: str) -> float:
    """How much of the squared error that routes are planned by is luma's alone. 0.7 gives 0.008 dB
    more of luma than RGB alone, and takes 0.004 dB of RGB's (benchmarks/shipped_gains.py)."""
    return 0.0 if metric == "psnr_rgb" else 0.7


@dataclass(frozen=True)
class Goal:
    """Exactly one of: `like_crf`, a plain encode's; `kbps` of everything; `value` of `metric`.

    `worst`: the share of the film's worst frames that `value` is the mean of; 1.0 is the film.
    """

    metric: str = "psnr_y"
    like_crf: float | None = None
    kbps: float | None = None
    value: float | None = None
    worst: float = 1.0

    def to_json(self) -> dict[str, Any]:
        """As job.json and report.json have it."""
        return {f"goal_{name}": value for name, value in vars(self).items()}


def goal_of(
    codec: str,
    metric: str | None = None,
    like_crf: float | None = None,
    target_kbps: float | None = None,
    target_psnr: float | None = None,
    target_xpsnr: float | None = None,
    target_vmaf: float | None = None,
    worst: float | None = None,
) -> Goal:
    """The goal of an encode's options; none given: the codec's usual rate.

    Raises UsageError where they contradict each other.
    """
    values = {"psnr": target_psnr, "xpsnr": target_xpsnr, "vmaf": target_vmaf}
    asked = {"--like-crf": like_crf, "--target-kbps": target_kbps}
    asked |= {f"--target-{name}": value for name, value in values.items()}
    given = [option for option, value in asked.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} contradict each other: give one")
    if codec not in USUAL_CRF:
        raise UsageError(f"--lr-codec {codec}: a lossless stream has no rate; give --scale")
    name = next((name for name, value in values.items() if value is not None), None)
    if worst is not None and name is None:
        raise UsageError("--worst is for --target-psnr, --target-xpsnr and --target-vmaf")
    if name is not None:
        if metric is not None and METRICS[metric] != _METRIC_OF[name]:
            raise UsageError(f"--metric {metric} and {given[0]} contradict each other: give one")
        return Goal(_METRIC_OF[name], value=values[name], worst=worst or 1.0)
    if like_crf is not None and like_crf > LAST_CRF[codec]:
        raise UsageError(f"--like-crf {like_crf:g}: {codec} has none above {LAST_CRF[codec]:g}")
    measured = METRICS[metric or "psnr-y"]
    if target_kbps is not None:
        return Goal(measured, kbps=target_kbps)
    return Goal(measured, like_crf=USUAL_CRF[codec] if like_crf is None else like_crf)


class GoalError(Exception):
    """What was asked for cannot be reached; the message says what can."""

    exit_code = 4
