"""How a decoded frame must be turned to stand upright: the display matrix of its container."""

import struct
from dataclasses import dataclass

import av
import numpy as np
from av.sidedata.sidedata import Type

from chunking.side_data import side_data


@dataclass(frozen=True)
class Orientation:
    """Transpose first, then the flips; together they express all eight EXIF orientations."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def rotation_deg(self) -> int:
        """Clockwise turn in degrees: 0, 90, 180 or 270 (a mirror's turn without its flip)."""
        if self.transpose:
            return 90 if self.flip_x else 270
        return 180 if self.flip_y else 0

    def apply(self, image: np.ndarray) -> np.ndarray:
        """[H, W, C] as stored -> [H', W', C] upright."""
        if self.transpose:
            image = image.swapaxes(0, 1)
        image = image[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
        return np.ascontiguousarray(image)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) after turning."""
        return (width, height) if self.transpose else (height, width)


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """From the frame's display matrix; turns between right angles go to the nearest one.

    The matrix (ISO/IEC 14496-12, 8.3.2) sends the stored (x, y) to (a x + c y, b x + d y).
    """
    try:
        matrix = side_data(frame)[Type.DISPLAYMATRIX]
    except KeyError:
        return Orientation()
    # Fixed point of different scales: only signs, and which pair is larger, are looked at.
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, flip_x=a < 0, flip_y=d < 0)
    return Orientation(True, flip_x=c < 0, flip_y=b < 0)
