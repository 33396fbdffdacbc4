"""What was played before, so that no older revision of a package takes its place unnoticed.

    $POCKETSR_HOME/seen.json      {public key: {id of a package: its newest revision}}

A signature says who made a package, not that there is no newer one: who sends an old one again,
with its faults, sends what was signed.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from player.package.artefact import write_text
from player.package.entries import Index
from player.package.fields import parse_object
from player.package.files import read_plain
from player.package.limits import MAX_INDEX_BYTES
from player.package.package_error import PackageError
from player.package.signature import home

_FILE = "seen.json"
_MOST_PACKAGES = 20_000  # of all keys; the ones that were first seen are forgotten first


@dataclass(frozen=True)
class Seen:
    """The packages of one user; `folder` is where they are kept."""

    folder: Path

    @classmethod
    def of_user(cls) -> "Seen":
        return cls(home())

    def is_known(self, signer: str) -> bool:
        """Whether a package of this key was played before."""
        return signer in self._read()

    def check(self, index: Index, signer: str) -> None:
        """Raises PackageError where a newer revision of the package was played."""
        newest = self._read().get(signer, {}).get(index.id, index.revision)
        if index.id and index.revision < newest:
            raise PackageError(
                f"index: revision {index.revision}, but {newest} was played before; get the newer "
                f"one, or remove {self.folder / _FILE}"
            )

    def remember(self, index: Index, signer: str) -> None:
        """Keep the revision of a package that was checked. Where that fails, nothing is lost."""
        seen = self._read()
        known = seen.setdefault(signer, {})
        if index.id in known and known[index.id] == index.revision:
            return
        known[index.id] = index.revision
        while sum(map(len, seen.values())) > _MOST_PACKAGES:
            oldest = next(key for key, packages in seen.items() if packages)
            del seen[oldest][next(iter(seen[oldest]))]
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_text(self.folder / _FILE, json.dumps(seen))
        except OSError:
            return  # a home that cannot be written plays films as ever

    def _read(self) -> dict[str, dict[str, int]]:
        """What is kept; nothing where the file is missing or damaged."""
        try:
            found = parse_object(read_plain(self.folder, _FILE, MAX_INDEX_BYTES), _FILE)
        except PackageError:
            return {}
        return {
            key: {k: v for k, v in packages.items() if type(v) is int}
            for key, packages in found.items()
            if isinstance(packages, dict)
        }
