"""`pocketsr verify DIR`."""

from pathlib import Path

import click

from player.package.package_error import PackageError
from sr.commands.options import (
    DIRECTORY,
    engine_options,
    json_option,
    show,
    trust_option,
    warn,
)


@click.command()
@click.argument("package", type=DIRECTORY)
@engine_options
@trust_option
@json_option
def command(
    package: Path, named: Path | None, target: str, trust: tuple[str, ...], as_json: bool
) -> None:
    """Check hashes, signature, limits and the self-test of every blob of the package DIR."""
    from player.engines import dtype_of_package, open_engine, tell_old_engine
    from player.package.index import read_index
    from player.package.seen import Seen
    from player.package.verify import verify_package
    from sr.host_engine import build_engine

    engine = None
    try:
        index = read_index(package).index
    except PackageError:
        pass  # as `verify_package` will tell
    else:
        tell_old_engine(package, warn)
        # Whoever signed it: what is tested are all of its networks.
        dtype = dtype_of_package(package, index.weights)
        engine = open_engine(dtype, target, named, warn, build_engine)
    self_test = engine.self_test if engine else None
    verification = verify_package(package, frozenset(trust) or None, self_test, Seen.of_user())
    if as_json or verification.ok:
        tested = "passed" if verification.self_tested else "not run: no engine, see compile"
        lines = [
            ("files", f"{verification.files}, {verification.bytes} bytes: as signed"),
            ("signer", verification.signer),
            ("self-tests", tested),
        ]
        show(verification.to_json(), as_json, lines)
    verification.check()
