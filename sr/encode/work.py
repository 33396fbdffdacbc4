"""What every step of an encode needs to know."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chunking.difficulty import patch_samples
from chunking.grid import Grid
from player.package.architecture import Architecture
from player.package.generic import generic_blob
from player.package.weights import WeightsBlob, unpack_weights
from sr.encode.film import Film
from sr.encode.job import Job
from sr.encode.methods import METHODS, Method
from sr.encode.options import EncodeOptions
from sr.models import architecture
from sr.progress import Progress
from sr.scoring import Scored, scored_network


@dataclass(frozen=True)
class Work:
    """One encode on its way: what is asked for, the film, the folder, whom to tell."""

    options: EncodeOptions
    film: Film
    job: Job
    progress: Progress

    @property
    def method(self) -> Method:
        return METHODS[self.options.training.method]

    @property
    def arch(self) -> Architecture:
        """The architecture of the method's networks."""
        training = self.options.training
        dynamic = self.method.dynamic
        return architecture(
            training.backbone, self.film.scale, dynamic, self.options.units, training.shape
        )

    @property
    def route_grid(self) -> Grid:
        """The grid of the route map: finer than the patches where paths share one network."""
        if not self.method.dynamic:
            return self.film.grid
        # The engine runs all paths of a network in one loop, so that small cells cost no halo.
        cell = self.options.route_cell_px
        return Grid(self.film.grid.height, self.film.grid.width, cell, cell)

    def samples_of(self, grid: Grid) -> NDArray[np.int64]:
        """Displayed RGB samples of each cell of a grid over the LR frame."""
        info = self.film.info
        return patch_samples(grid, self.film.scale, info.height, info.width)

    def scored(self, blob: bytes, frames: int) -> Scored:
        """The network of a weights blob, ready to upscale so many frames of the film."""
        return scored_network(blob, frames * self.film.grid.height * self.film.grid.width)

    @property
    def generic_int8(self) -> bytes:
        """The blob of the scale's generic network in integers, to judge difficulty by."""
        return generic_blob(self.film.scale, "int8")

    @property
    def generic(self) -> WeightsBlob:
        """The network to start a training from, in real numbers: the scale's generic one, or what
        stands in for it."""
        return unpack_weights(generic_blob(self.film.scale))
