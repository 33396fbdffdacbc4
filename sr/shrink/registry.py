"""The registry of stages: names, what they are for, and which sequences mean something.

    uniform | condense ──► chex ──► chase       each may be left out; `fair` alone, or behind chex
                                                or chase

The command line, the tests and the table in docs/shrinking.md come from it. Names and orders are
known without loading torch: a stage's own module is imported when the stage is made.

`condense` gives experts to an untrained network, `uniform` begins with one, so they come first.
`chase` leaves exact zeros that other training would fill, so it comes last. `fair` behind a stage
is a term of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sr.shrink.stage import Stage

FAIR, DEFAULT = "fair", "uniform"  # the latter is what a budget alone means


@dataclass(frozen=True)
class StageEntry:
    """`about`: what becomes smaller, and how. `verdict`: what it is worth, by the tables in
    docs/results.md. `made_by`: "module:class". `takes_fair`: whether the stage takes fairness as
    one of its `terms`. `begins`: whether it begins with an untrained network."""

    about: str
    verdict: str
    made_by: str
    takes_fair: bool = False
    begins: bool = False

    def make(self, **options: Any) -> "Stage":
        """The stage, by its class."""
        module, name = self.made_by.split(":")
        stage: Stage = getattr(import_module(module), name)(**options)
        return stage


STAGES: dict[str, StageEntry] = {  # in the only order that they may have
    DEFAULT: StageEntry(
        "channels, all layers alike, from the first step",
        "the one to use",
        "sr.shrink.uniform:Uniform",
        begins=True,
    ),
    "condense": StageEntry(
        "a mixture of experts, condensed",
        "ties with `uniform`, takes twice the server's time",
        "sr.shrink.condense:Condense",
        begins=True,
    ),
    "chex": StageEntry(
        "channels, explored while training",
        "loses 0.09 dB to `uniform`",
        "sr.shrink.chex:Chex",
        takes_fair=True,
    ),
    "chase": StageEntry(
        "channels and bytes, by sparse training",
        "ties with even blocks of 16, which take fewer bytes",
        "sr.shrink.chase:Chase",
        takes_fair=True,
    ),
    FAIR: StageEntry(
        "channels, fair to every content group",
        "`chex` is as fair, and better in the worst group",
        "sr.shrink.fair:Fair",
    ),
}


def told_stages() -> str:
    """What stages there are and what each is worth, for the command line's help."""
    others = [f"{name} ({STAGES[name].verdict})" for name in STAGES if name != DEFAULT]
    told = f"{DEFAULT} is {STAGES[DEFAULT].verdict}; kept for comparison: {', '.join(others)}"
    return told.replace("`", "")


class StageOrderError(ValueError):
    """Stages that are unknown, or in an order that makes no sense, in one line."""

    exit_code = 2


def parse_stages(text: str) -> tuple[str, ...]:
    """The stages of "chex,fair". Raises StageOrderError."""
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in STAGES:
            raise StageOrderError(f"--stages: {name!r} is not known; use {', '.join(STAGES)}")
    if len(set(names)) < len(names):
        raise StageOrderError(f"--stages {text}: a stage stands twice; name each once")
    others = [name for name in names if name != FAIR]
    wanted = sorted(others, key=list(STAGES).index)
    if others != wanted:
        raise StageOrderError(
            f"--stages {text}: {others[0]} cannot come first here; write {','.join(wanted)}"
        )
    begin = [name for name in names if STAGES[name].begins]
    if len(begin) > 1:
        raise StageOrderError(
            f"--stages {text}: {' and '.join(begin)} both begin with an untrained network; name one"
        )
    if FAIR in names:
        _check_fair(names, text)
    return names


def _check_fair(names: tuple[str, ...], text: str) -> None:
    takers, at = [name for name, stage in STAGES.items() if stage.takes_fair], names.index(FAIR)
    if len(names) > 1 and (at == 0 or names[at - 1] not in takers):
        raise StageOrderError(
            f"--stages {text}: fair is a stage alone, or a term of the stage before it, which "
            f"must be {' or '.join(takers)}; write {FAIR}, "
            f"{' or '.join(f'{name},{FAIR}' for name in takers)}"
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


def stages_of(text: str) -> Sequence["Stage"]:
    """The stages of "chex,fair", in order. Raises StageOrderError."""
    from sr.shrink.fair import FairlyShrunk

    return [
        FairlyShrunk(name, STAGES[name].make) if is_fair else STAGES[name].make()
        for name, is_fair in training_stages(parse_stages(text))
    ]
