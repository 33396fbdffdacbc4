"""The table `chunks`: chunks by difficulty beside chunks of time, and several networks beside one.

STDO's claim (CVPR 2023, section 3.2): patches put together by difficulty are learned better than
stretches of time, as NAS has them. An arm is a way to share out a film among networks:

    film's patches --labels--> chunks --a static network each--> every patch by its own chunk's

All arms spend the same multiplications on training: k networks share the steps of one, and a
network of four times the weights has a quarter of them. Frames lie evenly over the whole film, so
that stretches of time have something to tell apart. `random` is the control of all chunks: as many
networks, for patches that have nothing in common. The arms `..., whole` train each of their
networks for all of the steps, as STDO does: k times the work, and of the wide network as much.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.shrinking.base import trained_well
from benchmarks.shrinking.claims import above, near, ratio
from benchmarks.shrinking.clips import BATCH, SCALE, Clip, read_spread
from player.costs import macs_per_pixel
from player.metrics import psnr_db
from player.package.architecture import Architecture
from player.package.paths import HARD
from sr.encode.methods import METHODS, chunk_labels, time_labels
from sr.encode.records import TrainingOptions
from sr.models import architecture, build_network
from sr.packing import pack_integers
from sr.quant.finetune import fine_tune, training_plans
from sr.scoring import path_sse, scored_network
from sr.training.data import CropSampler, TrainingSet, training_set
from sr.training.loop import overfit

Labels = NDArray[np.int64]  # [T, gh, gw]: which network a patch belongs to
KS = (2, 4, 6)
K = 4  # of the arms that are about something else
WIDTH, LAYERS = 32, 6  # of every network but the wide one
read = read_spread


@dataclass(frozen=True)
class Arm:
    """`labels` share the patches out, given the clip, the number of chunks and a seed. `drawn`: how
    often each patch is drawn within its chunk; None: all alike. `by_error`: chunks share the steps
    by their error, not evenly. `width` of the networks' layers; `times` the steps of `one`."""

    about: str
    labels: Callable[[Clip, int, int], Labels]
    chunks: int = 1
    drawn: Callable[[Clip], NDArray[np.float64]] | None = None
    by_error: bool = False
    width: int = WIDTH
    times: int = 1


def _time(clip: Clip, k: int, seed: int) -> Labels:
    frames = time_labels(len(clip.pairs), k)[:, None, None]
    return np.broadcast_to(frames, clip.difficulty.fine_db.shape)


def _difficulty(clip: Clip, k: int, seed: int, rule: str = "quantile") -> Labels:
    return chunk_labels(clip.difficulty, TrainingOptions(chunks=k, chunk_rule=rule))


def _random(clip: Clip, k: int, seed: int) -> Labels:
    """Chunks of equal counts of whatever patches."""
    return np.random.default_rng(seed).permutation(_difficulty(clip, k, seed).ravel()).reshape(
        clip.difficulty.fine_db.shape
    )  # fmt: skip


def _drawn_by(method: str, clip: Clip) -> NDArray[np.float64]:
    """As `encode --method` draws for its one network."""
    (task,) = METHODS[method].tasks(clip.difficulty, TrainingOptions(method=method, chunks=K))
    return task.shares


def _one(about: str, **how: Any) -> Arm:
    return Arm(about, lambda clip, k, seed: np.zeros_like(_time(clip, 1, seed)), **how)


def squared_error(clip: Clip) -> NDArray[np.float64]:
    """[T, gh, gw]: of the generic network on each patch, to a factor."""
    return 10 ** (-clip.difficulty.fine_db / 10)


_ARMS: Mapping[str, Arm] = {
    "one": _one("one network for everything"),
    "one, four times": _one("one network of four times the weights", width=2 * WIDTH),
    "one, by error": _one("one network, patches drawn by the root of their squared error",
                          drawn=lambda clip: np.sqrt(squared_error(clip))),
    "one, by squared error": _one("one network, patches drawn by their squared error",
                                  drawn=squared_error),
    "jstdo": _one("one network, the hardest chunk's patches drawn most",
                  drawn=partial(_drawn_by, "jstdo")),
    "dydca": _one("one network, drawn by error, hard patches twice as often",
                  drawn=partial(_drawn_by, "dydca")),
    **{f"time {k}": Arm(f"{k} stretches of time", _time, k) for k in KS},
    **{f"difficulty {k}": Arm(f"{k} chunks of equal counts by difficulty", _difficulty, k)
       for k in KS},
    "random 4": Arm("4 chunks of patches drawn at random", _random, K),
    "difficulty 4, steps by error": Arm("steps shared by the chunks' error", _difficulty, K,
                                        by_error=True),
    "equal error 4": Arm("4 chunks of equal squared error",
                         partial(_difficulty, rule="error"), K),
    "one, four times, whole": _one("the wide network, four times the work", width=2 * WIDTH,
                                   times=K),
    "time 4, whole": Arm("stretches of time, each for all steps", _time, K, times=K),
    "difficulty 4, whole": Arm("chunks by difficulty, each for all steps", _difficulty, K, times=K),
}  # fmt: skip
ARMS = {name: arm.about for name, arm in _ARMS.items()}
CLAIMS = (
    *(above(f"difficulty {k}", f"time {k}", 0.0) for k in KS),
    above("time 4", "one", 0.0),
    above("time 4", "one, by error", 0.0),
    above("difficulty 4, whole", "time 4, whole", 0.0),
    above("difficulty 4", "random 4", 0.0),
    above("difficulty 4", "one, four times", 0.0),
    above("difficulty 4, whole", "one, four times, whole", 0.0),
    ratio("difficulty 4", "one, four times", "bytes", 1.0, "bytes of weights"),
    above("difficulty 4, steps by error", "difficulty 4", 0.0),
    above("equal error 4", "difficulty 4", 0.0),
    *(near(name, "difficulty 4", 0.1) for name in ("one", "jstdo", "one, by error", "dydca")),
    ratio("one", "difficulty 4", "bytes", 0.25, "bytes of weights"),
    *(above(name, "one", 0.0) for name in ("jstdo", "one, by error", "dydca")),
    above("one, by error", "jstdo", 0.0),
    above("one, by squared error", "one, by error", 0.0),
)
SHOWN = ("arm", "psnr_db", "bytes", "macs")


def step_shares(arm: Arm, clip: Clip, labels: Labels) -> NDArray[np.float64]:
    """[k]: of all steps, those of each chunk."""
    if not arm.by_error:
        return np.full(arm.chunks, 1 / arm.chunks)
    errors = np.bincount(labels.ravel(), squared_error(clip).ravel(), arm.chunks)
    return errors / errors.sum()


def make(clip: Clip, arm: str, seed: int, steps: int, store: Path) -> dict[str, Any]:
    """Train an arm's networks and judge each on the patches of its chunk."""
    spec = _ARMS[arm]
    arch = architecture("chain", SCALE, False, shape=((spec.width,) * LAYERS, (LAYERS,)))
    base = architecture("chain", SCALE, False, shape=((WIDTH,) * LAYERS, (LAYERS,)))
    macs = macs_per_pixel(arch, HARD)
    work = steps * spec.times * macs_per_pixel(base, HARD) / macs
    data = training_set(list(clip.pairs), SCALE, arch.halo_px(HARD))
    labels = spec.labels(clip, spec.chunks, seed)
    drawn = spec.drawn(clip) if spec.drawn else np.ones(labels.shape)
    # Cut where the steps so far lie, so that together they are neither more nor fewer.
    ends = np.round(work * np.cumsum([0.0, *step_shares(spec, clip, labels)])).astype(int)
    error, sizes = 0.0, []
    for chunk, (first, end) in enumerate(pairwise(ends)):
        own = labels == chunk
        blob = trained(arch, clip, data, drawn * own, max(1, int(end - first)), seed)
        errors = [sse[HARD] for sse in path_sse(scored_network(blob), clip.pairs, clip.grid)]
        error += float(np.stack(errors)[own].sum())
        sizes.append(len(blob))
    samples = float(clip.samples.sum()) * len(clip.pairs)
    return {"psnr_db": psnr_db(error / samples), "bytes": sum(sizes), "macs": macs}


def trained(
    arch: Architecture,
    clip: Clip,
    data: TrainingSet,
    shares: NDArray[np.float64],
    steps: int,
    seed: int,
) -> bytes:
    """The blob of a network after so many steps of the papers' crops, and its fine-tuning."""
    network = build_network(arch, seed)
    sampler = CropSampler(data, shares, (clip.grid.fine_h, clip.grid.fine_w), BATCH, seed)
    first, second = training_plans(steps, rate_aware=False)
    overfit(network, sampler, first)
    return pack_integers(arch, fine_tune(trained_well(network), sampler, second))
