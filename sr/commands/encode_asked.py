"""Which options of `pocketsr encode` go together, and what some of them stand for."""

from collections.abc import Mapping
from typing import Any

from chunking.encoders import GRAIN_OPTS
from sr.usage_error import UsageError

# What only the search is asked, and what it chooses itself.
SEARCHED = {"like_crf", "ladder", "target_kbps", "target_psnr", "target_xpsnr", "target_vmaf",
            "worst", "metric", "budget_class", "device_table"}  # fmt: skip
# What a stream that is there already has of its own.
_OF_OWN = {"scale", "lr", "lr_codec", "lr_crf", "codec_opts", "grain", "frames"}
FIXED = {"units", "lr_crf", "method", "patches", "dtype", "warm_start", "stages", "budget",
         "routes", "max_loss_db", "probe_share", "groups", "protect", "backbone", "chunks",
         "chunk_rule", "hard_share", "rate_weight", "shipped", "adapt"}  # fmt: skip


def check_together(given: set[str], ladder: str | None = None, method: str = "dydca") -> None:
    """Raises UsageError where options that only the search has, or never has, are mixed, or one is
    of another `method`."""
    if "max_loss_db" in given and method != "dydca":
        raise UsageError(f"--max-loss-db: {method} plans no routes; use --method dydca")
    if "lr_from" in given and (others := sorted(given & (SEARCHED | _OF_OWN))):
        option = f"--{others[0].replace('_', '-')}"
        raise UsageError(f"--lr-from takes a stream as it is: leave out {option}")
    goals = {name for name in given if name.startswith("target_")} | given & {"worst"}
    if ladder != "auto":
        goals |= given & {"like_crf"}
    if ladder is not None and (others := sorted(goals)):
        option = f"--{others[0].replace('_', '-')}"
        raise UsageError(f"--ladder {ladder} and {option} contradict each other: give one")
    names = SEARCHED if given & {"scale", "lr_from"} else FIXED
    for name in sorted(given & names):
        option = f"--{name.replace('_', '-')}"
        if "scale" in given:
            raise UsageError(f"{option} is for the search, and --scale is without one: give one")
        raise UsageError(f"{option}: the search chooses that; give --scale as well")


def graining(strength: int | None, options: Mapping[str, Any]) -> str:
    """The encoder's options, with those of film grain; raises UsageError."""
    asked = str(options["codec_opts"])
    if strength is None:
        return asked
    if options["lr_codec"] != "av1":
        raise UsageError(f"--grain: {options['lr_codec']} carries none apart from the picture")
    if "film-grain" in asked:
        raise UsageError("--grain and --codec-opts film-grain contradict each other: give one")
    return ":".join(filter(None, (asked, GRAIN_OPTS.format(strength))))
