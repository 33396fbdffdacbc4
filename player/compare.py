"""The three ways to upscale a film, and how far each is from the original."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from player import metrics
from player.bicubic import upscale_bicubic
from player.engine import Engine, Network, Pool
from player.networks import generic_blob
from player.package.package_error import PackageError
from player.package.paths import BICUBIC, HARD
from player.upscale import whole_frame

Image = NDArray[np.uint8]


@dataclass
class Errors:
    """The mean squared errors of one way to upscale, a number for each frame."""

    rgb: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)

    def add(self, ours: Image, original: Image) -> None:
        """Compare one frame [H, W, 3] u8 with the original."""
        self.rgb.append(metrics.mse_rgb(ours, original))
        self.y.append(metrics.mse_y(ours, original))

    @property
    def psnr_rgb_db(self) -> float | None:
        """PSNR of the mean error over all frames; None without frames."""
        return _psnr_of_mean(self.rgb)

    @property
    def psnr_y_db(self) -> float | None:
        """As `psnr_rgb_db`, of the luma."""
        return _psnr_of_mean(self.y)

    def frame_psnr_rgb_db(self) -> NDArray[np.float64]:
        """[frames]: the PSNR of each frame."""
        return np.array([metrics.psnr_db(mse) for mse in self.rgb])


def _psnr_of_mean(errors: Sequence[float]) -> float | None:
    return metrics.psnr_db(float(np.mean(errors))) if errors else None


class Arm(Protocol):
    """A control: LR [h, w, 3] u8 to HR [r h, r w, 3] u8, whole frames."""

    def __call__(self, lr: Image) -> Image: ...


@dataclass(frozen=True)
class PathArm:
    """Whole frames through one path of one network of the engine."""

    network: Network
    pool: Pool
    path: int

    def __call__(self, lr: Image) -> Image:
        return self.pool.frame((self.network,), whole_frame(lr, self.path), lr)


@dataclass(frozen=True)
class BicubicArm:
    """Bicubic without an engine."""

    scale: int

    def __call__(self, lr: Image) -> Image:
        return upscale_bicubic(lr, self.scale)


def control_arms(engine: Engine | None, scale: int, threads: int | None) -> dict[str, Arm]:
    """The controls by name: "bicubic" always, "generic" where an engine runs that network."""
    try:
        generic = engine.load(generic_blob(scale, engine.info["dtype"])) if engine else None
    except PackageError:
        generic = None
    if engine is None or generic is None:
        return {"bicubic": BicubicArm(scale)}
    pool = engine.pool(threads)
    return {"bicubic": PathArm(generic, pool, BICUBIC), "generic": PathArm(generic, pool, HARD)}
