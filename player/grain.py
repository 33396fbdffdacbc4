"""Film grain added to a frame, as "AV1 Bitstream & Decoding Process Specification" 7.18.3 has it.

    seed -> noise, filtered -> templates 73 x 82 (chroma 38 x 44)
         -> for each block of 32 x 32 px a place in them -> noise of the frame, seams mixed
         -> x a strength that depends on the picture there -> added

A decoder does this to the frame that it decoded, which a network would then take for detail. Here
it is done to the frame that is shown, in its size: the grain is as fine as the film's pixels are.
"""

from functools import cache
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from chunking.colour import Colour, frame_to_rgb, rgb_to_frame
from chunking.grain import Grain, Point

Ints = NDArray[np.int32]
Image = NDArray[np.uint8]

# Gaussian_Sequence of the specification (7.18.3.3), int16, 2048 numbers.
_GAUSSIAN = Path(__file__).with_name("grain_gaussian.bin")
_LEAST, _MOST = -128, 127  # of grain at 8 bits
_BLOCK, _SEAM = 32, 2  # px
_PLANE_SEEDS = (0, 0xB524, 0x49D8)
_CHROMA_MOST = 240  # where values are limited; of luma 235, both from 16
_LUMA_MIX = ((27, 17), (17, 27))  # of the block before and of this one, over two pixels of a seam
_CHROMA_MIX = ((23, 22),)


def add_grain(rgb: Image, grain: Grain, colour: Colour) -> Image:
    """[H, W, 3] u8 with grain. In 4:2:0 as a decoder would, of which the difference alone is added:
    what chroma the frame has stays."""
    height, width = rgb.shape[:2]
    padded = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    reformatter = VideoReformatter()
    clean = rgb_to_frame(padded, "yuv420p", colour, reformatter)
    size = padded.shape[:2]
    made = grained_planes(planes_of(clean), grain)
    stacked = np.concatenate([plane.ravel() for plane in made]).reshape(-1, size[1])
    grained = av.VideoFrame.from_ndarray(stacked, "yuv420p")
    before = frame_to_rgb(clean, colour, reformatter, size).astype(np.int16)
    after = frame_to_rgb(grained, colour, reformatter, size)
    return np.clip(padded + (after - before), 0, 255).astype(np.uint8)[:height, :width]


def grained_planes(planes: list[Image], grain: Grain) -> list[Image]:
    """Y [H, W], Cb and Cr [H / 2, W / 2] u8 of a frame of even sides, with grain: to the last bit
    what a decoder shows (7.18.3.5)."""
    luma = planes[0].astype(np.int32)
    # A luma value for each of chroma: the mean of two side by side.
    seen = (luma[::2, ::2] + luma[::2, 1::2] + 1) >> 1
    templates = _templates(grain)
    made = []
    for number, (plane, template) in enumerate(zip(planes, templates, strict=True)):
        values = plane.astype(np.int32)
        points = grain.points[number if number == 0 or grain.mixes else 0]
        if not points:
            made.append(plane)
            continue
        by = values if number == 0 else seen
        if number and grain.mixes:
            of_luma, of_chroma, offset = grain.mixes[number - 1]
            mixed = (seen * of_luma + values * of_chroma) >> 6
            by = np.clip(mixed + offset, 0, 255)
        height, width = values.shape
        noise = _noise(template, grain, luma.shape, number > 0)[:height, :width]
        shift = grain.scaling_shift
        strong = (_strengths(points)[by] * noise + (1 << (shift - 1))) >> shift
        most = (_CHROMA_MOST if number else 235) if grain.limited else 255
        made.append(np.clip(values + strong, 16 if grain.limited else 0, most).astype(np.uint8))
    return made


def planes_of(frame: av.VideoFrame) -> list[Image]:
    """Y, Cb and Cr of a frame in 8-bit 4:2:0 with even sides."""
    stacked, (height, width) = frame.to_ndarray(), (frame.height, frame.width)
    chroma = stacked[height:].reshape(2, height // 2, width // 2)
    return [stacked[:height], *chroma]


def _templates(grain: Grain) -> list[Ints]:
    """The grain of each plane, from which blocks are taken (7.18.3.3)."""
    made: list[Ints] = []
    shift = 4 + grain.scale_shift  # of 12 bits to 8
    for number, seed in enumerate(_PLANE_SEEDS):
        shape = (38, 44) if number else (73, 82)
        known = grain.points[number] or (number and grain.mixes is None)
        template = np.zeros(shape, np.int32)
        if known:
            drawn = _random(grain.seed ^ seed, shape[0] * shape[1], 11)
            noise = _gaussian()[drawn].astype(np.int32)
            template = ((noise + (1 << (shift - 1))) >> shift).reshape(shape)
        _filter(template, grain, number, made[0] if number and grain.points[0] else None)
        made.append(template)
    return made


def _filter(template: Ints, grain: Grain, number: int, luma: Ints | None) -> None:
    """The autoregressive filter over a template, in place: each value by those before it, in rows
    and above, and for chroma by the luma there."""
    lag, taps, shift = grain.lag, grain.taps[number], grain.taps_shift
    height, width = template.shape
    middle = slice(3, width - 3)
    fixed = np.zeros(width, np.int64)
    rows = template.tolist()
    beside = taps[lag * (2 * lag + 1) :][:lag]
    for y in range(3, height):
        fixed[:] = 0
        above = iter(taps)
        for dy in range(-lag, 0):
            for dx in range(-lag, lag + 1):
                row = template[y + dy]
                fixed[middle] += next(above) * row[3 + dx : width - 3 + dx].astype(np.int64)
        if number and luma is not None:
            at = 2 * (y - 3) + 3
            block = luma[at : at + 2, 3 : 3 + 2 * (width - 6)]
            fixed[middle] += taps[-1] * ((block.sum(0).reshape(-1, 2).sum(1) + 2) >> 2)
        row, sums = rows[y], fixed.tolist()
        for x in range(3, width - 3):
            total = sums[x]
            for tap, before in zip(beside, row[x - lag : x], strict=True):
                total += tap * before
            row[x] = min(max(row[x] + ((total + (1 << (shift - 1))) >> shift), _LEAST), _MOST)
        template[y] = row


def _noise(template: Ints, grain: Grain, size: tuple[int, int], is_chroma: bool) -> Ints:
    """Of a whole frame of `size` (height, width) luma px: blocks of the template, each from a place
    of its own, with seams mixed (7.18.3.5). At least as large as the plane."""
    height, width = size
    stripes, blocks = (-(-side // _BLOCK) for side in (height, width))
    draws = []
    for number in range(stripes):
        high, low = (number * 37 + 178) & 255, (number * 173 + 105) & 255
        draws.append(_random(grain.seed ^ (high << 8) ^ low, blocks, 8))
    drawn = np.array(draws)
    step = 1 if is_chroma else 2
    first = 6 if is_chroma else 9
    side, seam = _BLOCK * step // 2, _SEAM * step // 2
    span = np.arange(side + seam)
    rows = (first + step * (drawn & 15))[..., None] + span
    columns = (first + step * (drawn >> 4))[..., None] + span
    # [stripes, blocks, side + seam, side + seam]
    cut = template[rows[..., :, None], columns[..., None, :]]
    if grain.overlaps:
        mixes = _CHROMA_MIX if is_chroma else _LUMA_MIX
        for i, mix in enumerate(mixes):
            cut[:, 1:, :, i] = _mixed(cut[:, :-1, :, side + i], cut[:, 1:, :, i], mix)
    bands = cut[..., :side].transpose(0, 2, 1, 3).reshape(stripes, side + seam, blocks * side)
    if grain.overlaps:
        for i, mix in enumerate(mixes):
            bands[1:, i] = _mixed(bands[:-1, side + i], bands[1:, i], mix)
    return bands[:, :side].reshape(stripes * side, blocks * side)


def _mixed(before: Ints, here: Ints, mix: Point) -> Ints:
    return np.clip((before * mix[0] + here * mix[1] + 16) >> 5, _LEAST, _MOST)


@cache
def _strengths(points: tuple[Point, ...]) -> Ints:
    """[256]: how strong grain is at each value of the picture, a line between points."""
    last, end = points[-1]
    table = np.full(256, points[0][1], np.int32)
    for (x, y), (following, further) in pairwise(points):
        wide = following - x
        slope = (further - y) * ((65536 + (wide >> 1)) // wide)
        table[x:following] = y + ((np.arange(wide) * slope + 32768) >> 16)
    table[last:] = end
    return table


def _random(state: int, count: int, bits: int) -> NDArray[np.int32]:
    """So many numbers of the 16-bit shift register that holds `state` (7.18.3.2)."""
    states, places = _orbit()
    if state == 0:
        return np.zeros(count, np.int32)
    following = (places[state] + 1 + np.arange(count)) % len(states)
    return states[following] >> (16 - bits)


@cache
def _orbit() -> tuple[Ints, Ints]:
    """All states of the register but zero, in their order, and the place of each."""
    states, state = list[int](), 1
    while not states or state != 1:
        states.append(state)
        bit = (state ^ (state >> 1) ^ (state >> 3) ^ (state >> 12)) & 1
        state = (state >> 1) | (bit << 15)
    places = np.zeros(1 << 16, np.int32)
    places[states] = np.arange(len(states))
    return np.array(states, np.int32), places


@cache
def _gaussian() -> NDArray[np.int16]:
    return np.fromfile(_GAUSSIAN, "<i2")
