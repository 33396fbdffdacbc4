"""What a package's parts take, counted once for all that tell of it.

What `encode`, `measure` and the search call its rate is of all bytes but those of sound and
subtitles: manifests and index are counted, and a plain encode beside it has manifests too.
"""

import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from player.package.entries import FileEntry, Index
from player.package.index import index_path
from player.package.layout import manifest_names

SR_PARTS = ("weights", "routes", "router", "index")
_BESIDE = ("audio", "text")  # the same in any encode of the film


def part_bytes(package: Path, index: Index) -> dict[str, int]:
    """Bytes of all that a server sends, by part; "text" only where there is some. How the package
    was made is not sent. Raises OSError where the index's file is gone.
    """
    names = manifest_names(len(index.sounds), len(index.texts))
    manifests = [package / name for name in names]
    texts = index.texts + ((index.chapters,) if index.chapters else ())
    sizes = {
        "video": index.video_init.bytes + _total(index.segments),
        "audio": sum(_total((sound.init, *sound.segments)) for sound in index.sounds),
        "weights": _total(index.weights),
        "routes": _total(index.routes),
        "router": index.router.bytes if index.router else 0,
        "index": (package / index_path(package)).stat().st_size,
        # They may be missing: a player of packages needs none.
        "manifests": sum(_plain_bytes(path) for path in manifests),
    }
    return sizes | ({"text": _total(texts)} if texts else {})


def _plain_bytes(path: Path) -> int:
    """Of a plain file; of anything else, which no server sends, or of nothing, none."""
    with suppress(OSError):
        found = path.lstat()
        return found.st_size if stat.S_ISREG(found.st_mode) else 0
    return 0


def rated_bytes(sizes: Mapping[str, int]) -> int:
    """Of `part_bytes`, what a plain encode of the same bytes is allowed."""
    return sum(size for part, size in sizes.items() if part not in _BESIDE)


def kbps(size_bytes: int, index: Index) -> float:
    """Kilobits a second of film, to two places."""
    seconds = float(sum(s.duration for s in index.segments) * index.time_base)
    return round(size_bytes * 8 / 1000 / max(seconds, 1e-3), 2)


def _total(entries: tuple[FileEntry, ...]) -> int:
    return sum(entry.sent_bytes for entry in entries)
