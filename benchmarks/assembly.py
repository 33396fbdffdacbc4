"""Reading the assembly of kernels: functions, and the loop in which each spends its time."""

import re
from collections.abc import Iterator

_FUNCTION = re.compile(r"^(psr_\w+):", re.MULTILINE)
_LABEL = re.compile(r"(\.L\w+):$")
_JUMP = re.compile(r"\s+(?:b\.\w+|cbn?z\s+\w+,|tbn?z\s.*,)\s*(\.L\w+)$")
_INSTRUCTION = re.compile(r"\s+[a-z]")
PRODUCTS = re.compile(r"\s+(sdot|smmla|smull|smlal|fmla)\b")


def functions(text: str) -> Iterator[tuple[str, list[str]]]:
    """Name and lines of every kernel in an assembly file for ARM, without comments."""
    for part in re.split(r"\n(?=psr_\w+:)", text):
        name = _FUNCTION.match(part)
        if name:
            yield name[1], [line.split("//")[0].rstrip() for line in part.splitlines()]


def innermost_loop(lines: list[str]) -> list[str]:
    """The shortest loop of a function that multiplies, as instructions; empty where none does."""
    labels = {found[1]: i for i, line in enumerate(lines) if (found := _LABEL.match(line))}
    loops = []
    for end, line in enumerate(lines):
        jump = _JUMP.match(line)
        if jump and labels.get(jump[1], end) < end:
            loops.append([x for x in lines[labels[jump[1]] : end + 1] if _INSTRUCTION.match(x)])
    return min((loop for loop in loops if count_products(loop)), key=len, default=[])


def count_products(lines: list[str]) -> int:
    """Instructions that multiply activations by weights."""
    return sum(bool(PRODUCTS.match(line)) for line in lines)
