"""Reading and writing `sr/index.json`, with its signature."""

import json
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from player.package import limits
from player.package.atomic import write_text
from player.package.errors import PackageError
from player.package.fields import Object, parse_object
from player.package.index import INDEX_PATH, Index, index_to_json
from player.package.index_parse import parse_index
from player.package.signature import check_signature, sign


@dataclass(frozen=True)
class IndexFile:
    """A parsed index, and the object it was parsed from (for its signature)."""

    index: Index
    source: Object

    def signer(self, trust: frozenset[str] | None = None) -> str:
        """The public key that signed it; raises PackageError as `check_signature` does."""
        return check_signature(self.source, trust)


def read_index(package: Path) -> IndexFile:
    """Parse the index of a package, its signature not looked at.

    Raises PackageError where it is missing, damaged or newer than this player.
    """
    path = package / INDEX_PATH
    try:
        with path.open("rb") as file:
            data = file.read(limits.MAX_INDEX_BYTES + 1)
    except OSError as error:
        raise PackageError(f"{INDEX_PATH}: cannot be read ({error.strerror})") from error
    source = parse_object(data, INDEX_PATH)
    return IndexFile(parse_index(source), source)


def write_index(package: Path, index: Index, key: Ed25519PrivateKey) -> None:
    """Sign the index and put it in its place, whole or not at all.

    Raises PackageError where a player would refuse it, OSError.
    """
    source = index_to_json(index)
    parse_index(source)
    signed = sign(source, key)
    write_text(package / INDEX_PATH, json.dumps(signed, indent=1, ensure_ascii=False) + "\n")
