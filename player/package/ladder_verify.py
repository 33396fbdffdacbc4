"""Checking a ladder from end to end: its signature, its manifests, and every rung."""

from pathlib import Path

from player.package.ladder import ladder_faults, read_ladder
from player.package.layout import LADDER_FILE
from player.package.package_error import PackageError
from player.package.seen import Seen
from player.package.verify import Fault, SelfTest, Verification, verify_package


def verify_ladder(
    folder: Path,
    trust: frozenset[str] | None = None,
    self_test: SelfTest | None = None,
    seen: Seen | None = None,
) -> Verification:
    """As `verify_package`, of a ladder and all of its rungs."""
    try:
        ladder, signer = read_ladder(folder, trust)
    except PackageError as error:
        fault = Fault(LADDER_FILE, str(error).removeprefix(f"{folder / LADDER_FILE}: "))
        return Verification(folder, None, 0, 0, False, (fault,))
    faults = [Fault(*found) for found in ladder_faults(folder, ladder)]
    files = size = 0
    for rung in ladder.rungs:
        found = verify_package(folder / rung.folder, trust, self_test, seen)
        files, size = files + found.files, size + found.bytes
        faults += [Fault(f"{rung.folder}/{f.file}", f.reason) for f in found.faults]
    return Verification(folder, signer, files, size, self_test is not None, tuple(faults))
