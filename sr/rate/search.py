"""Which scale, network and crf give the most for the bytes: decided on a sample of the film.

plain encodes at HR around the goal ---> operating point: so many bytes, so much quality
each rung: encodes, the anchor's curve --+
its networks: a short trial, the rest    +-> bytes of that quality --> worth against plain
of the training, bytes of the weights  --+
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import chain

from chunking.lr import BICUBIC, SHARP
from player.package.scale import Scale
from sr.progress import Progress
from sr.rate.budget import Budget
from sr.rate.candidates import (
    Candidate,
    Given,
    candidates,
    given_candidates,
    shipped_candidates,
)
from sr.rate.choice import LEAST_WORTH, Choice, Found, best_of
from sr.rate.curve import Point, hull
from sr.rate.goal import Goal
from sr.rate.hopes import ADAPTED, Hopes, Kind
from sr.rate.operating import operating_point
from sr.rate.promises import Promises
from sr.rate.rungs import HR, Rung, rungs
from sr.rate.sample import CRF_APART, StreamShelf
from sr.rate.trial import Training, Trial, run_trial, size_factor, try_adapted, try_ready

MOST_TRIALS, MOST_ADAPTED, MOST_AGAIN = 4, 2, 2  # by scale and units; by rung; of the best
MOST_SETTLED = 3  # encodes for the plain choice alone
MOST_SHARP = 2  # scales at which the film is made smaller in both ways
_FAR = 2.0  # crf from a trial, which then says little
_CRF_LOWER: Mapping[Scale, float] = {1: 0.0, 2: 5.0, 3: 8.0, 4: 10.0}  # than plain's; 1.5: 3
_NEAR = 1.0  # of the metric: what a smaller stream may be off, as a line carries that far

_Trials = dict[tuple[Rung, Kind], list[Trial]]


@dataclass(frozen=True)
class Search:
    """What a search works with. `training`: what the chosen network will get. `workers`: how many
    streams are encoded side by side. `lr`: the kind of downscaling; None: whichever is better.
    `given`: networks of the film that are there already."""

    shelf: StreamShelf
    goal: Goal
    budget: Budget
    training: Training
    progress: Progress
    workers: int = 1
    lr: str | None = None
    given: Sequence[Given] = ()

    def run(self) -> Found:
        """Look at all rungs, and try the most promising."""
        goal, (rung, crf) = self.goal, operating_point(self.shelf, self.goal)
        here = self.shelf.point(rung, crf)
        self.shelf.point(rung, self._apart(crf))
        at_hr = hull(self.shelf.points(), goal.metric)
        climbed = self._climb(rungs(self.lr or BICUBIC), crf, here)
        judge = Promises(self.shelf, goal, self.budget, here, at_hr)
        if self.lr is None:
            # Another kind of the same scale moves less than another scale does.
            hopes = sorted(self._hopes(judge, climbed, self._hoped()), key=lambda c: -c.worth)
            scales = list(dict.fromkeys(hope.rung.scale for hope in hopes))[:MOST_SHARP]
            climbed += self._climb((Rung(s, SHARP) for s in scales if s > 1), crf, here)
        without = self._without(judge, climbed)
        plain = judge.luckiest(max(without, key=lambda c: c.worth))
        without = [plain if choice.rung == plain.rung else choice for choice in without]
        ready = list(self._try_ready(judge, climbed))
        trials = self._try_adapted(judge, ready, plain)
        self._try_best(judge, climbed, plain, ready, trials)
        for more in reversed(range(MOST_AGAIN + 1)):
            promised = self._promised(judge, trials, ready)
            considered = tuple(sorted([*without, *promised], key=lambda c: -c.worth))
            least = LEAST_WORTH * plain.worth
            worth_it = [c for c in considered if c.candidate and c.worth >= least]
            best = best_of(worth_it) if worth_it else plain
            if not (more and self._try_again(trials, best)):
                break
        tried = (*chain.from_iterable(trials.values()), *ready)
        return Found(best, plain, considered, tuple(self.shelf.points()), tried)

    def _without(self, judge: Promises, climbed: list[Rung]) -> list[Choice]:
        """Each rung without a network. The one of most worth is encoded where it meets the goal,
        until the best is one that was: a line between encodes far apart does not hold there."""
        for _ in range(MOST_SETTLED):
            best = max((judge.choice(rung, None, 0.0) for rung in climbed), key=lambda c: c.worth)
            crf = self.shelf.bounded(best.crf)
            if any(point.made_by["crf"] == crf for point in self.shelf.points(best.rung)):
                break
            self.shelf.point(best.rung, crf)
        return [judge.choice(rung, None, 0.0) for rung in climbed]

    def _promised(
        self, judge: Promises, trials: _Trials, ready: Sequence[Trial]
    ) -> Iterator[Choice]:
        """What each network would be worth, by the trial of its kind."""
        for trial in ready:
            yield judge.choice(trial.rung, trial.candidate, trial.gain)
        steps = self.training.steps
        for (rung, _), held in trials.items():
            last = held[-1]
            units, known = last.candidate.arch.units, self._candidates(rung)
            kind = [c for c in known if c.arch.units == units]
            for candidate in [last.weighed(steps)] if last.candidate.adapted else kind:
                gains = {trial.crf: trial.expected(candidate, steps) for trial in held}
                yield judge.settled(rung, candidate, gains)

    def _try_again(self, trials: _Trials, best: Choice) -> bool:
        """A trial where the choice lies, if those of its kind were held far from there: the coarser
        a small stream, the less a network gains. False where none is needed."""
        candidate, crf = best.candidate, self.shelf.bounded(best.crf)
        if candidate is None or candidate.ready_blob or best.rung == HR:
            return False
        key = best.rung, _kind(candidate)
        if min(abs(trial.crf - crf) for trial in trials[key]) <= _FAR:
            return False
        self.shelf.point(best.rung, crf)  # a corner more of its curve, too
        self.progress.stage(f"search: trial at {best.rung.name}", self.training.trial_steps)
        trials[key].append(self._trial(best.rung, candidate, crf))
        return True

    def value(self, point: Point) -> float:
        """What the goal measures."""
        return point.quality[self.goal.metric]

    def _hoped(self, ready: Sequence[Trial] = (), trials: _Trials | None = None) -> Hopes:
        gains = {t.rung.scale: t.gain for t in sorted(ready, key=lambda t: t.gain)}
        held = {key: several[-1] for key, several in (trials or {}).items()}
        return Hopes(self.goal.metric, self.training.steps, gains, held)

    def _can_reach(self, rung: Rung, here: Point) -> bool:
        """Whether so few pixels can hold the quality at all, with the best of networks."""
        if rung == HR:
            return True
        ceiling = self.shelf.ceiling(rung)[self.goal.metric]
        return ceiling + self._hoped().of_rung(rung) / 2 > self.value(here)

    def _climb(self, asked: Iterable[Rung], crf: float, here: Point) -> list[Rung]:
        """Encode on those that can reach the goal at all, side by side."""
        climbed = [rung for rung in asked if self._can_reach(rung, here)]
        with ThreadPoolExecutor(self.workers) as pool:
            # No rung asks for another's encodes, so that their order changes nothing.
            list(pool.map(lambda rung: self._approach(rung, crf, here), climbed))
        return climbed

    def _approach(self, rung: Rung, crf: float, here: Point) -> None:
        """Encode at crfs around the one that a network would bring to the goal's quality."""
        wanted = self.value(here) - self._hoped().of_rung(rung) / 2
        start = self.shelf.bounded(crf - _CRF_LOWER.get(rung.scale, 3.0))
        found = self.shelf.crf_for(rung, start, lambda p: self.value(p) - wanted, _NEAR)
        if len(self.shelf.points(rung)) < 2:
            self.shelf.point(rung, self._apart(found))

    def _apart(self, crf: float) -> float:
        """Another crf, for a slope; before the codec's last one, not beyond."""
        above = self.shelf.bounded(crf + CRF_APART)
        return above if above > crf else self.shelf.bounded(crf - CRF_APART)

    def _candidates(self, rung: Rung) -> Iterator[Candidate]:
        info = self.shelf.sample.info
        return candidates(rung.scale, info.height, info.width, self.budget)

    def _hopes(self, judge: Promises, climbed: list[Rung], hoped: Hopes) -> Iterator[Choice]:
        """What the networks of each rung would be worth, were they as good as they may be."""
        for rung in climbed:
            known = list(self._candidates(rung))
            for candidate in known:
                most = hoped.most(rung, candidate.arch.units, known[-1])
                yield judge.choice(rung, candidate, most * size_factor(candidate, known[-1]))

    def _try_best(
        self, judge: Promises, climbed: list[Rung], plain: Choice, ready: Sequence[Trial],
        trials: _Trials,
    ) -> None:  # fmt: skip
        """A trial of one network of each kind, on the rung that may promise most first, until none
        that is left may be worth more than what is known by then. Into `trials`."""
        while hopes := list(self._open_hopes(judge, climbed, plain, ready, trials)):
            hopes.sort(key=lambda c: -c.worth)
            rung = hopes[0].rung
            there = [h.candidate for h in hopes if h.rung == rung and h.candidate]
            # The smallest units first, for they bound what larger ones may gain.
            candidate = min(there, key=lambda c: c.arch.units)
            self.progress.stage(f"search: trial at {rung.name}", self.training.trial_steps)
            trial = self._trial(rung, candidate, self._likely_crf(rung, candidate, judge))
            trials[rung, _kind(candidate)] = [trial]

    def _open_hopes(
        self, judge: Promises, climbed: list[Rung], plain: Choice, ready: Sequence[Trial],
        trials: _Trials,
    ) -> Iterator[Choice]:  # fmt: skip
        """Those that may be worth more than all that is known, of kinds that were not tried."""
        known = [c.worth for c in self._promised(judge, trials, ready)]
        least = LEAST_WORTH * max(plain.worth, *known, 0.0)
        tried = {(rung.scale, kind) for rung, kind in trials if kind != ADAPTED}
        for hope in self._hopes(judge, climbed, self._hoped(ready, trials)):
            assert hope.candidate is not None
            key = hope.rung, _kind(hope.candidate)
            # A sharp stream takes no trial from another scale.
            is_full = len(tried) >= MOST_TRIALS and (key[0].scale, key[1]) not in tried
            if hope.worth >= least and key not in trials and not is_full:
                yield hope

    def _try_ready(self, judge: Promises, climbed: list[Rung]) -> Iterator[Trial]:
        """All networks that lie with the player, or are there already, and gain something, by what
        they do as they are."""
        info, codec = self.shelf.sample.info, self.shelf.coding.codec
        for rung in climbed:
            size = info.height, info.width, self.budget
            of_player = shipped_candidates(rung, codec, *size)
            for candidate in chain(of_player, given_candidates(rung.scale, *size, self.given)):
                trial = self._trial(rung, candidate, self._likely_crf(rung, candidate, judge))
                if trial.gain > 0:
                    yield trial

    def _try_adapted(self, judge: Promises, ready: Sequence[Trial], plain: Choice) -> _Trials:
        """Of each rung the network that gains most as it ships, adapted to the film: a trial of
        those that promise most."""
        best = {t.rung: t for t in sorted(ready, key=lambda t: t.gain) if t.candidate.shipped}
        hopes = []
        for rung, trial in best.items():
            candidate = replace(trial.candidate, adapted=True)
            hopes.append(judge.choice(rung, candidate, self._hoped().adapted(trial)))
        trials: _Trials = {}
        for hope in sorted(hopes, key=lambda c: -c.worth)[:MOST_ADAPTED]:
            if hope.candidate and hope.worth >= LEAST_WORTH * plain.worth:
                said = f"search: {hope.candidate.shipped} adapted"
                self.progress.stage(said, self.training.trial_steps)
                crf = self._likely_crf(hope.rung, hope.candidate, judge)
                trial = self._trial(hope.rung, hope.candidate, crf)
                trials[hope.rung, _kind(hope.candidate)] = [trial]
        return trials

    def _likely_crf(self, rung: Rung, candidate: Candidate, judge: Promises) -> float:
        """Of the streams that were made the one nearest to the crf of a likely gain, for all
        networks of a rung alike: the finer a stream, the more they gain."""
        likely = judge.choice(rung, candidate, self._hoped().likely(rung))
        crfs = [float(p.made_by["crf"]) for p in self.shelf.points(rung)]
        return min(crfs, key=lambda c: abs(c - likely.crf))

    def _trial(self, rung: Rung, candidate: Candidate, crf: float) -> Trial:
        """A trial on a rung's stream. A step, that may be made."""
        metric = self.goal.metric

        def make() -> list[float]:
            stream = self.shelf.stream(rung, crf)
            if candidate.ready_blob:
                trial = try_ready(candidate, stream, metric)
            else:
                run = try_adapted if candidate.adapted else run_trial
                trial = run(candidate, stream, metric, self.training, self.progress.at)
            return [trial.crf, trial.steps, trial.gain, trial.before, trial.share]

        arch = candidate.arch
        name = candidate.shipped or f"u{arch.units}-{'-'.join(map(str, arch.widths))}"
        name += f"-{sha256(candidate.given.blob).hexdigest()[:16]}" if candidate.given else ""
        name += "-adapted" if candidate.adapted else ""
        step = f"trial-{rung.name}-crf{crf:g}-{name}"
        return Trial(candidate, rung, *self.shelf.step(step, make))


def _kind(candidate: Candidate) -> Kind:
    return ADAPTED if candidate.adapted else candidate.arch.units
