"""The generic networks, one a scale: what a player falls back on, and what encoding starts from.

Made by `python -m sr.training.generic`; the .json beside each blob is the log of its making.
"""

from pathlib import Path

_FOLDER = Path(__file__).parent


def blob_path(scale: int) -> Path:
    """Where the weights blob of a scale lies."""
    return _FOLDER / f"x{scale}.bin"
