"""Who takes part: runtimes with a number format, converted and checked; who does not, and why."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.runtimes import find_runtime, missing_modules
from benchmarks.runtimes.interface import Image, Order, Runtime, Session, Size, Unsupported
from benchmarks.subject import Subject
from player.metrics import mse_rgb, psnr_db

EXACT_TOLERANCE = 1  # code values between two fp32 runtimes
INT8_LEAST_DB = 38.0  # PSNR of an int8 picture against the fp32 one

Absence = dict[str, str]


@dataclass(frozen=True)
class Entrant:
    """A runtime in one number format."""

    runtime: Runtime
    dtype: str

    @property
    def name(self) -> str:
        return f"{self.runtime.name} {self.dtype}"


def order_for(subject: Subject, folder: Path, dtype: str, size: Size | None) -> Order:
    """The subject's hard path, for frames of a size."""
    arch = subject.arch
    return Order(folder, dtype, size, subject.halo_px, arch.hr_units, arch.units)


@dataclass(frozen=True)
class Bench:
    """What is measured, with whom, where their files lie, and how often each runs."""

    subject: Subject
    entrants: tuple[Entrant, ...]
    folder: Path
    rounds: int

    def order(self, entrant: Entrant, size: Size | None) -> Order:
        return self.order_of(entrant.dtype, size)

    def order_of(self, dtype: str, size: Size | None = None) -> Order:
        return order_for(self.subject, self.folder, dtype, size)

    def sessions(self, size: Size | None, threads: int) -> dict[Entrant, Session]:
        """Every entrant, opened; those that cannot take any size are left out for `size` None."""
        found = {}
        for entrant in self.entrants:
            order = self.order(entrant, size)
            try:
                entrant.runtime.convert(self.subject, order)
                found[entrant] = entrant.runtime.open(order, threads)
            except Unsupported:
                continue
        return found


def find_entrants(
    names: Iterable[str], subject: Subject, sizes: Sequence[Size | None], folder: Path
) -> tuple[list[Entrant], list[Absence]]:
    """Convert everything for all sizes; the second list says what is missing and why."""
    entrants, absent = [], []
    for name in names:
        runtime = find_runtime(name)
        missing = missing_modules(runtime)
        if missing:
            absent.append({"runtime": name, "reason": f"not installed: {', '.join(missing)}"})
            continue
        if runtime.absent:
            absent.append({"runtime": name, "reason": runtime.absent})
        for dtype in runtime.dtypes:
            reasons = _convert(Entrant(runtime, dtype), subject, sizes, folder)
            absent += [{"runtime": name, "reason": f"{dtype}, {reason}"} for reason in reasons]
            if len(reasons) < len(sizes):
                entrants.append(Entrant(runtime, dtype))
    return entrants, absent


def _convert(
    entrant: Entrant, subject: Subject, sizes: Sequence[Size | None], folder: Path
) -> list[str]:
    reasons = []
    for size in sizes:
        order = order_for(subject, folder, entrant.dtype, size)
        try:
            entrant.runtime.convert(subject, order)
        except Unsupported as error:
            reasons.append(str(error))
    return reasons


def check_picture(
    entrant: Entrant, picture: Image, exact: Image, least_db: float = INT8_LEAST_DB
) -> None:
    """Every entrant computes the same picture, or the comparison means nothing.

    Raises SystemExit.
    """
    if entrant.dtype == "fp32":
        worst = int(abs(picture.astype(int) - exact).max())
        if worst > EXACT_TOLERANCE:
            raise SystemExit(f"{entrant.name} differs from the network by {worst} code values")
    else:
        db = psnr_db(mse_rgb(picture, exact))
        if db < least_db:
            raise SystemExit(f"{entrant.name} keeps only {db:.1f} dB of the fp32 picture")
