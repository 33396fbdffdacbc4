"""`ladder.json`: packages of one film at rising rates, that one pair of manifests leads to.

    ladder.json                    the rungs by rising rate, each with the hash of its index; signed
    manifest.mpd  master.m3u8      all of them: any player goes from one to another
    300k/  800k/  2000k/           the rungs, each a package, whole by itself

The signature binds the rungs together: each is signed by itself as well, but not that it is of the
same film as the others.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from player.package import fields
from player.package.artefact import write_text
from player.package.entries import HASH_BYTES, Index
from player.package.fields import Object, parse_object
from player.package.file_columns import joined_hashes
from player.package.files import read_plain
from player.package.index import index_path, read_index
from player.package.layout import LADDER_FILE, MASTER_NAME, MPD_NAME, manifest_names
from player.package.limits import MAX_INDEX_BYTES, MAX_MANIFEST_BYTES, MAX_RUNGS
from player.package.manifest_check import joint_hash, links_of, segment_counts
from player.package.package_error import PackageError
from player.package.signature import check_signature, sign

SCHEMA = "pocketsr.ladder/1"
_FOLDER = re.compile(r"[0-9]{1,7}(\.[0-9]{1,3})?k")
_MANIFESTS = (MPD_NAME, MASTER_NAME)


@dataclass(frozen=True)
class LadderRung:
    """A package in `folder`; `index` is the hash of its index, as `FileEntry` cuts it."""

    folder: str
    index: str


@dataclass(frozen=True)
class Ladder:
    """The rungs by rising rate, and the hash of the two manifests over them."""

    rungs: tuple[LadderRung, ...]
    manifests: str


def rung_folder(kbps: float) -> str:
    """The folder of the rung of so many kbps: "800k"."""
    return f"{kbps:.3f}".rstrip("0").rstrip(".") + "k"


def is_rung_folder(name: str) -> bool:
    """Whether a folder is named as that of a rung."""
    return _FOLDER.fullmatch(name) is not None


def is_ladder(folder: Path) -> bool:
    """Whether this is a ladder, damaged or not, and no package."""
    return (folder / LADDER_FILE).is_file()


def write_ladder(folder: Path, rungs: Sequence[str], key: Ed25519PrivateKey) -> None:
    """Sign the rungs, by rising rate, and the manifests that lie there. Raises PackageError where
    the rungs do not go together, OSError."""
    indexes = {name: read_index(folder / name).index for name in rungs}
    check_alike(indexes)
    entries = [
        {"folder": name, "index": joined_hashes([_index_hash(folder / name)])} for name in rungs
    ]
    manifests = joined_hashes([_manifests_hash(folder)])
    source = {"schema": SCHEMA, "rungs": entries, "manifests": manifests}
    write_text(folder / LADDER_FILE, json.dumps(sign(source, key), indent=1) + "\n")


def read_ladder(folder: Path, trust: frozenset[str] | None = None) -> tuple[Ladder, str]:
    """The ladder in `folder`, and the public key that signed it.

    Raises PackageError where it is missing, damaged or newer than this player, or where none of
    `trust` signed it (None: anybody). The rungs themselves are not looked at.
    """
    try:
        source = parse_object(read_plain(folder, LADDER_FILE, MAX_INDEX_BYTES), LADDER_FILE)
        if source.get("schema") != SCHEMA:
            raise PackageError(f"schema {source.get('schema')!r:.40} is not {SCHEMA}")
        ladder = Ladder(
            fields.objects(source, "rungs", MAX_RUNGS, _rung), _hash(source, "manifests")
        )
        if len({rung.folder for rung in ladder.rungs}) < max(1, len(ladder.rungs)):
            raise PackageError("has no rungs, or one twice")
        return ladder, check_signature(source, trust)
    except PackageError as error:
        # The readers of fields and signatures think of an index.
        reason = str(error).removeprefix(f"{LADDER_FILE}: ").removeprefix("index: ")
        raise PackageError(f"{folder / LADDER_FILE}: {reason}") from error


def ladder_faults(folder: Path, ladder: Ladder) -> Iterator[tuple[str, str]]:
    """(file, reason) of all that is wrong between the rungs, each of which is checked elsewhere."""
    indexes: dict[str, Index] = {}
    for rung in ladder.rungs:
        try:
            indexes[rung.folder] = index_of(folder, rung)
        except PackageError as error:
            yield rung.folder, str(error)
    if len(indexes) < len(ladder.rungs):
        return  # what the manifests may lead to is not known
    try:
        check_alike(indexes)
        if _manifests_hash(folder) != ladder.manifests:
            raise PackageError("the manifests are not those that were signed")
        _check_links(folder, indexes)
    except PackageError as error:
        yield LADDER_FILE, str(error)


def index_of(folder: Path, rung: LadderRung) -> Index:
    """A rung's index, which is the one that the ladder was signed with; raises PackageError."""
    if _index_hash(folder / rung.folder) != rung.index:
        raise PackageError("its index is not the one that the ladder was signed with")
    return read_index(folder / rung.folder).index


def check_alike(indexes: dict[str, Index]) -> None:
    """Rungs are of one film, cut at the same times; raises PackageError."""

    def cuts(index: Index) -> list[tuple[Fraction, int]]:
        return [(segment.start * index.time_base, segment.frames) for segment in index.segments]

    (name, first), *others = indexes.items()
    for other, index in others:
        if index.hr != first.hr or cuts(index) != cuts(first):
            raise PackageError(f"{other} and {name} are not of one film, cut at the same times")


def _check_links(folder: Path, indexes: dict[str, Index]) -> None:
    """An ordinary player follows the manifests without looking at any index."""
    # A rung's own manifests say where its streams lie, and are checked with it.
    known = {f"{name}/{entry.file}" for name, index in indexes.items() for entry in index.files}
    counts: dict[str, int] = {}
    for name, index in indexes.items():
        lists = manifest_names(len(index.sounds), len(index.texts))
        known |= {f"{name}/{playlist}" for playlist in lists}
        counts |= {f"{name}/{kind}": n for kind, n in segment_counts(index).items()}
    for name in _MANIFESTS:
        links = links_of(name, read_plain(folder, name, MAX_MANIFEST_BYTES), counts)
        if strange := sorted(links - known):
            raise PackageError(f"{name} leads to {strange[0][:60]!r}, which is no file of a rung")


def _rung(source: Object) -> LadderRung:
    folder = fields.text(source, "folder")
    if not is_rung_folder(folder):
        raise PackageError(f"{folder[:40]!r} is no name of a rung")
    return LadderRung(folder, _hash(source, "index"))


def _hash(source: Object, name: str) -> str:
    return fields.hashes(source, name, HASH_BYTES, 1)[0]


def _index_hash(package: Path) -> str:
    return joint_hash({"": read_plain(package, index_path(package), MAX_INDEX_BYTES)})


def _manifests_hash(folder: Path) -> str:
    return joint_hash({name: read_plain(folder, name, MAX_MANIFEST_BYTES) for name in _MANIFESTS})
