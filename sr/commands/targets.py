"""`pocketsr targets`."""

import click

from sr.commands.options import json_option, show


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List what `compile` can compile for."""
    from compiler.targets import TARGETS, find_target

    found = {name: find_target(name) for name in TARGETS}
    rows = {name: {"triple": t.triple, "isa": t.isa} for name, t in found.items()}
    lines = [(name, f"{row['triple']}  {row['isa']}") for name, row in rows.items()]
    show({"schema": "pocketsr.targets/1", "targets": rows}, as_json, lines)
