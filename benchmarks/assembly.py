"""Reading the assembly of kernels for ARM: functions, their loops, where each spends its time."""

import re
from collections.abc import Iterator

_LABEL = re.compile(r"(\.L\w+):$")
_JUMP = re.compile(r"\s+(?:b(?:\.\w+)?|cbn?z\s+\w+,|tbn?z\s.*,)\s*(\.L\w+)$")
_INSTRUCTION = re.compile(r"\s+[a-z]")
_PRODUCT = re.compile(r"\s+(sdot|smmla|smull|smlal|fmla)\b")


def functions(text: str) -> Iterator[tuple[str, list[str]]]:
    """Name and lines of every kernel in an assembly file, without comments."""
    for part in re.split(r"\n(?=psr_\w+:)", text):
        name = re.match(r"(psr_\w+):", part)
        if name:
            yield name[1], [line.split("//")[0].rstrip() for line in part.splitlines()]


def loops(lines: list[str]) -> list[tuple[int, int]]:
    """First and last line of every loop, as its backward jump shows it."""
    labels = {found[1]: i for i, line in enumerate(lines) if (found := _LABEL.match(line))}
    jumps = [(jump[1], i) for i, line in enumerate(lines) if (jump := _JUMP.match(line))]
    return [(labels[label], i) for label, i in jumps if labels.get(label, i) < i]


def innermost_loop(lines: list[str]) -> tuple[int, int]:
    """The shortest loop that multiplies activations by weights. Raises ValueError without one."""
    found = [(a, b) for a, b in loops(lines) if count_products(lines[a : b + 1])]
    return min(found, key=lambda loop: loop[1] - loop[0])


def longest_loop(lines: list[str]) -> tuple[int, int]:
    """Around all others: in a convolution the loop over tiles. Raises ValueError without one."""
    return max(loops(lines), key=lambda loop: loop[1] - loop[0])


def instructions(lines: list[str]) -> list[str]:
    """Without labels and directives."""
    return [line for line in lines if _INSTRUCTION.match(line)]


def count_products(lines: list[str]) -> int:
    """Instructions that multiply activations by weights."""
    return sum(bool(_PRODUCT.match(line)) for line in lines)
