"""Distillation: a clip's teacher teaches the deployed network, on the crops it is trained on.

    crops ─► network ─► squared error to HR ───────────────────────────────┐
      └────► teacher, frozen ─► its HR ─► squared error of the hard path ──┴─► loss

With squared errors the two terms together are, but for a constant, one squared error to the mix
(HR + w teacher) / (1 + w): the teacher can smooth what the network is asked for, no more.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.reproduction.vit.teacher import Teacher
from benchmarks.reproduction.vit.teacher_training import taught
from benchmarks.reproduction.vit.tokens import Sparsity
from player.package.paths import HARD
from sr.models.network import Network
from sr.models.precision import bf16_where_fast
from sr.training.data import Batch
from sr.training.loop import Companion, PixelErrors


class Distillation(Companion):
    """Adds `weight` times the hard path's mean squared error to the teacher's output.

    The teacher sees only the crops that are drawn and is not changed. It costs its own forward
    pass, and one more of the network's hard path.
    """

    def __init__(
        self,
        network: Network,
        teacher: Teacher,
        weight: float,
        sparsity: Sparsity | None = None,
    ) -> None:
        """Raises ValueError where the teacher has another scale, or reads beyond the halo."""
        if teacher.shape.scale != network.arch.scale:
            raise ValueError(
                f"a teacher for x{teacher.shape.scale}, a network for x{network.arch.scale}"
            )
        self._network, self._teacher = network, teacher
        self._weight, self._sparsity = weight, sparsity

    def extra_loss(self, batch: Batch, errors: PixelErrors, step: int) -> Tensor | None:
        halo_px = self._network.halo_px(HARD)
        with torch.no_grad():
            hr = taught(self._teacher, batch.lr, halo_px, self._sparsity)
            detail = hr - self._network.base(batch.lr, halo_px)
            wanted = F.pixel_unshuffle(detail, self._network.arch.hr_units)
        with bf16_where_fast():
            residual = self._network.residual(batch.lr, HARD)
        return self._weight * batch.mean((residual.float() - wanted).square().mean(dim=1))
