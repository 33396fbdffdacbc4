"""The generic networks, of scales 2, 3 and 4: what a player falls back on, where encoding starts.

x4.bin in f16 for fp32 engines, trainer and probe; x4.int8.bin for int8 engines. Made by
`python -m benchmarks.generic_networks`; the .json beside each blob is the log of its making.
"""

from pathlib import Path

from player.package.scale import Scale, scale_number

_FOLDER = Path(__file__).parent


_SUFFIXES = {"fp32": ".bin", "int8": ".int8.bin"}


GENERIC_SCALES = (2, 3, 4)  # at 1 and 3/2 the anchor alone takes their place


def blob_path(scale: Scale, dtype: str = "fp32") -> Path:
    """Where the weights blob of a scale lies, for engines of `dtype`, int8 or fp32."""
    return _FOLDER / f"x{scale_number(scale)}{_SUFFIXES[dtype]}"
