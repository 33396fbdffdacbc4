"""One module a published system: what its paper claims, shown small, on its own kind of task."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ReproduceOptions:
    """What `python -m benchmarks.reproduce` asks of an entry's `run(options)`.

    `work` is the entry's own folder, for rows that resume; `sets` holds the data sets;
    `quick` asks for a run of a few minutes that shows no more than that everything works.
    """

    seeds: tuple[int, ...]
    quick: bool
    work: Path
    sets: Path
