"""Film grain of AV1: what a decoder is told to add to a frame, and is asked to leave to us.

A decoder adds grain to what it decoded, before any network sees it. Here it is taken out of the
way: frames of a package's stream are decoded without, and say what is to be added in the end.
"""

import ctypes
from dataclasses import dataclass

import av
from av.sidedata.sidedata import Type

from chunking.side_data import side_data

EXPORTED = {"export_side_data": "film_grain"}
"""Of a decoder: grain is told, and not added."""

_AV1 = 1  # FFmpeg's kind of parameters; 2 is H.274
_LUMA_POINTS, _CHROMA_POINTS, _LUMA_TAPS, _CHROMA_TAPS = 14, 10, 24, 25

Point = tuple[int, int]  # of a scaling function: a value of the picture, how strong grain is there


@dataclass(frozen=True)
class Grain:
    """film_grain_params of a frame ("AV1 Bitstream & Decoding Process Specification", 5.9.30), with
    offsets taken off: coefficients and multipliers are signed.

    `points`: of Y, Cb and Cr. `taps`: of their autoregressive filters, Cb's and Cr's with one more
    for luma. `mixes`: of Cb and Cr, what luma and chroma count and what is added, for the value
    that a strength is looked up by; None where luma alone decides.
    """

    seed: int
    points: tuple[tuple[Point, ...], ...]
    scaling_shift: int
    lag: int
    taps: tuple[tuple[int, ...], ...]
    taps_shift: int
    scale_shift: int
    mixes: tuple[tuple[int, int, int], ...] | None
    overlaps: bool
    limited: bool


class _Params(ctypes.Structure):
    """AVFilmGrainParams of FFmpeg 7.0 and later (libavutil/film_grain_params.h), AV1's half."""

    _fields_ = [
        ("kind", ctypes.c_int),
        ("seed", ctypes.c_uint64),
        ("size", ctypes.c_int * 2),
        ("subsampling", ctypes.c_int * 2),
        ("colour", ctypes.c_int * 4),
        ("bit_depths", ctypes.c_int * 2),
        ("luma_count", ctypes.c_int),
        ("luma_points", ctypes.c_uint8 * 2 * _LUMA_POINTS),
        ("from_luma", ctypes.c_int),
        ("chroma_counts", ctypes.c_int * 2),
        ("chroma_points", ctypes.c_uint8 * 2 * _CHROMA_POINTS * 2),
        ("scaling_shift", ctypes.c_int),
        ("lag", ctypes.c_int),
        ("luma_taps", ctypes.c_int8 * _LUMA_TAPS),
        ("chroma_taps", ctypes.c_int8 * _CHROMA_TAPS * 2),
        ("taps_shift", ctypes.c_int),
        ("scale_shift", ctypes.c_int),
        ("chroma_mult", ctypes.c_int * 2),
        ("luma_mult", ctypes.c_int * 2),
        ("offset", ctypes.c_int * 2),
        ("overlaps", ctypes.c_int),
        ("limited", ctypes.c_int),
    ]


def grain_of(frame: av.VideoFrame) -> Grain | None:
    """What is to be added to a frame that was decoded with `EXPORTED`; None: nothing."""
    found = side_data(frame)
    if Type.FILM_GRAIN_PARAMS not in found:
        return None
    data = bytes(found[Type.FILM_GRAIN_PARAMS])
    if len(data) < ctypes.sizeof(_Params):
        return None
    params = _Params.from_buffer_copy(data)
    if params.kind != _AV1:
        return None
    counts = params.luma_count, *params.chroma_counts
    curves = params.luma_points, *params.chroma_points
    taps = 2 * params.lag * (params.lag + 1)
    mixes = zip(params.luma_mult, params.chroma_mult, params.offset, strict=True)
    return Grain(
        seed=params.seed & 0xFFFF,
        points=tuple(
            tuple((x, y) for x, y in curve[:count])
            for curve, count in zip(curves, counts, strict=True)
        ),
        scaling_shift=params.scaling_shift,
        lag=params.lag,
        taps=(
            tuple(params.luma_taps[:taps]),
            *(tuple(plane[: taps + 1]) for plane in params.chroma_taps),
        ),
        taps_shift=params.taps_shift,
        scale_shift=params.scale_shift,
        mixes=None if params.from_luma else tuple(mixes),
        overlaps=bool(params.overlaps),
        limited=bool(params.limited),
    )
