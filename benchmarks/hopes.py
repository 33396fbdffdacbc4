"""What searches found, beside what was hoped for before: `python -m benchmarks.hopes`.

A network is tried only where it may win (sr/rate/hopes.py). Are the bounds true, and what do they
spare? Each `report.json` of a search under --reports says what its encodes and trials gave. The
bounds are laid over them again, in the order of the trials: which of those were needless, whether
one of these was the best in the end, and how near to its bound each gain came.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, cast

from benchmarks.harness import argument_parser, write_json
from benchmarks.rating.clips import read_shots
from player.package.paths import HARD
from player.package.scale import Scale, parse_scale
from player.package.shipped import shipped_blob
from player.package.weights import read_header
from sr.rate.budget import Budget, Device, path_price
from sr.rate.candidates import Candidate, candidates
from sr.rate.choice import LEAST_WORTH
from sr.rate.curve import Point, hull
from sr.rate.goal import Goal
from sr.rate.hopes import Hopes, Kind
from sr.rate.promises import Promises
from sr.rate.rungs import HR, Rung
from sr.rate.sample import StreamShelf
from sr.rate.trial import SHARE_OF_STEPS, Trial, size_factor


def rung_of(record: Mapping[str, Any]) -> Rung:
    return Rung(parse_scale(record["scale"]), record["lr"])


@dataclass(frozen=True)
class Recorded:
    """A search that was made, from its report; `hr_px`: of a frame."""

    search: Mapping[str, Any]
    goal: Goal
    codec: str

    @property
    def budget(self) -> Budget:
        """The one that its networks were held to."""
        macs = self.search["best"]["most_macs"]
        return Budget(Device("recorded", "", 1.0), macs / 1e6) if macs else Budget(None, 0.0)

    @property
    def hr_px(self) -> int:
        """Of a frame: from the price of its dearest network."""
        tried = max(self.search["considered"], key=lambda c: float(c["gmacs_a_frame"]))
        arch = next(
            c.arch
            for c in candidates(parse_scale(tried["scale"]), 1, 1, Budget(None, 0.0))
            if list(c.arch.widths) == tried["widths"] and c.arch.units == tried["units"]
        )
        return round(tried["gmacs_a_frame"] * 1e9 / path_price(arch, HARD) * arch.scale**2)

    def points(self) -> Iterator[tuple[Rung, Point]]:
        """Its encodes of the sample."""
        for p in self.search["points"]:
            quality = {n: v for n, v in p.items() if n.startswith(("psnr", "vmaf", "xpsnr"))}
            yield rung_of(p), Point(p["bytes"], quality, {"crf": p["crf"]})

    def trials(self) -> Iterator[Trial]:
        """As they were held; those of networks that ship first."""
        for t in sorted(self.search["trials"], key=lambda t: (not t["shipped"], t["adapted"])):
            known = self.candidates(rung_of(t))
            if t["shipped"]:
                arch = read_header(shipped_blob(t["shipped"])).arch
                price = self.hr_px / arch.scale**2 * path_price(arch, HARD)
                candidate = Candidate(arch, float(price), t["shipped"], t["adapted"])
            else:
                shape = t["units"], tuple(t["widths"])
                candidate = next(c for c in known if (c.arch.units, c.arch.widths) == shape)
            yield Trial(candidate, rung_of(t), t["crf"], t["steps"], t["gain"])

    def candidates(self, rung: Rung) -> list[Candidate]:
        return list(candidates(rung.scale, 1, self.hr_px, self.budget))

    def judge(self) -> Promises:
        """What the search made of gains."""
        known = list(self.points())
        at_hr = hull((p for _, p in known), self.goal.metric)
        here = next(p for r, p in known if r == HR and p.made_by["crf"] == self.goal.like_crf)
        shelf = SimpleNamespace(
            points=lambda rung: sorted(
                (p for r, p in known if r == rung), key=lambda p: float(p.made_by["crf"])
            ),
            coding=SimpleNamespace(codec=self.codec),
        )
        return Promises(cast(StreamShelf, shelf), self.goal, self.budget, here, at_hr)


class Replay:
    """The bounds, laid over a recorded search again."""

    def __init__(self, recorded: Recorded) -> None:
        self.recorded, self.judge = recorded, recorded.judge()
        self.shipped: dict[Scale, float] = {}
        self.held: dict[tuple[Rung, Kind], Trial] = {}
        rungs = {rung for rung, _ in recorded.points()}
        self.known = max(self.judge.choice(rung, None, 0.0).worth for rung in rungs)

    def run(self) -> Iterator[dict[str, Any]]:
        """Of each network that was trained, in the order of its hopes."""
        trained = []
        for trial in self.recorded.trials():
            if not trial.candidate.shipped:
                trained.append(trial)
                continue
            worth = self.judge.choice(trial.rung, trial.candidate, trial.gain).worth
            self.known = max(self.known, worth)
            if not trial.candidate.adapted:
                before = self.shipped.get(trial.rung.scale, 0.0)
                self.shipped[trial.rung.scale] = max(trial.gain, before)
        while trained:
            rung = max(trained, key=self.hope).rung
            trial = min(
                (t for t in trained if t.rung == rung), key=lambda t: t.candidate.arch.units
            )
            trained.remove(trial)
            yield self.beside(trial)

    def bound(self, trial: Trial) -> tuple[float, Candidate]:
        """Of the gain of the largest network of a trial's rung; and that network."""
        hopes = Hopes(self.recorded.goal.metric, steps_of(trial), self.shipped, self.held)
        largest = self.recorded.candidates(trial.rung)[-1]
        return hopes.most(trial.rung, trial.candidate.arch.units, largest), largest

    def kind(self, trial: Trial) -> list[Candidate]:
        """The networks that it speaks for."""
        units = trial.candidate.arch.units
        return [c for c in self.recorded.candidates(trial.rung) if c.arch.units == units]

    def hope(self, trial: Trial) -> float:
        """The most that one of its kind may be worth."""
        most, largest = self.bound(trial)
        gains = ((c, most * size_factor(c, largest)) for c in self.kind(trial))
        return max(self.judge.choice(trial.rung, c, gain).worth for c, gain in gains)

    def beside(self, trial: Trial) -> dict[str, Any]:
        """What was found beside what was hoped for."""
        (most, largest), hoped, steps = self.bound(trial), self.hope(trial), steps_of(trial)
        rung, candidate, best = trial.rung, trial.candidate, self.recorded.search["best"]
        gains = ((c, trial.expected(c, steps)) for c in self.kind(trial))
        found = max(self.judge.choice(rung, c, gain).worth for c, gain in gains)
        is_tried = hoped >= LEAST_WORTH * self.known
        if is_tried:
            self.held[rung, candidate.arch.units] = trial
            self.known = max(self.known, found)
        own_best = bool(best["widths"]) and not best["shipped"] and rung_of(best) == rung
        most *= size_factor(candidate, largest)
        gain = trial.expected(candidate, steps)
        return {
            **rung.to_json(),
            "units": candidate.arch.units,
            "of_bound": round(gain / most, 3) if gain else 0.0,
            "hoped_worth": round(hoped, 3),
            "worth": round(found, 3),
            "tried": is_tried,
            "best": own_best and best["units"] == candidate.arch.units,
        }


def steps_of(trial: Trial) -> int:
    """The steps of the training that a trial was short for."""
    return round(trial.steps / SHARE_OF_STEPS)


def recorded_searches(folder: Path) -> Iterator[tuple[str, Recorded]]:
    """Of cells' packages under a folder, whose goal was the quality of a plain encode."""
    for file in sorted(folder.rglob("report.json")):
        report = json.loads(file.read_text(encoding="utf-8"))
        if "search" not in report or report["goal"]["goal_like_crf"] is None:
            continue
        goal = Goal(report["goal"]["goal_metric"], like_crf=report["goal"]["goal_like_crf"])
        coding = file.parent.name.rsplit("_", 3)[1]  # a cell's name: bbb-0_h264-psnr_cpu_33
        yield file.parent.name, Recorded(report["search"], goal, coding.partition("-")[0])


def counted(part: str, searches: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """A row of the table: all trials of one part of the clips."""
    trials = [trial for several in searches.values() for trial in several]
    left_out = [trial for trial in trials if not trial["tried"]]
    shares = [trial["of_bound"] for trial in trials]
    return {
        "part": part,
        "searches": len(searches),
        "trials": len(trials),
        "left_out": len(left_out),
        "best_left_out": sum(trial["best"] for trial in left_out),
        "of_bound_median": median(shares),
        "of_bound_most": max(shares),
        "beyond_bound": sum(share > 1 for share in shares),
    }


def main() -> None:
    parser = argument_parser("hopes", __doc__.splitlines()[0])
    parser.add_argument("--reports", type=Path, default=Path("build/rate"))
    options = parser.parse_args()
    parts = {shot.name: shot.part for shot in read_shots()}
    rows, searches = [], dict[str, Any]()
    for part in dict.fromkeys(parts.values()):
        of_part = {
            name: list(Replay(recorded).run())
            for name, recorded in recorded_searches(options.reports)
            if parts[name.rsplit("_", 3)[0]] == part
        }
        if of_part:
            rows.append(counted(part, of_part))
            searches |= of_part
    write_json(options.json, {"schema": "pocketsr.hopes/1", "rows": rows, "searches": searches})
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
