"""`pocketsr targets`."""

import click

from sr.commands.options import json_option, show


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List what `compile` can compile for."""
    from compiler.targets import TARGETS, find_target

    found = {name: find_target(name) for name in TARGETS}
    isas = {
        name: {dtype: [v.name for v in versions] for dtype, versions in target.versions.items()}
        for name, target in found.items()
    }
    rows = {name: {"triple": t.triple, "isas": isas[name]} for name, t in found.items()}
    lines = [(name, f"{t.triple}  {_line(isas[name])}") for name, t in found.items()]
    show({"schema": "pocketsr.targets/1", "targets": rows}, as_json, lines)


def _line(isas: dict[str, list[str]]) -> str:
    """int8 avx512vnni, avx2; fp32 avx512."""
    return "; ".join(f"{dtype} {', '.join(names)}" for dtype, names in isas.items())
