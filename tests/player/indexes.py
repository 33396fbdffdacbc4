"""Indexes as JSON, and with one field changed."""

import copy
import json
from dataclasses import replace
from pathlib import Path

from player.package.entries import FileEntry, Index, file_entry
from player.package.index import index_bytes, index_to_json, read_index, write_index
from player.package.layout import INDEX_PATH
from player.package.signature import signing_key


def as_json(index: Index) -> dict:
    """As it stands in the file, without a signature."""
    return json.loads(json.dumps(index_to_json(index)))


def source_of(package: Path) -> dict:
    """The object in the package's index, its signature too."""
    return read_index(package).source


def put_source(package: Path, source: dict) -> None:
    """An object in the place of the index, whatever it says."""
    (package / INDEX_PATH).write_bytes(index_bytes(source))


def sign_again(package: Path) -> None:
    """Sign the package as it lies there, its files changed by whoever did it."""
    index = read_index(package).index

    def again(entry: FileEntry) -> FileEntry:
        return replace(entry, **vars(file_entry(package, package / entry.file)))

    lists = {
        name: tuple(map(again, vars(index)[name])) for name in ("weights", "routes", "segments")
    }
    changed = replace(index, video_init=again(index.video_init), **lists)
    write_index(package, changed, signing_key())


def with_field(source: dict, path: str, value: object) -> dict:
    """A copy with one field set; the path is like segments.0.file."""
    changed = copy.deepcopy(source)
    *parents, last = [int(p) if p.isdigit() else p for p in path.split(".")]
    at = changed
    for part in parents:
        at = at[part]
    at[last] = value
    return changed
