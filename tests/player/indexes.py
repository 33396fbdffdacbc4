"""Indexes as JSON, and with one field changed."""

import copy
import json

from player.package.entries import (
    Index,
)
from player.package.index import index_to_json


def as_json(index: Index) -> dict:
    """As it stands in the file, without a signature."""
    return json.loads(json.dumps(index_to_json(index)))


def with_field(source: dict, path: str, value: object) -> dict:
    """A copy with one field set; the path is like segments.0.file."""
    changed = copy.deepcopy(source)
    *parents, last = [int(p) if p.isdigit() else p for p in path.split(".")]
    at = changed
    for part in parents:
        at = at[part]
    at[last] = value
    return changed
