"""How anyone finds the numbers of `measure` with FFmpeg's own filters.

    play --out OUT --out-crf lossless
    ffmpeg -i OUT -i FILM -lavfi GRAPH -f null -

Both pictures are compared as they are shown, in RGB; what works on YUV gets both by one exact
conversion. FFmpeg's defaults are neither exact nor put chroma where H.264, H.265 and AV1 have it.
"""

from chunking.colour import yuv_colour
from chunking.cropping import NO_CROP
from chunking.probe import VideoInfo
from player.vmaf import MODELS

_SCALE = "scale=flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"
# Frames by number: containers round times differently, and FFmpeg pairs by time.
_BY_NUMBER = "settb=1,setpts=N"
_SHORTEST = "shortest=1"  # else the last frame of `encode --frames N` is compared to the end
# 16 bits, for a luma rounded to 8 loses 0.03 dB at 36. FFmpeg's peak of 16 bits is 257 times that
# of 8, but its luma 256 times.
_LUMA = f"{_SCALE}:out_color_matrix=bt601:out_range=tv,format=yuv444p16,lutyuv=y=val*257/256"
# Where FFmpeg's option has another name than H.273.
_MATRICES = {"bt470bg": "bt470", "bt2020nc": "bt2020"}


def ffmpeg_checks(film: VideoInfo) -> dict[str, str]:
    """By metric the filter graph for `film`: `psnr` prints psnr_rgb as "average", others as "y".

    The film's chroma is taken to lie at the left, as nearly every film's.
    """
    source = yuv_colour(film.colour)
    matrix = _MATRICES.get(source.matrix, source.matrix)
    limits = "pc" if source.full_range else "tv"
    odd = film.width % 2 or film.height % 2
    yuv = (
        f"{_SCALE}:in_range=pc:out_color_matrix={matrix}:out_range={limits}"
        f",format={'yuv444p' if odd else 'yuv420p'}"
    )
    # Frames that are not interlaced pass untouched; RGB, which hardly ever is, would be converted.
    may_be = film.interlaced or film.colour.matrix != "rgb"
    decode = "bwdif=send_frame:auto:interlaced," if may_be else ""
    shown = f"{decode}{_BY_NUMBER},{_SCALE}"
    if film.colour.matrix != "rgb":
        shown += f":in_color_matrix={matrix}:in_range={limits}:in_h_chr_pos=0:out_range=pc"

    cropped = _cropping(film)

    def graph(form: str, measure: str) -> str:
        return (
            f"[0:v]{_BY_NUMBER},{_SCALE},format=rgb24,{form}[ours];"
            f"[1:v]{shown},format=rgb24,{cropped}{form}[film];[ours][film]{measure}"
        )

    vmaf = {
        name: graph(yuv, f"libvmaf={_SHORTEST}:model=version={m}") for name, m in MODELS.items()
    }
    return {
        "psnr_rgb": graph("format=gbrp", f"psnr={_SHORTEST}"),
        "psnr_y": graph(_LUMA, f"psnr={_SHORTEST}"),
        "xpsnr_y": graph(yuv, f"xpsnr={_SHORTEST}"),
        **vmaf,
    }


def _cropping(film: VideoInfo) -> str:
    """A filter for what the container crops, which changes nothing where FFmpeg (from 7.1) did."""
    if film.crop == NO_CROP:
        return ""
    turn, crop = film.orientation, film.crop  # FFmpeg has turned the picture by then
    x, right = (crop.top, crop.bottom) if turn.transpose else (crop.left, crop.right)
    y, bottom = (crop.left, crop.right) if turn.transpose else (crop.top, crop.bottom)
    x, y = right if turn.flip_x else x, bottom if turn.flip_y else y
    width, height = film.width, film.height
    return f"crop={width}:{height}:if(gt(iw\\,{width})\\,{x}):if(gt(ih\\,{height})\\,{y}),"
