"""Pieces of C text that both formats' tables are made of."""

from collections.abc import Iterable, Sequence


def c_numbers(values: Iterable[int]) -> str:
    """1, 2, 3."""
    return ", ".join(str(v) for v in values)


def conv_table(field: str, names: Sequence[Sequence[Sequence[str]]]) -> list[str]:
    """names[RGB or blocks][blocks of output - 1][shape of tile] as a designated initialiser."""
    rows = [
        f"        [{source}][{blocks}] = {{{', '.join(shapes)}}},"
        for source, groups in enumerate(names)
        for blocks, shapes in enumerate(groups)
    ]
    return [f"    .{field} = {{", *rows, "    },"]


def version_table(name: str, fields: Sequence[str]) -> list[str]:
    """The definition of psr_version_NAME."""
    return [f"static const psr_version psr_version_{name} = {{", *fields, "};"]
