"""Colour of a stream: which matrix, range, primaries and transfer its numbers stand for.

Codes and names are those of ITU-T H.273 (CICP), as FFmpeg spells them. A stream that leaves
them unspecified is decided here once, by `resolve_colour`, and every stream written from it
carries the decision as explicit tags, so that no two players can decide differently.
"""

from dataclasses import dataclass, replace

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from chunking.input_error import InputError

MATRICES = {"rgb": 0, "bt709": 1, "fcc": 4, "bt470bg": 5, "smpte170m": 6, "smpte240m": 7,
            "bt2020nc": 9}  # fmt: skip
PRIMARIES = {"bt709": 1, "bt470m": 4, "bt470bg": 5, "smpte170m": 6, "smpte240m": 7, "film": 8,
             "bt2020": 9, "smpte428": 10, "smpte431": 11, "smpte432": 12,
             "ebu3213": 22}  # fmt: skip
TRANSFERS = {"bt709": 1, "gamma22": 4, "gamma28": 5, "smpte170m": 6, "smpte240m": 7, "linear": 8,
             "log": 9, "log_sqrt": 10, "iec61966-2-4": 11, "bt1361e": 12, "iec61966-2-1": 13,
             "bt2020-10": 14, "bt2020-12": 15, "smpte2084": 16, "smpte428": 17,
             "arib-std-b67": 18}  # fmt: skip
HDR_TRANSFERS = ("smpte2084", "arib-std-b67")
_UNSPECIFIED = 2
_LIMITED, _FULL = 1, 2  # AVColorRange: MPEG, JPEG

# Without these flags swscale takes a fast path that is off by up to 4 code values (nearest
# chroma, truncated products); BITEXACT makes it the same on every CPU.
_EXACT = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.BITEXACT
)

_RGB_FORMATS = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8", "x2rgb", "x2bgr")


@dataclass(frozen=True)
class Colour:
    """H.273 names; nothing unspecified. `matrix` "rgb" means that no conversion is needed."""

    matrix: str
    full_range: bool
    primaries: str
    transfer: str

    @property
    def is_hdr(self) -> bool:
        return self.transfer in HDR_TRANSFERS


@dataclass(frozen=True)
class ColourTags:
    """Numbers as a decoder reports them; 2 (range: 0) is "unspecified"."""

    matrix: int
    range: int
    primaries: int
    transfer: int


def resolve_colour(tags: ColourTags, pix_fmt: str, width: int, height: int) -> Colour:
    """The colour of a stream of `width` x `height` px, every unspecified part decided.

    The matrix follows the primaries when only those are given; else BT.709 from 1280 px on the
    long side or above 576 px on the short one, BT.601 below (mpv's rule). Primaries and
    transfer follow the matrix. The range is limited unless the pixel format says full.
    Raises InputError for a matrix that is no linear conversion of RGB (ICtCp, YCgCo, ...).
    """
    if pix_fmt.startswith(_RGB_FORMATS):
        return _with_companions("rgb", True, tags)
    matrix = _name(MATRICES, tags.matrix)
    # 2 is unspecified, 0 in a YUV stream and 3 are senseless: all of them are decided here.
    if matrix is None and tags.matrix not in (_UNSPECIFIED, 3):
        raise InputError(
            f"colour matrix {tags.matrix} (H.273) is not supported: convert the video to BT.709"
        )
    if matrix is None or matrix == "rgb":
        is_hd = max(width, height) >= 1280 or min(width, height) > 576
        by_primaries = {1: "bt709", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020nc"}
        matrix = by_primaries.get(tags.primaries, "bt709" if is_hd else "smpte170m")
    # FFmpeg's yuvj formats say "full" by their name, whatever the tag says.
    full = tags.range == _FULL or pix_fmt.startswith("yuvj")
    return _with_companions(matrix, full, tags)


def yuv_colour(colour: Colour) -> Colour:
    """The colour to encode YUV with: the source's own, or BT.709 limited for an RGB source."""
    if colour.matrix != "rgb":
        return colour
    return replace(colour, matrix="bt709", full_range=False)


def tag_numbers(colour: Colour) -> ColourTags:
    """`colour` as the numbers that encoders write."""
    return ColourTags(
        MATRICES[colour.matrix],
        _FULL if colour.full_range else _LIMITED,
        PRIMARIES[colour.primaries],
        TRANSFERS[colour.transfer],
    )


def frame_to_rgb(
    frame: av.VideoFrame, colour: Colour, reformatter: VideoReformatter, size: tuple[int, int]
) -> np.ndarray:
    """[H, W, 3] uint8 RGB of a decoded frame; `size` is (height, width) in px."""
    rgb = reformatter.reformat(
        frame,
        width=size[1],
        height=size[0],
        format="rgb24",
        src_colorspace=_swscale_matrix(colour),
        src_color_range=_FULL if colour.full_range else _LIMITED,
        dst_color_range=_FULL,
        interpolation=_EXACT,
        threads=1,
    )
    return rgb.to_ndarray()


def rgb_to_frame(
    rgb: np.ndarray, pix_fmt: str, colour: Colour, reformatter: VideoReformatter
) -> av.VideoFrame:
    """A frame of `pix_fmt` from [H, W, 3] uint8 RGB, tagged with `colour`."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    if pix_fmt != "rgb24":
        frame = reformatter.reformat(
            frame,
            format=pix_fmt,
            dst_colorspace=_swscale_matrix(colour),
            src_color_range=_FULL,
            dst_color_range=tag_numbers(colour).range,
            interpolation=_EXACT,
            threads=1,
        )
    return _tagged(frame, colour)


def planes_to_frame(decoded: av.VideoFrame, colour: Colour) -> av.VideoFrame:
    """The planes of an 8-bit 4:2:0 frame of even size, tagged with `colour`, and nothing else.

    An encoder would take over captions, kinds of pictures and turns that hang on the frame.
    """
    return _tagged(av.VideoFrame.from_ndarray(decoded.to_ndarray(), format="yuv420p"), colour)


def _tagged(frame: av.VideoFrame, colour: Colour) -> av.VideoFrame:
    tags = tag_numbers(colour)
    frame.colorspace, frame.color_range = tags.matrix, tags.range
    frame.color_primaries, frame.color_trc = tags.primaries, tags.transfer
    return frame


def _swscale_matrix(colour: Colour) -> int | None:
    """swscale knows BT.470BG and SMPTE 170M (both BT.601) by one number; RGB needs none."""
    if colour.matrix == "rgb":
        return None
    return 5 if colour.matrix == "smpte170m" else MATRICES[colour.matrix]


def _with_companions(matrix: str, full_range: bool, tags: ColourTags) -> Colour:
    default_primaries = {"bt470bg": "bt470bg", "smpte170m": "smpte170m", "fcc": "bt470m",
                         "smpte240m": "smpte240m", "bt2020nc": "bt2020"}  # fmt: skip
    default_transfer = {"bt470bg": "smpte170m", "smpte170m": "smpte170m",
                        "smpte240m": "smpte240m", "bt2020nc": "bt2020-10",
                        "rgb": "iec61966-2-1"}  # fmt: skip
    return Colour(
        matrix=matrix,
        full_range=full_range,
        primaries=_name(PRIMARIES, tags.primaries) or default_primaries.get(matrix, "bt709"),
        transfer=_name(TRANSFERS, tags.transfer) or default_transfer.get(matrix, "bt709"),
    )


def _name(table: dict[str, int], number: int) -> str | None:
    return next((name for name, code in table.items() if code == number), None)
