"""The networks that ship with every player: a package names one, and sends no weights.

    x4-coarse, x3-medium ...    streams of that scale, of any codec, at low to higher rates
    x4-sharp-coarse ...         the same, made smaller by the sharp filter
    x1-h264, x1-h264-large ...  streams of the film's own size by that codec, at all usual rates

In integers, for streams as codecs leave them. Made by `python -m benchmarks.shipped_networks`; the
.json beside each is the log of its making. A package knows them by their hash, so that a network
which changes is another network, and a player that does not have it says so.
"""

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path

from player.package.package_error import PackageError
from player.package.scale import Scale, scale_number

FOLDER = Path(__file__).parent
CODECS = ("h264", "h265", "av1")
SHARP = "sharp"


def shipped_names(scale: Scale) -> tuple[str, ...]:
    """Those of a scale."""
    start = f"x{scale_number(scale)}-"
    return tuple(sorted(p.stem for p in FOLDER.glob("*.bin") if p.name.startswith(start)))


def ships_for(name: str, codec: str) -> bool:
    """Whether a network is for streams of a codec: of that one, or of any."""
    own = [part for part in name.split("-") if part in CODECS]
    return not own or codec in own


def is_for_sharp(name: str) -> bool:
    """Whether a network is for streams that were made smaller by the sharp filter, or for those of
    bicubic, which hold other details."""
    return SHARP in name.split("-")


def shipped_file(name: str) -> Path:
    """Where the network of that name lies."""
    return FOLDER / f"{name}.bin"


def shipped_blob(name: str) -> bytes:
    """A network's blob. Raises PackageError where there is none of that name."""
    try:
        return shipped_file(name).read_bytes()
    except OSError as error:
        raise PackageError(f"{name}: no network that ships with PocketSR") from error


def shipped_by_hash(start: str) -> bytes:
    """The blob whose SHA-256 (hex) starts so. Raises PackageError where there is none."""
    for whole, blob in _by_hash().items():
        if whole.startswith(start):
            return blob
    raise PackageError("does not ship with this PocketSR; update it")


def has_shipped(start: str) -> bool:
    """Whether there is one whose SHA-256 (hex) starts so."""
    return any(whole.startswith(start) for whole in _by_hash())


def is_shipped(blob: bytes) -> bool:
    """Whether every player has this network already."""
    return sha256(blob).hexdigest() in _by_hash()


@cache
def _by_hash() -> Mapping[str, bytes]:
    blobs = (path.read_bytes() for path in sorted(FOLDER.glob("*.bin")))
    return {sha256(blob).hexdigest(): blob for blob in blobs}
