"""What every step of an encode needs to know."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chunking.difficulty import patch_samples
from chunking.grid import Grid
from chunking.lr import lr_size
from chunking.probe import VideoInfo
from player.package.architecture import Architecture
from player.package.generic import blob_path
from player.package.weights import WeightsBlob, unpack_weights
from sr.encode.config import EncodeConfig
from sr.encode.job import Job
from sr.encode.methods import METHODS, Method
from sr.models import architecture
from sr.progress import Progress


@dataclass(frozen=True)
class Work:
    """One encode on its way: what is asked for, the film, the folder, whom to tell."""

    config: EncodeConfig
    info: VideoInfo
    job: Job
    progress: Progress

    @property
    def method(self) -> Method:
        return METHODS[self.config.method]

    @property
    def arch(self) -> Architecture:
        """The architecture of the method's networks."""
        return architecture(self.config.backbone, self.config.scale, self.method.dynamic)

    @property
    def grid(self) -> Grid:
        """The patch grid over the LR frame."""
        return Grid(*lr_size(self.info.height, self.info.width, self.config.scale))

    @property
    def route_grid(self) -> Grid:
        """The grid of the route map: finer than the patches where paths share one network.

        The engine runs all paths of a network in one loop, so that small cells cost no halo.
        """
        if not self.method.dynamic:
            return self.grid
        cell = self.config.route_cell_px
        return Grid(self.grid.height, self.grid.width, cell, cell)

    @property
    def samples(self) -> NDArray[np.int64]:
        """Displayed RGB samples of each fine patch [gh, gw]."""
        return self.samples_of(self.grid)

    def samples_of(self, grid: Grid) -> NDArray[np.int64]:
        """Displayed RGB samples of each cell of a grid over the LR frame."""
        return patch_samples(grid, self.config.scale, self.info.height, self.info.width)

    @property
    def generic(self) -> WeightsBlob:
        """The generic network of the scale."""
        return unpack_weights(blob_path(self.config.scale).read_bytes())
