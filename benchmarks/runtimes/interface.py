"""What a runtime offers to the benchmark; NumPy alone, because child processes import it.

convert(subject, order)    files in a folder: the runtime's own converter and quantiser
open(order, threads)       a Session, from those files alone
session.prepare(lr)        what the runtime is given, in the layout it likes best; not timed
session.run(fed)           timed
session.picture(out)       RGB bytes, to compare; not timed
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from benchmarks.subject import Subject

Image = NDArray[np.uint8]
Planes = NDArray[np.float32]
Size = tuple[int, int]  # LR height and width, px

MAX_ANY_SIZE: Size = (540, 960)  # of an order for any size: some runtimes want a bound


class Unsupported(Exception):
    """The runtime cannot do what was asked for; the message says why."""


@dataclass(frozen=True)
class Order:
    """The hard path, to be converted and opened: files go to `folder` and come from there.

    `size` None: for frames of any size up to MAX_ANY_SIZE, a new one each call. `units`: the side
    of what the network sees as one place; `scale`: of a place, HR pixels on a side.
    """

    folder: Path
    dtype: str
    size: Size | None
    halo_px: int
    scale: int
    units: int = 1

    @property
    def planes(self) -> int:
        """Of a place, as the network takes them."""
        return 3 * self.units**2

    def file(self, runtime: str, suffix: str, sized: bool) -> Path:
        """Where a runtime keeps this order; `sized` where each size needs a file of its own."""
        size = "" if not sized else "-any" if self.size is None else f"-{size_name(self.size)}"
        return self.folder / f"{runtime}-{self.dtype}{size}{suffix}"

    @property
    def input_sides(self) -> Size | None:
        """Height and width of the frame with its halo, in places; None for any size."""
        if self.size is None:
            return None
        height, width = ((side + 2 * self.halo_px) // self.units for side in self.size)
        return height, width


class Session(ABC):
    """A network, ready for frames."""

    @abstractmethod
    def prepare(self, lr: Image) -> Any:
        """What `run` takes, for an LR frame [h, w, 3]."""

    @abstractmethod
    def run(self, fed: Any) -> Any:
        """The whole network; all that a new size costs is in it."""

    @abstractmethod
    def picture(self, out: Any) -> Image:
        """What `run` gave, as [r h, r w, 3]."""


class PlanesSession(Session):
    """A session that takes float planes of places with their halo, and gives float planes
    [1, 3, r h, r w]."""

    def __init__(self, order: Order) -> None:
        self.halo_px, self.units = order.halo_px, order.units

    def prepare(self, lr: Image) -> Any:
        return planes(lr, self.halo_px, self.units)

    def picture(self, out: Any) -> Image:
        return pixels(np.asarray(out)[0].transpose(1, 2, 0))


class FrameBuffer:
    """Memory for what a session gives: it grows, and then stays, as a player's does."""

    def __init__(self, dtype: type[np.generic]) -> None:
        self.memory = np.empty(0, dtype)

    def take(self, shape: tuple[int, ...]) -> NDArray[Any]:
        """An array of that shape; the one before is overwritten."""
        size = math.prod(shape)
        if self.memory.size < size:
            self.memory = np.empty(size, self.memory.dtype)
        return self.memory[:size].reshape(shape)


class Runtime(ABC):
    """One runtime. `modules`: what must be importable; `packages`: what its versions are of;
    `libraries`: folders and files beside site-packages whose mapped libraries are its size."""

    name: str
    dtypes: tuple[str, ...] = ("fp32", "int8")
    modules: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()  # what a program that runs it, and nothing else, imports
    absent: str = ""  # why a dtype is missing

    @abstractmethod
    def convert(self, subject: "Subject", order: Order) -> None:
        """Write what `open` needs, unless it is there. Raises Unsupported."""

    @abstractmethod
    def open(self, order: Order, threads: int) -> Session:
        """A session from the files of `convert`. Raises Unsupported."""


def size_name(size: Size) -> str:
    """Width x height, as everywhere in tables."""
    return f"{size[1]}x{size[0]}"


def with_halo(lr: Image, halo_px: int, units: int = 1) -> Image:
    """The frame [h, w, 3] with its edge pixels repeated around it, as places of u x u pixels
    [(h + 2R) / u, (w + 2R) / u, 3 u^2], ordered (colour, dy, dx)."""
    margin = (halo_px, halo_px)
    padded = np.pad(lr, (margin, margin, (0, 0)), mode="edge")
    height, width = (side // units for side in padded.shape[:2])
    split = padded.reshape(height, units, width, units, 3).transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(split.reshape(height, width, 3 * units**2))


def planes(lr: Image, halo_px: int, units: int = 1) -> Planes:
    """The frame with its halo as float planes [1, 3 u^2, (h + 2R) / u, (w + 2R) / u]."""
    places = with_halo(lr, halo_px, units)
    return np.ascontiguousarray(places.transpose(2, 0, 1)[None], np.float32)


def pixels(values: NDArray[Any]) -> Image:
    """Rounded half to even and clamped, as the engine does."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
