"""States of a training in a file: written whole, with a checksum, read back or not at all."""

import io
from pathlib import Path
from typing import Any

import torch

from player.package.artefact import read_sealed, write_sealed


def save_state(path: Path, state: Any) -> None:
    """Keep tensors, numbers and texts in lists and dictionaries. Raises OSError."""
    # torch.save into a file of its own would give neither the checksum nor a file that is there
    # whole.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_sealed(path, buffer.getvalue())


def load_state(path: Path) -> Any | None:
    """What was saved; None where nothing was. Raises PackageError where it is damaged."""
    if not path.exists():
        return None
    # weights_only: anything else in a pickle could run code.
    return torch.load(io.BytesIO(read_sealed(path)), weights_only=True)
