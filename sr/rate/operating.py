"""The plain encode that does what is asked for: where a search starts."""

import math

from chunking.lr import BICUBIC
from sr.rate.curve import Point
from sr.rate.goal import BYTES_TOLERANCE, FAR, TOLERANCE, USUAL_CRF, Goal, GoalError
from sr.rate.rungs import HR, Rung, rungs
from sr.rate.sample import GOAL_ENCODES, StreamShelf

_SENT_BESIDE = 1500  # bytes of manifests and index, for which a goal of bytes has to pay


def operating_point(shelf: StreamShelf, goal: Goal) -> tuple[Rung, float]:
    """Its rung and crf: at HR, or where HR takes too many bytes at the codec's last crf on the
    largest that does not. Raises GoalError where the nearest is far off."""
    start, metric = USUAL_CRF[shelf.coding.codec], goal.metric
    if goal.like_crf is not None:
        return HR, goal.like_crf
    if goal.value is not None:
        value, tolerance = goal.value, TOLERANCE[metric]
        crf = shelf.crf_for(HR, start, lambda p: p.quality[metric] - value, tolerance, GOAL_ENCODES)
        reached = shelf.point(HR, crf).quality[metric]
        if abs(reached - value) > FAR * tolerance:
            option = f"--target of {value} {metric}"
            raise _not_reached(shelf, option, HR, crf, f"{reached:.2f}")
        return HR, crf
    assert goal.kbps is not None
    size = goal.kbps * 125 * shelf.sample.seconds

    def excess(point: Point) -> float:
        return math.log((point.bytes + _SENT_BESIDE) / size)

    for rung in rungs(BICUBIC):
        crf = shelf.crf_for(rung, start, excess, BYTES_TOLERANCE, GOAL_ENCODES)
        if excess(shelf.point(rung, crf)) <= math.log1p(FAR * BYTES_TOLERANCE):
            break
    ratio = math.exp(excess(shelf.point(rung, crf)))
    if abs(ratio - 1) > FAR * BYTES_TOLERANCE:
        option, best = f"--target-kbps {goal.kbps:g}", f"{ratio * goal.kbps:.0f} kbps"
        raise _not_reached(shelf, option, rung, crf, best)
    return rung, crf


def _not_reached(shelf: StreamShelf, option: str, rung: Rung, crf: float, best: str) -> GoalError:
    at = f"--like-crf {crf:g}" if rung == HR else f"--scale {rung.scale} --lr-crf {crf:g}"
    codec = shelf.coding.codec
    return GoalError(f"{option} cannot be reached with {codec}: the nearest is {best}, at {at}")
