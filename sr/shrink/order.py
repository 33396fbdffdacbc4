"""The order of stages: which names there are, and which sequences mean something. No torch here.

    condense ──► chex ──► chase          each may be left out; `fair` alone, or behind chex or chase

`condense` needs an untrained network to give experts to, so it comes first. `chase` leaves exact
zeros that other training would fill, so it comes last. `fair` behind a stage is a term of it.
"""

STAGE_NAMES = ("condense", "chex", "chase", "fair")
FAIR, TERM_OF = "fair", ("chex", "chase")


class StageOrderError(ValueError):
    """Stages that are unknown, or in an order that makes no sense, in one line."""

    exit_code = 2


def parse_stages(text: str) -> tuple[str, ...]:
    """The stages of "chex,fair". Raises StageOrderError."""
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in STAGE_NAMES:
            raise StageOrderError(f"--stages: {name!r} is not known; use {', '.join(STAGE_NAMES)}")
    if len(set(names)) < len(names):
        raise StageOrderError(f"--stages {text}: a stage stands twice; name each once")
    _check_order([name for name in names if name != FAIR], text)
    if FAIR in names:
        _check_fair(names, text)
    return names


def _check_order(names: list[str], text: str) -> None:
    wanted = sorted(names, key=STAGE_NAMES.index)
    if names != wanted:
        raise StageOrderError(
            f"--stages {text}: {names[0]} cannot come first here; write {','.join(wanted)}"
        )


def _check_fair(names: tuple[str, ...], text: str) -> None:
    at = names.index(FAIR)
    if len(names) > 1 and (at == 0 or names[at - 1] not in TERM_OF):
        raise StageOrderError(
            f"--stages {text}: fair is a stage alone, or a term of the stage before it, which "
            f"must be {' or '.join(TERM_OF)}; write {FAIR}, chex,{FAIR} or chase,{FAIR}"
        )


def training_stages(names: tuple[str, ...]) -> list[tuple[str, bool]]:
    """The stages that train, each with whether `fair` is a term of it."""
    alone = names == (FAIR,)
    follows = (*names[1:], "")
    return [
        (name, not alone and after == FAIR)
        for name, after in zip(names, follows, strict=True)
        if alone or name != FAIR
    ]
