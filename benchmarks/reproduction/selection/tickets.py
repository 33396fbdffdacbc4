"""Data-level tickets: the patches that are enough to overfit a network to.

    patches --information--> the best half: the ticket --> overfitting
                             the rest: served by a cheap path

The hypothesis (data-level lottery tickets for vision transformers, section 3): a network trained on
the ticket alone is as good as one trained on all data, and better than one trained on a random part
of the same size, at the same work. Information is what a patch has to teach: the error that is left
on it (of the generic network, which is known before training), or what a first short run gained.
"""

import numpy as np
from numpy.typing import NDArray

from chunking.grid import Grid
from player.package.paths import BICUBIC, HARD
from sr.scoring import Scored, path_sse
from sr.training.data import FramePair

TICKET_SHARE = 0.5

Scores = NDArray[np.float64]


class TicketError(ValueError):
    """A ticket that would hold nothing, or all."""


def ticket(information: Scores, share: float = TICKET_SHARE) -> NDArray[np.bool_]:
    """Marks the share of the patches [T, gh, gw] that has most information.

    Raises TicketError where that is no patch, or every one.
    """
    count = round(share * information.size)
    if not 0 < count < information.size:
        raise TicketError(
            f"{information.size} patches cannot give a ticket of {share:.0%}: train on all"
        )
    marks = np.zeros(information.size, np.bool_)
    marks[np.argsort(-information, axis=None, kind="stable")[:count]] = True
    return marks.reshape(information.shape)


def drawn(information: Scores, seed: int) -> Scores:
    """Information for a ticket that is drawn by it instead of cut off at it.

    The best of these scores are a draw without replacement in proportion to `information`
    (Efraimidis and Spirakis, 2006): what teaches little is rare in the ticket, but not missing.
    """
    rng = np.random.default_rng(seed)
    weights = np.maximum(information / max(float(information.max()), 1e-300), 1e-12)
    keys: Scores = np.log(rng.random(information.shape)) / weights
    return keys


def error_left(fine_db: Scores) -> Scores:
    """Information as the error that a network leaves: its PSNR of each patch, turned round."""
    left: Scores = 10 ** (-fine_db / 10)
    return left


def gained(network: Scored, pairs: list[FramePair], grid: Grid) -> Scores:
    """Information as what a network, after a first short run, gains over bicubic: the squared error
    that it removed of each patch [T, gh, gw]."""
    errors = [sse[BICUBIC] - sse[HARD] for sse in path_sse(network, pairs, grid)]
    return np.stack(errors)


def chance(shape: tuple[int, ...], seed: int) -> Scores:
    """The control: no information, so that a ticket of it is a random part."""
    return np.random.default_rng(seed).random(shape)
