"""Pictures for a report: the worst frames, cut out where most is wrong, of every side; the routes.

errors of each frame --WORST--> frame numbers --one pass of each side--> crops, as WebP in the page
"""

import base64
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures

from chunking.opening import Source
from player.bicubic import upscale_bicubic
from player.compare import pair_with_reference
from player.package.paths import PATH_NAMES
from player.package.scale import hr_px
from player.session import Package
from player.upscale import UpscaledFrame, crop
from sr.encode.report.sides import SOURCE, Side
from sr.rate.comparison import package_frames

Image = NDArray[np.uint8]

WORST = (0.01, 0.05, 0.1)  # of the frames are worse than those to show
CROP_PX = (216, 384)  # height and width
_ROUTES_PX = 960  # width of the frame with its routes
_MAPPED = 0.45  # of a path's colour over the picture
# One of each path, told apart by the colour-blind too (Okabe and Ito, 2008).
PATH_COLOURS = {
    "bicubic": (0, 114, 178), "easy": (240, 228, 66), "middle": (0, 158, 115),
    "upper": (230, 159, 0), "hard": (213, 94, 0),
}  # fmt: skip


@dataclass(frozen=True)
class Moment:
    """A frame's crop by each side: `pictures` as data URIs. `share` of the frames are worse."""

    share: float
    number: int  # among the film's frames that the package has
    time_s: float
    box: tuple[int, int, int, int]
    pictures: dict[str, str]
    psnr_y: dict[str, float]


def worst_frames(side: Side) -> dict[int, float]:
    """Places of frames among the side's that about the shares WORST are worse than, by luma, and
    the true share of each."""
    order = np.argsort(side.quality.of_frames("psnr_y"), kind="stable")
    ranks = sorted({min(len(order) - 1, int(share * len(order))) for share in WORST})
    return {int(order[rank]): rank / len(order) for rank in ranks}


def moments(sides: Sequence[Side], film: Source) -> list[Moment]:
    """The worst frames of the first side, as each side that has them and the film show them."""
    first = sides[0]
    wanted = worst_frames(first)
    shown = _pictures(sides, film, {first.times_s[place] for place in wanted})
    made = []
    for place, share in wanted.items():
        time_s = first.times_s[place]
        pictures = shown[time_s]
        y, x, height, width = box = _most_wrong([p for n, p in pictures.items() if n != SOURCE],
                                                pictures[SOURCE])  # fmt: skip
        crops = {n: p[y : y + height, x : x + width] for n, p in pictures.items()}
        psnr = {
            side.name: side.quality.of_frames("psnr_y")[side.times_s.index(time_s)]
            for side in sides
            if side.name in pictures
        }
        uris = {name: data_uri(part) for name, part in crops.items()}
        made.append(Moment(share, place, float(time_s), box, uris, psnr))
    return made


def _pictures(
    sides: Sequence[Side], film: Source, times_s: set[Fraction]
) -> dict[Fraction, dict[str, Image]]:
    """Of the frames shown at some times the whole picture of every side, and of the film."""
    shown: dict[Fraction, dict[str, Image]] = {time_s: {} for time_s in times_s}
    for side in sides:
        index = side.package.index
        assert index is not None
        frames = package_frames(side.package, partial(_is_among, times_s, index.time_base))
        for frame, original in pair_with_reference(frames, film, index.time_base):
            at = shown[frame.pts * index.time_base]
            at[side.name] = _as_shown(side, frame)
            at.setdefault(SOURCE, original)
    return shown


def _is_among(times_s: Collection[Fraction], time_base: Fraction, number: int, pts: int) -> bool:
    return pts * time_base in times_s


def _as_shown(side: Side, frame: UpscaledFrame) -> Image:
    if not side.shows_stream:
        return frame.rgb
    assert side.package.index is not None
    return crop(side.package, upscale_bicubic(frame.lr, side.package.index.scale))


def _most_wrong(pictures: Sequence[Image], original: Image) -> tuple[int, int, int, int]:
    """y, x, height, width of the crop where all sides together are furthest from the original."""
    height, width = (min(a, b) for a, b in zip(CROP_PX, original.shape[:2], strict=True))
    errors = np.zeros(original.shape[:2], np.float32)
    for picture in pictures:
        errors += np.square(picture.astype(np.float32) - original).sum(axis=2)
    # The sum over each box, by its middle; of those that lie inside the frame the largest.
    sums = cv2.boxFilter(errors, -1, (width, height), normalize=False,
                         anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)  # fmt: skip
    inside = sums[: original.shape[0] - height + 1, : original.shape[1] - width + 1]
    y, x = np.unravel_index(int(np.argmax(inside)), inside.shape)
    return int(y), int(x), height, width


def routes_picture(package: Package) -> tuple[str, int] | None:
    """The frame in the middle with each patch in its path's colour, as a data URI, and its number;
    None without any network.
    """
    index = package.index
    if index is None or not index.weights:
        return None
    number = index.frames // 2
    frame = next(iter(package_frames(package, lambda n, _: n == number)), None)
    if frame is None:
        return None
    picture = frame.rgb.astype(np.float32)
    for y, x, h, w, _, path in frame.patches.tolist():
        top, left, bottom, right = (hr_px(v, index.scale) for v in (y, x, y + h, x + w))
        area = picture[top:bottom, left:right]
        area += _MAPPED * (np.array(PATH_COLOURS[PATH_NAMES[path]], np.float32) - area)
    return data_uri(_at_most(picture.round().astype(np.uint8), _ROUTES_PX), quality=80), number


def _at_most(picture: Image, width_px: int) -> Image:
    if picture.shape[1] <= width_px:
        return picture
    height_px = round(picture.shape[0] * width_px / picture.shape[1])
    smaller = cv2.resize(picture, (width_px, height_px), interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, np.uint8)


def data_uri(picture: Image, quality: int | None = None) -> str:
    """A picture as WebP in a URI: every pixel, or at a `quality`."""
    buffer = io.BytesIO()
    options = {"lossless": True} if quality is None else {"quality": quality}
    Pictures.fromarray(picture).save(buffer, "WEBP", **options)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
