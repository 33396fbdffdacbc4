"""What each path of a network makes of a whole frame, on the server: for difficulty and routes.

blob, int8 ──► EngineNetwork where there is an engine, else IntegerNetwork: the same pixels
      real ──► the torch network, in bf16 where that is fast
"""

from collections.abc import Collection, Iterable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from chunking.difficulty import shown_sse
from chunking.grid import Grid
from player.engine import MAX_THREADS, Engine
from player.package.anchor import anchor_halo_px
from player.package.paths import BICUBIC, HARD, PLANNED_PATHS
from player.package.scale import hr_px
from player.package.weights import unpack_weights
from player.upscale import whole_frame
from sr.host_engine import host_engine
from sr.models import Network
from sr.models.anchor import upsample
from sr.models.network import crop
from sr.models.precision import bf16_where_fast
from sr.packing import network_of, to_pixels
from sr.quant.integer_network import IntegerNetwork
from sr.training.data import FramePair, Image


class EngineNetwork:
    """An int8 network on the compiled engine, with the threads that torch would have."""

    def __init__(self, engine: Engine, blob: bytes) -> None:
        self._network = engine.load(blob)
        self._pool = engine.pool(min(torch.get_num_threads(), MAX_THREADS))
        self.arch, self.paths = self._network.arch, self._network.paths

    def halo_px(self, path: int) -> int:
        """Context that `path` reads on every side, in LR pixels."""
        return self._network.halo_px(path)

    def upscale_frame(self, lr: Image, path: int) -> Image:
        """A whole frame [h, w, 3] u8 on a path that the network has -> [r h, r w, 3] u8."""
        # C wants pixels in rows; what a resize has left may lie in planes.
        return self._pool.frame([self._network], whole_frame(lr, path), np.ascontiguousarray(lr))

    def upscale_all(self, patch: Image) -> dict[int, Image]:
        """As `IntegerNetwork.upscale_all`."""
        frames, halo = {}, self.halo_px(HARD)
        for path in self.paths:
            beyond = halo - self.halo_px(path)
            inner = patch[beyond : len(patch) - beyond, beyond : patch.shape[1] - beyond]
            frames[path] = self._network.upscale(np.ascontiguousarray(inner), path)
        return frames


Scored = Network | IntegerNetwork | EngineNetwork


def scored_network(blob: bytes, lr_px: int = 0) -> Scored:
    """The network of a weights blob, in the arithmetic of its dtype.

    `lr_px`: how many LR pixels it is to upscale, for `host_engine`. Raises PackageError.
    """
    parsed = unpack_weights(blob)
    if not parsed.is_int8:
        return network_of(parsed)
    engine = host_engine(lr_px)
    return EngineNetwork(engine, blob) if engine else IntegerNetwork(parsed.arch, parsed.tensors)


def upscale_paths(
    network: Scored, lr: Image, paths: Collection[int] = PLANNED_PATHS
) -> Iterator[tuple[int, Image]]:
    """Each of `paths` that the network has, with the HR frame [r h, r w, 3] u8 of an LR frame.

    An int8 network gives the engine's own pixels. Of others, in pixel units, the convolutions run
    in bf16 where that is fast: within about one code value of the engine.
    """
    if isinstance(network, EngineNetwork):
        # One after the other: a frame that is judged at once is still in the cache.
        yield from ((p, network.upscale_frame(lr, p)) for p in network.paths if p in paths)
        return
    halo, (height, width) = network.halo_px(HARD), lr.shape[:2]
    # Behind the frame to whole units, as the engine goes on by its edges; what is made of that is
    # no part of the picture.
    down, across = ((halo, halo + -side % network.arch.units) for side in (height, width))
    whole = upscale_patch(network, np.pad(lr, (down, across, (0, 0)), mode="edge"))
    shown = np.s_[: hr_px(height, network.arch.scale), : hr_px(width, network.arch.scale)]
    yield from ((path, hr[shown]) for path, hr in whole.items() if path in paths)


def upscale_patch(network: Scored, padded: Image) -> dict[int, Image]:
    """Every path's pixels of a patch with its halo [h + 2R, w + 2R, 3] u8, R that of the hard
    path."""
    if not isinstance(network, Network):
        return network.upscale_all(padded)
    halo = network.halo_px(HARD)
    x = torch.from_numpy(padded).permute(2, 0, 1)[None].float()
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        with bf16_where_fast():
            residuals = network.residuals(x)
        base = network.base(x, halo)
        scale = network.arch.scale
        side = network.arch.hr_units
        details = {path: F.pixel_shuffle(r.float(), side) for path, r in residuals.items()}
    frames = {path: to_pixels(detail + base) for path, detail in details.items()}
    anchor = upsample(crop(x, halo - anchor_halo_px(scale)), scale)
    return {BICUBIC: to_pixels(anchor), **frames}


def path_sse(
    network: Scored,
    pairs: Iterable[FramePair],
    grid: Grid,
    paths: Collection[int] = PLANNED_PATHS,
    luma_share: float = 0.0,
) -> Iterator[NDArray[np.float64]]:
    """For each frame, [3, gh, gw]: squared error of every patch on bicubic, easy and hard, a share
    of it luma's alone (`shown_sse`).

    Infinite for a path that the network lacks, and for what is not among `paths`.
    """
    for pair in pairs:
        errors = np.full((len(PLANNED_PATHS), *grid.shape), np.inf)
        for path, frame in upscale_paths(network, pair.lr, paths):
            errors[path] = shown_sse(frame, pair.hr, grid, network.arch.scale, luma_share)
        yield errors
