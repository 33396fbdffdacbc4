"""`pocketsr targets`."""

from typing import Any

import click

from sr.commands.options import json_option, show


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List what `compile` can compile for."""
    from compiler.targets import TARGETS, find_target

    rows: dict[str, dict[str, Any]] = {}
    lines: list[tuple[str, str]] = []
    for name in TARGETS:
        target = find_target(name)
        isas = {dtype: [v.name for v in versions] for dtype, versions in target.versions.items()}
        rows[name] = {"triple": target.triple, "isas": isas}
        lists = "; ".join(f"{dtype} {', '.join(names)}" for dtype, names in isas.items())
        lines.append((name, f"{target.triple}  {lists}"))
    show({"schema": "pocketsr.targets/1", "targets": rows}, as_json, lines)
