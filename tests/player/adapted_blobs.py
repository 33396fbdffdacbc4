"""A small network that ships in a test, and others that it can be changed into."""

from pathlib import Path

import numpy as np

from player.package import shipped
from player.package.architecture import Architecture, convolutions
from player.package.coded_changes import change_precision
from player.package.integers import bias_units, grid_places, multipliers_at

NAME = "x2-none"
Integers = dict[str, np.ndarray]


def put_shipped(folder: Path, blob: bytes) -> None:
    """A folder of that network alone, for `shipped.FOLDER`."""
    folder.mkdir(exist_ok=True)
    (folder / f"{NAME}.bin").write_bytes(blob)
    shipped._by_hash.cache_clear()


def changed(
    tensors: Integers, arch: Architecture, share: float, seed: int = 0, steps: int = 1
) -> Integers:
    """Some multipliers, biases and weights changed by a little, weights by whole `steps`; bounds
    are kept."""
    draw = np.random.default_rng(seed)

    def moved(shape: tuple[int, ...]) -> np.ndarray:
        return (np.rint(draw.laplace(size=shape) * 2) * (draw.random(shape) < share)).astype(int)

    made = {}
    for name, shape in convolutions(arch):
        old = tensors[f"{name}.weight"].astype(int)
        weight = old + steps * moved(shape) * (draw.random(shape[0]) < 0.5)[:, None, None, None]
        places = grid_places(name, tensors[f"{name}.multiplier"]) + moved(shape[:1])
        multiplier = multipliers_at(places.tolist())
        units = bias_units(multiplier, change_precision(name))
        bias = tensors[f"{name}.bias"] + moved(shape[:1]) * units
        made[f"{name}.weight"] = np.where(np.abs(weight) > 127, old, weight).astype(np.int8)
        made[f"{name}.bias"], made[f"{name}.multiplier"] = bias.astype(np.int32), multiplier
    return made
