"""`pocketsr verify DIR`."""

from pathlib import Path

import click

from sr.commands.options import DIRECTORY, json_option, show


@click.command()
@click.argument("package", type=DIRECTORY)
@click.option("--target", default="host", show_default=True, help="Whose engine runs self-tests.")
@click.option("--trust", metavar="KEY", multiple=True, help="Public key that must have signed.")
@json_option
def command(package: Path, target: str, trust: tuple[str, ...], as_json: bool) -> None:
    """Check hashes, signature, limits and the self-test of every blob of the package DIR."""
    from player.engine import Engine, find_engine
    from player.package.verify import verify_package

    path = find_engine(package, target)
    self_test = Engine.open(path).self_test if path else None
    verification = verify_package(package, frozenset(trust) or None, self_test)
    if as_json or verification.ok:
        tested = "passed" if verification.self_tested else "not run: no engine, see compile"
        lines = [
            ("files", f"{verification.files}, {verification.bytes} bytes: as signed"),
            ("signer", verification.signer),
            ("self-tests", tested),
        ]
        show(verification.to_json(), as_json, lines)
    verification.check()
