"""What a frame's patches cost: multiplications, shares of the paths, switches of the network."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from player.package.anchor import TAPS
from player.package.architecture import Architecture, tensor_layout
from player.package.paths import BICUBIC, PATH_NAMES, PLANNED_PATHS, network_of, path_of
from player.package.scale import Scale

Patches = NDArray[np.int32]


def anchor_macs_per_pixel(scale: Scale) -> float:
    """Those of bicubic in its separable form, 5 taps a pass; at scale 1 it costs nothing."""
    # Across, a row of LR pixels becomes r times as wide; down, r such rows come of each.
    return float(3 * (TAPS * scale + TAPS * scale**2)) if scale != 1 else 0.0


def macs_per_pixel(arch: Architecture, path: int) -> float:
    """Multiply-accumulates of a path for an LR pixel, halos not counted, nor a network's anchor."""
    if path == BICUBIC:
        return anchor_macs_per_pixel(arch.scale)
    weights = {s.name: s.size for s in tensor_layout(arch) if s.name.endswith(".weight")}
    # Only a chain can be left early; every path of the others runs all of their layers.
    if arch.name != "chain":
        return sum(weights.values())
    number = arch.paths.index(path)
    layers = [f"trunk.{i}.weight" for i in range(arch.exits[number])]
    macs = sum(weights[name] for name in (*layers, f"exits.{number}.weight"))
    return macs / arch.units**2  # once for each unit of u x u pixels


def path_macs(arch: Architecture) -> NDArray[np.float64]:
    """[3]: `macs_per_pixel` of bicubic, easy and hard."""
    return np.array([macs_per_pixel(arch, path) for path in PLANNED_PATHS], np.float64)


def frame_macs(patches: Patches, archs: Sequence[Architecture]) -> int:
    """Multiply-accumulates of a frame's patches [n, 6], their halos not counted."""
    return round(sum(h * w * macs_per_pixel(archs[n], p) for h, w, n, p in patches[:, 2:].tolist()))


def path_pixels(patches: Patches) -> NDArray[np.int64]:
    """[5]: how many LR pixels of a frame each path makes."""
    areas = patches[:, 2].astype(np.int64) * patches[:, 3]
    return np.bincount(patches[:, 5], areas, len(PATH_NAMES)).astype(np.int64)


def model_switches(codes: NDArray[np.uint8]) -> int:
    """How often the network changes from one cell to the next in raster order.

    Bicubic cells run no network, so that they switch none.
    """
    networks = network_of(codes)[path_of(codes) != BICUBIC]
    return int(np.count_nonzero(networks[1:] != networks[:-1]))
