"""`sr/index.bin`: what the package holds; read, checked, signed and written here.

The index names every file by its place, with its length and hash, so that one signature over it
covers the whole package. Fields that this version does not know are ignored; a newer schema is
refused, older ones are read.

    bytes ──unpack_index──► text ──parse_object──► JSON ──parse_index──► Index, all of it bounded
    Index ──index_to_json──► JSON ──sign──► text ──pack_index──► bytes
"""

import json
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from player.package import fields, index_columns, index_v1, limits
from player.package.artefact import write_bytes
from player.package.entries import Index, WeightsEntry
from player.package.fields import Object, parse_object
from player.package.files import read_plain
from player.package.index_columns import SCHEMA_NAME, SCHEMA_VERSION, index_to_json
from player.package.index_packing import pack_index, unpack_index
from player.package.layout import INDEX_PATH, PLAIN_INDEX_PATH, WORK
from player.package.package_error import PackageError
from player.package.scale import scale_number
from player.package.signature import check_signature, sign

# How the fields of each schema are read; what they must be together is checked for all of them.
CONTINUES = "the same command continues"
_READERS = {1: index_v1.read_fields, SCHEMA_VERSION: index_columns.read_fields}


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
    path = index_path(package)
    # An index comes last.
    if (package / WORK).is_dir() and not (package / path).exists():
        raise PackageError(f"{path}: the encode is not at its end: {CONTINUES}")
    try:
        data = read_plain(package, path, limits.MAX_INDEX_BYTES)
        text = data if path == PLAIN_INDEX_PATH else unpack_index(data)
    except PackageError as error:
        raise PackageError(f"{path}: {error}") from error
    source = parse_object(text, path)
    return IndexFile(parse_index(source), source)


def index_path(package: Path) -> str:
    """Where the package's index lies: in a file of JSON if there is none of today's form."""
    is_plain = (package / PLAIN_INDEX_PATH).exists() and not (package / INDEX_PATH).exists()
    return PLAIN_INDEX_PATH if is_plain else INDEX_PATH


def write_index(package: Path, index: Index, key: Ed25519PrivateKey) -> None:
    """Sign the index and put it in its place, whole or not at all.

    Raises PackageError where a player would refuse it, or would read something else: a file that
    is not where the format has it, a hash that `file_entry` did not make. Raises OSError.
    """
    source = index_to_json(index)
    if parse_index(source) != index:
        raise PackageError("index: a file's name or hash, or a map's length, is not as it must be")
    write_bytes(package / INDEX_PATH, index_bytes(sign(source, key)))


def index_bytes(source: Object) -> bytes:
    """The file of a signed object."""
    text = json.dumps(source, separators=(",", ":"), ensure_ascii=False)
    return pack_index(text.encode("utf-8", "surrogatepass"))


def parse_index(source: Object) -> Index:
    """The index of a JSON object; raises PackageError and says which field is wrong."""
    schema = fields.text(source, "schema")
    name, _, number = schema.partition("/")
    # `isdigit` alone takes superscripts and other scripts' digits, at some of which `int` fails.
    numbered = number.isascii() and number.isdigit()
    if name != SCHEMA_NAME or not numbered or int(number) < 1:
        raise PackageError(f"index: schema {schema!r} is not {SCHEMA_NAME}/{SCHEMA_VERSION}")
    if int(number) > SCHEMA_VERSION:
        raise PackageError(f"index: schema {schema} is newer than this player; update PocketSR")
    index = _READERS[int(number)](source)
    _check_sizes(index)
    _check_lists(index)
    return index


def _check_sizes(index: Index) -> None:
    """No more pixels than the limit; HR is scale x LR but for what padding to even LR added."""
    for size, scale in ((index.lr, 1), (index.hr, limits.MAX_SCALE)):
        if size.width * size.height > limits.MAX_LR_PIXELS * scale**2:
            raise PackageError(f"index: {size.width}x{size.height} is more pixels than the limit")
    # LR is 2 ceil(shown / 2 r) px, so that r times it is less than 2 r px too much.
    for shown, lr in ((index.hr.width, index.lr.width), (index.hr.height, index.lr.height)):
        if not index.scale * lr - 2 * index.scale < shown <= index.scale * lr:
            factor = scale_number(index.scale)
            raise PackageError(f"index: HR side {shown} px is not {factor} x {lr} px cropped")


def _check_lists(index: Index) -> None:
    starts = [s.start for s in index.segments]
    # Strictly rising, because a player finds a frame's segment by bisection.
    if not starts or starts != sorted(set(starts)):
        raise PackageError("index: segments are missing or not in the order of their times")
    if sum(s.frames for s in index.segments) != index.frames:
        raise PackageError("index: the segments' frames do not add up to the film's")
    named = [f.file for f in index.files if not (isinstance(f, WeightsEntry) and f.shipped)]
    # Else a few bytes would have one large file read as often as they say.
    if len(set(named)) != len(named):
        raise PackageError("index: a file is named twice")
    if any(w.arch.scale != index.scale for w in index.weights):
        raise PackageError("index: a network's scale is not the package's")
    # A patch that began within a unit, or whose HR pixels did, could not be computed.
    sides = [index.scale.denominator, *(w.arch.units for w in index.weights)]
    for side in sides:
        if index.fine_h % side or index.fine_w % side:
            cell = f"{index.fine_w}x{index.fine_h}"
            raise PackageError(f"index: cells of {cell} px are not whole units of {side} px")
    known = [r.segment for r in index.routes if r.segment < len(starts)]
    # As many segments that exist as there are maps: none twice, and none that is not there.
    if len(set(known)) != len(index.routes):
        raise PackageError("index: route maps name a segment twice, or one that is not there")
