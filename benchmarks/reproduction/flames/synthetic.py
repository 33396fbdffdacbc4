"""Made-up pairs of RGB and thermal patches, for want of drone frames: the task, not the flames.

Half of the patches hold a flame: a ragged heap of small hot spots, orange in RGB. Half of all hold
something hot that is none: a smooth stone or roof, as hot, grey in RGB. Every thermal patch is
stretched from its own least to its own greatest value, so that no temperature tells them apart.
Labels are the rule's on RGB. Smoke hides RGB wholly; of thermal it takes contrast and sharpness,
and hangs a cool occluder before it. It is for testing alone.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.reproduction.flames.pairs import PatchPairs, stretch
from benchmarks.reproduction.flames.rule import has_flame

PATCH_PX = 32
VERSION = 1  # of what a seed means
ORANGE, GREY, GREEN = (255.0, 150.0, 40.0), (120.0, 118.0, 116.0), (70.0, 95.0, 60.0)

Field = NDArray[np.float64]


def synthetic_pairs(count: int, seed: int, smoke: float = 0.0) -> PatchPairs:
    """`count` patches of 32 px; `smoke` 0 is clear, 1 as thick as it gets.

    The same seed gives the same scenes in clear air and in smoke, and the same labels.
    """
    scenes = [_pair(np.random.default_rng([seed, n]), n, smoke) for n in range(count)]
    rgb = np.stack([colours for colours, _ in scenes])
    fire = np.array([has_flame(patch) for patch in rgb])
    if smoke:
        rgb = np.rint(rgb * (1 - smoke) + 220 * smoke).astype(np.uint8)
    return PatchPairs(rgb, np.stack([heat for _, heat in scenes]), fire)


def _pair(
    rng: np.random.Generator, number: int, smoke: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """RGB in clear air and the stretched thermal patch."""
    ground = _texture(rng, 3.0)
    flame = _flame(rng) if number % 2 else np.zeros((PATCH_PX, PATCH_PX))
    stone = _stone(rng) if rng.random() < 0.5 else np.zeros((PATCH_PX, PATCH_PX))
    colours = _paint(ground, stone, flame)
    heat = 0.25 * ground + np.maximum(flame, rng.uniform(0.6, 1.0) * stone)
    heat += rng.normal(0, 0.02, heat.shape)
    if smoke:
        heat = _obscure(heat, rng, smoke)
    return colours, stretch(heat.astype(np.float32))


def _texture(rng: np.random.Generator, sigma: float) -> Field:
    """Smooth noise in 0..1."""
    noise = cv2.GaussianBlur(rng.normal(size=(PATCH_PX, PATCH_PX)), (0, 0), sigma)
    smooth: Field = (noise - noise.min()) / max(float(np.ptp(noise)), 1e-9)
    return smooth


def _flame(rng: np.random.Generator) -> Field:
    """Tongues of small hot spots above a common root, torn by fine noise; peak 1."""
    y0, x0 = rng.uniform(12, 26), rng.uniform(8, 24)
    heat = np.zeros((PATCH_PX, PATCH_PX))
    for _ in range(int(rng.integers(4, 9))):
        rise, aside, size = rng.uniform(0, 9), rng.normal(0, 2.5), rng.uniform(1.0, 2.2)
        spot = _spot(y0 - rise, x0 + aside, 1.4 * size, size)
        heat = np.maximum(heat, rng.uniform(0.6, 1.0) * spot)
    torn = heat * (0.6 + 0.8 * _texture(rng, 0.8))
    return np.clip(torn / torn.max(), 0, 1)


def _stone(rng: np.random.Generator) -> Field:
    """One smooth warm body with a soft edge, as large as a flame or larger; peak 1."""
    y0, x0, tall, wide = rng.uniform(8, 24), rng.uniform(8, 24), *rng.uniform(2.5, 7, 2)
    return np.minimum(1.5 * _spot(y0, x0, tall, wide), 1.0)


def _spot(y0: float, x0: float, tall: float, wide: float) -> Field:
    y, x = np.mgrid[:PATCH_PX, :PATCH_PX]
    spot: Field = np.exp(-(((y - y0) / tall) ** 2 + ((x - x0) / wide) ** 2) / 2)
    return spot


def _paint(ground: Field, stone: Field, flame: Field) -> NDArray[np.uint8]:
    """What RGB shows: green ground, grey stones, orange flames over both."""
    layers = ((0.6 + 0.8 * ground, GREEN, None), (stone, GREY, stone), (flame, ORANGE, flame))
    picture = np.zeros((PATCH_PX, PATCH_PX, 3))
    for light, colour, cover in layers:
        layer = np.asarray(colour) * (light if cover is None else np.ones_like(light))[..., None]
        amount = 1.0 if cover is None else np.clip(1.5 * cover, 0, 1)[..., None]
        picture = picture * (1 - amount) + layer * amount
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _obscure(heat: Field, rng: np.random.Generator, smoke: float) -> Field:
    """Blur, less contrast, drifting haze, and something cool before the lens."""
    blurred = cv2.GaussianBlur(heat, (0, 0), 0.3 + 1.2 * smoke * rng.random())
    hazy = blurred * (1 - 0.6 * smoke) + 0.35 * smoke * _texture(rng, 6.0)
    y, x, h, w = (*rng.integers(0, PATCH_PX - 6, 2), *rng.integers(4, 12, 2))
    hazy[y : y + h, x : x + w] *= 1 - 0.7 * smoke
    noisy: Field = hazy + rng.normal(0, 0.03 * smoke, heat.shape)
    return noisy
