"""The generic networks, one a scale: what a player falls back on, and what encoding starts from.

x4.bin in f16 for fp32 engines, trainer and probe; x4.int8.bin for int8 engines. Made by
`python -m benchmarks.generic_networks`; the .json beside each blob is the log of its making.
"""

from pathlib import Path

_FOLDER = Path(__file__).parent


_SUFFIXES = {"fp32": ".bin", "int8": ".int8.bin"}


def blob_path(scale: int, dtype: str = "fp32") -> Path:
    """Where the weights blob of a scale lies, for engines of `dtype`, int8 or fp32."""
    return _FOLDER / f"x{scale}{_SUFFIXES[dtype]}"
