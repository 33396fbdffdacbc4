"""What the player tells of its troubles: each step down the ladder is one event."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """Something went wrong, and the player went on: `what` is a file or a part of the package,
    `reason` says what is wrong with it, `action` what is done instead.
    """

    kind: str
    what: str
    reason: str
    action: str

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}; {self.action}"


Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The listener of a caller that does not want to know."""
