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
    """Check hashes, signature, limits and the self-test of every blob of the package or ladder
    DIR."""
    from player.engines import dtype_of_package, open_engine, tell_old_engine
    from player.package.index import read_index
    from player.package.ladder import is_ladder, read_ladder
    from player.package.ladder_verify import verify_ladder
    from player.package.seen import Seen
    from player.package.verify import verify_package
    from sr.host_engine import build_engine

    engine, verify = None, verify_ladder if is_ladder(package) else verify_package
    try:
        # All rungs of a ladder have one arithmetic.
        first = package / read_ladder(package)[0].rungs[0].folder if is_ladder(package) else package
        index = read_index(first).index
    except PackageError:
        pass  # as `verify` will tell
    else:
        tell_old_engine(first, warn)
        # Whoever signed it: what is tested are all of its networks.
        dtype = dtype_of_package(first, index.weights)
        engine = open_engine(dtype, target, named, warn, build_engine)
    self_test = engine.self_test if engine else None
    verification = verify(package, frozenset(trust) or None, self_test, Seen.of_user())
    if as_json or verification.ok:
        tested = "passed" if verification.self_tested else "not run: no engine, see compile"
        lines = [
            ("files", f"{verification.files}, {verification.bytes} bytes: as signed"),
            ("signer", verification.signer),
            ("self-tests", tested),
        ]
        show(verification.to_json(), as_json, lines)
    verification.check()
