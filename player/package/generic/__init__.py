"""The generic networks, of scales 2, 3 and 4: what a player falls back on, where encoding starts.

x4.bin in f16 for fp32 engines, trainer and probe; x4.int8.bin for int8 engines. Made by
`python -m benchmarks.generic_networks`; the .json beside each blob is the log of its making.

At scales 1 and 3/2 the anchor takes their place: a network that adds nothing to it, of zeros.
"""

from fractions import Fraction
from pathlib import Path

import numpy as np

from player.package.architecture import GROUP, Architecture, Tensors, convolutions
from player.package.package_error import PackageError
from player.package.scale import Scale, scale_number
from player.package.weights import FLOAT16, INT8, pack_weights

GENERIC_SCALES = (2, 3, 4)
_FOLDER = Path(__file__).parent
_SUFFIXES = {"fp32": ".bin", "int8": ".int8.bin"}
_DTYPES = {"fp32": FLOAT16, "int8": INT8}


def generic_blob(scale: Scale, dtype: str = "fp32") -> bytes:
    """The generic network of a scale, for engines of `dtype`, int8 or fp32.

    Raises PackageError where it is missing.
    """
    if scale not in GENERIC_SCALES:
        return anchor_blob(scale, dtype)
    path = blob_path(scale, dtype)
    try:
        return path.read_bytes()
    except OSError as error:
        raise PackageError(f"{path.name}: generic network missing ({error.strerror})") from error


def blob_path(scale: Scale, dtype: str = "fp32") -> Path:
    """Where the weights blob of a scale lies that has one."""
    return _FOLDER / f"x{scale_number(scale)}{_SUFFIXES[dtype]}"


def anchor_blob(scale: Scale, dtype: str = "fp32") -> bytes:
    """The smallest network of a scale, all zeros: every path of it shows the anchor."""
    units = Fraction(scale).denominator
    arch = Architecture("chain", scale, (GROUP,), (1,), units)
    tensors: Tensors = {
        f"{name}.{kind}": value
        for name, shape in convolutions(arch)
        for kind, value in (
            ("weight", np.zeros(shape, np.int8)),
            ("bias", np.zeros(shape[0], np.int32)),
            ("multiplier", np.ones(shape[0], np.float32)),
        )
    }
    return pack_weights(arch, tensors, _DTYPES[dtype])
