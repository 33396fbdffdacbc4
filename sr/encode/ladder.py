"""`pocketsr encode --ladder`: packages of one film at rising rates, under one pair of manifests.

kbps, or none ──► rungs ──► from the top, each the best of its rate: encode_best     800k/ ...
                              │   (their searches share encodes of the sample and trials, and each
                              │   may take the network of a rung above as it is)
                              ├─ what cannot be reached, or is no better than the one below: dropped
                              └─► manifests over the rest, signed       ladder.json

Each rung is an encode of its own in a folder of its own, so that all of it resumes.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chunking.images import Film
from chunking.stream import Step
from player.package.ladder import is_rung_folder, rung_folder, write_ladder
from player.package.ladder_manifests import write_ladder_manifests
from player.package.ladder_verify import verify_ladder
from player.package.layout import JOB_FILE, WORK
from player.package.limits import MAX_RUNGS
from player.package.signature import signing_key
from sr.encode.best import encode_best, sampled, searchable
from sr.encode.job import Job, remove_work
from sr.encode.job_folder import discard, run_job
from sr.encode.search_options import SearchOptions
from sr.progress import Progress
from sr.rate.goal import LAST_CRF, TOLERANCE, GoalError
from sr.rate.rungs import HR
from sr.rate.sample import StreamShelf
from sr.usage_error import UsageError

LEAST_APART = 1.15  # times the rate of the rung below, or nobody can tell them apart
# Of a ladder that nobody gave the rates of: plain encodes some 1.5 to 2 times apart, down to a
# quality that people still look at.
_CRF_APART: Mapping[str, float] = {"h264": 5.0, "h265": 5.0, "av1": 8.0}
_LEAST_DB, _MOST_AUTOMATIC = 30.0, 5


@dataclass(frozen=True)
class LadderOptions:
    """What `encode --ladder` is asked: rungs of so many kbps, by rising rate; None: from the
    quality of `search`'s goal downwards. `search` says all else, for each of them."""

    search: SearchOptions
    kbps: tuple[float, ...] | None

    @property
    def source(self) -> Film:
        return self.search.source

    @property
    def out(self) -> Path:
        return self.search.out

    def rung(self, kbps: float, above: Sequence[str]) -> SearchOptions:
        """The encode of one rung, which may take a network of those above, as it is."""
        goal = replace(self.search.goal, like_crf=None, kbps=kbps)
        given = tuple(self.out / folder for folder in above)
        return replace(self.search, out=self.out / rung_folder(kbps), goal=goal, given=given)

    def to_json(self) -> dict[str, Any]:
        """Everything that decides the result, flat. Raises OSError."""
        return {**self.search.to_json(), "ladder_kbps": list(self.kbps) if self.kbps else None}


def parse_ladder(text: str) -> tuple[float, ...] | None:
    """Rates by rising kbps of "300,800,2000"; None of "auto". Raises UsageError."""
    if text == "auto":
        return None
    try:
        kbps = sorted({round(float(part), 3) for part in text.split(",")})
    except ValueError:
        kbps = []
    if not kbps or not all(1 <= rate < 1e7 for rate in kbps) or len(kbps) > MAX_RUNGS:
        raise UsageError(
            f"--ladder {text}: give up to {MAX_RUNGS} rates in kbps, such as 300,800,2000, or auto"
        )
    return tuple(kbps)


def encode_ladder(
    options: LadderOptions, progress: Progress, restart: bool = False
) -> dict[str, Any]:
    """Make a package for each rung, and the manifests over them; returns report.json.

    What `encode_best` raises, GoalError only where no rung is left. An interruption leaves a folder
    with which the same command continues.
    """
    info = searchable(options.search.film)

    def make(job: Job) -> dict[str, Any]:
        if restart:
            _discard_rungs(options.out, ())
        kbps = options.kbps
        if kbps is None:
            with sampled(options.search, info, progress, job.step) as shelf:
                kbps = automatic_rungs(shelf, options.search.goal.like_crf or 0.0)
        report = _Ladder(options, progress, job.step).run(kbps)
        job.check()
        made = [rung["folder"] for rung in report["rungs"]]
        _discard_rungs(options.out, made)
        write_ladder_manifests(options.out, made)
        write_ladder(options.out, made, signing_key())
        return report

    return run_job(options, restart, progress.warn, make, verify=verify_ladder)


def automatic_rungs(shelf: StreamShelf, crf: float) -> tuple[float, ...]:
    """Rates from that of a plain encode at `crf` downwards."""
    codec, rates = shelf.coding.codec, list[float]()
    while len(rates) < _MOST_AUTOMATIC and crf <= LAST_CRF[codec]:
        point = shelf.point(HR, crf)
        if rates and point.quality["psnr_y"] < _LEAST_DB:
            break
        # Two digits: what a sample says of the film is not more exact.
        rates.append(max(1.0, float(f"{point.bytes / 125 / shelf.sample.seconds:.2g}")))
        crf += _CRF_APART[codec]
    return tuple(sorted(set(rates)))


@dataclass(frozen=True)
class _Ladder:
    options: LadderOptions
    progress: Progress
    step: Step

    def run(self, kbps: Sequence[float]) -> dict[str, Any]:
        """Encode the rungs, and say which make no sense; raises GoalError where none does."""
        rungs: list[dict[str, Any]] = []  # from the top
        dropped: list[dict[str, Any]] = []
        lost: dict[str, None] = {}
        asked, done = set(kbps), set[float]()
        # What cannot be reached leaves room for one that was too near to it.
        while rates := asked - done - too_near(asked).keys():
            rate = max(rates)
            done.add(rate)
            self.progress.stage(f"rung of {rung_folder(rate)[:-1]} kbps", 0)
            above = [rung["folder"] for rung in rungs if rung["weights_bytes"]]
            try:
                rung_options = self.options.rung(rate, above)
                report = encode_best(rung_options, self.progress, step=self.step)
            except GoalError as error:
                asked.discard(rate)
                dropped.append(self._dropped(rate, str(error)))
                continue
            rung = _row(rate, report)
            # More bytes that show no more make no sense.
            while rungs and (told := self._shows_no_more(rungs[-1], rung)):
                dropped.append(self._dropped(rungs.pop()["asked_kbps"], told))
            rungs.append(rung)
            lost |= dict.fromkeys(report.get("lost", []))
        dropped += [self._dropped(rate, told) for rate, told in too_near(asked).items()]
        dropped.sort(key=lambda row: float(row["asked_kbps"]))
        if not rungs:
            raise GoalError(f"no rung is left: {dropped[0]['reason']}")
        return {
            "schema": "pocketsr.ladder.report/1",
            "rungs": rungs[::-1],
            "dropped": dropped,
            "lost": list(lost),
        }

    def _dropped(self, rate: float, reason: str) -> dict[str, Any]:
        self.progress.warn(f"the rung of {rung_folder(rate)[:-1]} kbps is left out: {reason}")
        return {"asked_kbps": rate, "reason": reason}

    def _shows_no_more(self, rung: dict[str, Any], below: dict[str, Any]) -> str:
        """Of a rung above another one what it shows, where that is no more; else nothing."""
        metric = self.options.search.goal.metric
        if rung[metric] >= below[metric] + TOLERANCE[metric]:
            return ""
        beside = f"the rung of {below['kbps']:.0f} kbps {below[metric]:.2f}"
        return f"it shows {rung[metric]:.2f} {metric}, {beside}"


def too_near(kbps: Collection[float]) -> dict[float, str]:
    """Of rates those that nobody could tell apart from the one below, and why."""
    kept, near = list[float](), dict[float, str]()
    for rate in sorted(kbps):
        if kept and rate < LEAST_APART * kept[-1]:
            near[rate] = f"too near to {kept[-1]:g} to be told apart"
        else:
            kept.append(rate)
    return near


def _row(asked_kbps: float, report: Mapping[str, Any]) -> dict[str, Any]:
    """A rung as the ladder's report has it; its own report has the rest."""
    made = {k: v for k, v in report["made"].items() if k not in ("bytes", "network")}
    network = None if report["method"] == "plain" else report["chosen"]["widths"]
    weights = sum(report["weights_bytes"])
    folder = rung_folder(asked_kbps)
    given = report["chosen"].get("given")
    return {"folder": folder, "asked_kbps": asked_kbps, **made, "widths": network,
            "weights_bytes": weights, "network_of": given, "plain": report["plain"]}  # fmt: skip


def _discard_rungs(out: Path, kept: Sequence[str]) -> None:
    """Remove what encodes made of rungs that are none, or none any more."""
    for job in sorted(out.glob(f"*/{JOB_FILE}")):
        folder = job.parent
        if folder.is_symlink() or folder.name in kept or not is_rung_folder(folder.name):
            continue
        if (folder / WORK).is_dir():
            remove_work(folder / WORK)  # whoever works there holds the ladder's lock
        discard(folder)
        job.unlink()
        with suppress(OSError):  # something of somebody else's is in it
            folder.rmdir()
