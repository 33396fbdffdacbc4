"""`pocketsr targets`."""

from typing import Any

import click

from sr.commands.options import json_option, show


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List what `compile` can compile for, and how large the engines in the cache are."""
    from compiler.targets import TARGETS, find_target
    from player.engines import engine_bytes

    rows: dict[str, dict[str, Any]] = {}
    lines: list[tuple[str, str]] = []
    for name in TARGETS:
        target = find_target(name)
        isas = {dtype: [v.name for v in versions] for dtype, versions in target.versions.items()}
        sizes = {dtype: engine_bytes(dtype, name) for dtype in isas}
        rows[name] = {"triple": target.triple, "isas": isas, "bytes": sizes}
        built = {dtype: f"{size} bytes" if size else "not built" for dtype, size in sizes.items()}
        lists = [f"{dtype} {', '.join(names)} ({built[dtype]})" for dtype, names in isas.items()]
        lines.append((name, f"{target.triple}  {'; '.join(lists)}"))
    show({"schema": "pocketsr.targets/1", "targets": rows}, as_json, lines)
