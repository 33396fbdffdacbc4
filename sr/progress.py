"""Progress for people (stderr) and programs (events on stdout, one JSON object a line).

On a terminal a bar with dB and the time left; elsewhere a plain line every ten seconds.
"""

import json
import sys
from time import monotonic
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

PLAIN_EVERY_S = 10.0


class Progress:
    """Reports stages one after the other; a context, so that the bar is always closed."""

    def __init__(self, events: bool = False) -> None:
        self._events = events
        self._console = Console(stderr=True)
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[quality]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._name, self._total = "", 0
        self._told: set[str] = set()
        self._task: Any = None
        self._said_at = self._began_at = monotonic()
        self._first: int | None = None  # steps that were done when it was first told

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def stage(self, name: str, total: int) -> None:
        """Begin a stage of `total` steps; 0 where the number is not known."""
        self._name, self._total, self._first = name, total, None
        self._said_at = self._began_at = monotonic()
        if self._task is not None:
            self._bars.update(self._task, visible=False)
        self._task = self._bars.add_task(name, total=total or None, quality="")
        self.event("stage", name=name, total=total)

    def at(self, done: int, quality_db: float | None = None) -> None:
        """`done` steps of the stage are done, at this quality."""
        quality = f"{quality_db:.2f} dB" if quality_db is not None else ""
        if self._first is None:  # what is resumed has steps behind it, what begins reads a film
            self._first, self._began_at = done, monotonic()
        self._bars.update(self._task, completed=done, quality=quality)
        if monotonic() - self._said_at > PLAIN_EVERY_S:
            self._said_at = monotonic()
            self.event("progress", name=self._name, done=done, total=self._total, db=quality_db)
            if not self._console.is_terminal:
                of, left = f"/{self._total}" if self._total else "", ""
                if self._total and (steps := done - self._first) > 0:
                    left_s = (monotonic() - self._began_at) * (self._total - done) / steps
                    left = f", {left_s:.0f} s left"
                said = " ".join(f"{self._name} {done}{of} {quality}".split())
                print(f"{said}{left}", file=sys.stderr)

    def warn(self, message: str) -> None:
        """One line for people; an event for programs. Once: a search encodes a film many times."""
        if message in self._told:
            return
        self._told.add(message)
        # No markup: names of films and tracks are in it.
        said = Text(f"warning: {message}", style="yellow")
        self._console.print(said, soft_wrap=True)
        self.event("warning", message=message)

    def event(self, kind: str, **fields: Any) -> None:
        """An NDJSON line on stdout with --events, else nothing."""
        if self._events:
            sys.stdout.write(json.dumps({"v": 1, "type": kind, **fields}) + "\n")
            sys.stdout.flush()
