"""`pocketsr play`: a package through the engine into a file, a window, a hash, or nothing."""

from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from player.engine import Engine
from player.events import Event, Listener, ignore
from player.output import file_sink, lr_info, shown_size
from player.pacing import Pacer
from player.playback import HashSink, Sink, play
from player.prefetch import prefetch
from player.session import Package
from player.show import Show, Shown
from player.upscale import upscale
from player.window import Window

UPSCALED_AHEAD = 2  # frames; so that upscaling goes on while a frame waits for its time


@dataclass(frozen=True)
class PlayOptions:
    """Where the frames go: to the file `out`, into a hash that must be `verify`, or nowhere."""

    out: Path | None = None
    verify: str | None = None
    threads: int | None = None
    limit: int | None = None


def play_package(
    package: Package,
    engine: Engine | None,
    options: PlayOptions | None = None,
    on_event: Listener = ignore,
) -> dict[str, Any]:
    """Play as fast as it goes; returns the object of `play --json`.

    Raises PackageError where the hash is another, InputError and OSError as `file_sink` does.
    """
    options = options or PlayOptions()
    hashed = HashSink()
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        on_event(event)

    frames = upscale(package, engine, options.threads, listen, options.limit)
    with ExitStack() as stack, closing(frames):
        sinks: list[Sink] = [hashed] if options.verify else []
        if options.out:
            sinks.append(stack.enter_context(file_sink(package, options.out)))
        playback = play(frames, sinks)
    if options.verify:
        hashed.check(options.verify)
    return {
        **playback.to_json(),
        "sha256": hashed.hex if options.verify else None,
        "out": str(options.out) if options.out else None,
        "events": [vars(event) for event in events],
    }


def show_package(
    package: Package,
    engine: Engine | None,
    options: PlayOptions | None = None,
    on_event: Listener = ignore,
) -> Shown:
    """Play in a window in real time, without sound; frames that would be late are dropped.

    Raises WindowUnavailableError where there is no pygame or no screen.
    """
    options = options or PlayOptions()
    info = lr_info(package)
    height, width = shown_size(package, info)
    pacer = Pacer(info.time_base)
    frames = upscale(package, engine, options.threads, on_event, options.limit, pacer.wanted)
    with (
        Window(width, height, package.directory.name) as window,
        closing(prefetch(frames, UPSCALED_AHEAD)) as ahead,
    ):
        return Show(window, pacer, package.scale).run(ahead)
