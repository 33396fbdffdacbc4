"""Rows of a long table, kept as they are made: a run that was killed goes on at the next row."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import write_json

Row = dict[str, Any]


@dataclass(frozen=True)
class RowStore:
    """A folder with one JSON file a row, found by the row's key.

    The key holds all that the row depends on (arm, seed, sizes, steps, the version of the data):
    a run with another size then makes another row instead of taking an old one for its own.
    """

    folder: Path

    def row(self, key: Mapping[str, Any], make: Callable[[], Mapping[str, Any]]) -> Row:
        """The row of `key` out of the folder; made by `make()` and kept where there is none.

        What returns is what JSON holds (tuples are lists), whether new or old. Raises ValueError
        for a row that JSON cannot hold, such as one with a NaN.
        """
        found = self.get(key)
        if found is not None:
            return found
        kept = {"key": dict(key), "row": dict(make())}
        json.dumps(kept, allow_nan=False)
        write_json(self._path(key), kept)
        return self._read(key)

    def get(self, key: Mapping[str, Any]) -> Row | None:
        """The row of `key`, None where it has not been made."""
        return self._read(key) if self._path(key).exists() else None

    def _read(self, key: Mapping[str, Any]) -> Row:
        row: Row = json.loads(self._path(key).read_text(encoding="utf-8"))["row"]
        return row

    def _path(self, key: Mapping[str, Any]) -> Path:
        """A name that a person can read, and a hash that keeps keys apart."""
        text = json.dumps(key, sort_keys=True, allow_nan=False)
        words = "-".join(str(key[name]) for name in sorted(key))
        name = re.sub(r"[^A-Za-z0-9._]+", "-", words)[:60].strip("-.")
        return self.folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
