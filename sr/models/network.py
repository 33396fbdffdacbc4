"""What all networks share: valid convolutions, a halo for each path, exact folding of units.

No convolution pads. The caller supplies `halo_px` pixels of real context on every side (the
frame's edge pixel repeated beyond the frame), so a patch gives the same pixels as the frame.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from player.package.anchor import anchor_halo_px, anchor_reach
from player.package.architecture import Architecture, tensor_layout
from player.package.paths import EASY, HARD
from sr.models.anchor import anchor_weight, upsample

PIXEL_MAX = 255.0
IDENTITY_NOISE = 0.3


def crop(x: Tensor, margin_px: int) -> Tensor:
    """[N, C, H, W] -> [N, C, H - 2 margin, W - 2 margin], the centre."""
    if margin_px == 0:
        return x
    return x[:, :, margin_px:-margin_px, margin_px:-margin_px]


class Network(nn.Module, ABC):
    """A super-resolution network: LR [N, 3, H + 2R, W + 2R] -> HR [N, 3, r H, r W].

    Sides are whole units of u x u LR pixels, which the convolutions see as one place each.

    Trained in unit range (0..1); `deployed_tensors` folds the scaling, so that the deployed
    form works in pixel units. A subclass says which convolutions touch the pixels.
    """

    input_convolutions: tuple[str, ...]
    output_convolutions: tuple[str, ...]
    has_anchor: bool
    anchor: Tensor

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.arch = arch
        if self.has_anchor:
            # Not in checkpoints: it follows from scale and units.
            weight = anchor_weight(arch.scale, arch.units)
            self.register_buffer("anchor", weight, persistent=False)

    def halo_px(self, path: int) -> int:
        """Context that `path` reads on every side, in LR pixels."""
        return self.arch.halo_px(path)

    @abstractmethod
    def residuals(self, x: Tensor) -> dict[int, Tensor]:
        """Every path's residual [N, 3 (r u)^2, H / u, W / u] for x with the hard path's halo."""

    @abstractmethod
    def residual(self, x: Tensor, path: int) -> Tensor:
        """One path's residual [N, 3 (r u)^2, H / u, W / u] for x with that path's halo."""

    def base(self, x: Tensor, halo_px: int) -> Tensor:
        """The anchor [N, 3, r H, r W] (zero where the network has none) for x with `halo_px`."""
        if not self.has_anchor:
            return torch.zeros(())
        return upsample(crop(x, halo_px - anchor_halo_px(self.arch.scale)), self.arch.scale)

    def forward(self, x: Tensor, path: int = HARD) -> Tensor:
        """[N, 3, H + 2R, W + 2R] -> [N, 3, r H, r W], not clamped."""
        y = self.residual(x, path)
        if self.has_anchor:
            # A path's halo may be deeper than the anchor's.
            margin = self.halo_px(path) // self.arch.units - self.anchor_reach
            y = y + F.conv2d(crop(self.places(x), margin), self.anchor)
        return F.pixel_shuffle(y, self.arch.hr_units)

    @property
    def anchor_reach(self) -> int:
        """Units that the anchor reads on every side."""
        return anchor_reach(self.arch.scale, self.arch.units)

    def places(self, x: Tensor) -> Tensor:
        """[N, 3, H, W] -> [N, 3 u^2, H / u, W / u], what the convolutions see, or x where it is."""
        is_pixels = x.shape[1] != self.arch.planes
        return F.pixel_unshuffle(x, self.arch.units) if is_pixels else x

    def deployed_tensors(self) -> dict[str, Tensor]:
        """The tensors of `tensor_layout`, detached, in pixel units, re-parameterisations folded."""
        tensors = {}
        for spec in tensor_layout(self.arch):
            name, kind = spec.name.rsplit(".", 1)
            value = getattr(self.get_submodule(name), kind).detach().float()
            tensors[spec.name] = value * self._unit_factor(name, kind)
        return tensors

    def deployed_arrays(self) -> dict[str, NDArray[np.float32]]:
        """`deployed_tensors`, for NumPy."""
        return {name: value.numpy() for name, value in self.deployed_tensors().items()}

    def load_deployed(self, tensors: dict[str, Tensor], pixel_units: bool) -> None:
        """Load deployed tensors; `pixel_units` False undoes the folding, for training on."""
        with torch.no_grad():
            for full_name, value in tensors.items():
                name, kind = full_name.rsplit(".", 1)
                factor = 1.0 if pixel_units else self._unit_factor(name, kind)
                module = self.get_submodule(name)
                parameter = getattr(module, kind)
                if isinstance(parameter, nn.Parameter):
                    parameter.copy_(value / factor)
                else:
                    # A parametrised weight is set through its right inverse.
                    setattr(module, kind, value / factor)

    def _unit_factor(self, name: str, kind: str) -> float:
        # A pixel is 255 times its unit value. What reads pixels has its weights divided; what
        # writes them has weights and biases multiplied; wdsr's skip does both, and keeps its
        # weights.
        reads = name in self.input_convolutions and kind == "weight"
        writes = name in self.output_convolutions
        return (1 / PIXEL_MAX if reads else 1.0) * (PIXEL_MAX if writes else 1.0)


def init_trunk(convolutions: Iterable[nn.Conv2d]) -> None:
    """The first convolution: He (ICCV 2015). The others: identity and a little of He's noise.

    What that is worth is measured in docs/training.md.
    """
    for i, convolution in enumerate(convolutions):
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        assert convolution.bias is not None
        nn.init.zeros_(convolution.bias)
        if i > 0:
            with torch.no_grad():
                # Close to the identity a deep plain chain learns as if it had skip connections, and
                # the phone pays for none.
                identity = nn.init.dirac_(torch.empty_like(convolution.weight))
                convolution.weight.mul_(IDENTITY_NOISE).add_(identity)


def init_silent(convolution: nn.Conv2d) -> None:
    """Almost zero, so that training starts from the anchor."""
    # Not zero itself, through which no gradient would reach the trunk.
    nn.init.normal_(convolution.weight, std=1e-3)
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)


__all__ = ["EASY", "HARD", "PIXEL_MAX", "Network", "crop", "init_silent", "init_trunk"]
