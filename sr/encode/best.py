"""`pocketsr encode` without a scale: the best use of the bytes, proved against a plain encode.

film --sr.rate.search, on a sample--> scale, network, crf
  | the plain encode that does what is asked       work/plain-0 ...
  | the package with the network, retouched until  work/network-0 ...
  | it is where it should be; of bicubic frames
  | once more, on frames moved through it          work/network-moved-0 ...
  | both judged on the whole film                  sr.rate.judge, sr.rate.proof
  '-> the better of the two becomes the package

Each of them is an encode of its own in a folder of its own, so that all of it resumes.
"""

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

from chunking.lr import BICUBIC
from chunking.probe import VideoInfo, probe
from chunking.stream import Step
from chunking.tracks import plan_tracks
from player.package.index import index_path
from player.package.shipped import shipped_file
from player.package.signature import signing_key
from sr.encode.attempts import (
    Attempt,
    Wanted,
    Way,
    decided,
    is_bicubic,
    network_choices,
    plain_at,
    rivals,
    slope_of,
)
from sr.encode.encode import encode
from sr.encode.job import Job
from sr.encode.job_folder import open_job, publish
from sr.encode.records import LEARNED
from sr.encode.report_file import said_of_film
from sr.encode.search_options import SearchOptions, network_file
from sr.progress import Progress
from sr.rate.candidates import Given
from sr.rate.curve import Point
from sr.rate.goal import BYTES_TOLERANCE, LAST_CRF, MOST_LESS_ALONE, TOLERANCE
from sr.rate.judge import Judged, judge_package
from sr.rate.proof import compare
from sr.rate.sample import Coding, StreamShelf, take_sample
from sr.rate.search import Search
from sr.rate.trial import Training

# Encodes on the way to a goal.
MOST_ROUNDS = {"plain": 5, "hr": 5, "network": 3, "other": 3, "moved": 2}


def encode_best(
    options: SearchOptions, progress: Progress, restart: bool = False, step: Step | None = None
) -> dict[str, Any]:
    """Make the better of a network's package and the plain encode; returns report.json.

    `step` keeps the sample's encodes and trials for several searches of one film (`Job.step`).

    Raises InputError (the film), UsageError (the folder, the options), GoalError where the goal
    cannot be reached, OSError. An interruption leaves a folder with which the same command
    continues.
    """
    info = probe(options.film)
    plan_tracks(options.film, options.stream.audio)  # what is not there is said at once
    job = open_job(options, restart, progress.warn)
    signing_key()  # what cannot be signed is not begun
    report = job.report()
    for warning in (*info.warnings, *said_of_film(report or {})):
        progress.warn(warning)
    if report is None:
        report = _Best(options, info, job, progress, step or job.step).run()
    job.close(report)
    return report


@contextmanager
def sampled(
    options: SearchOptions, info: VideoInfo, progress: Progress, step: Step
) -> Iterator[StreamShelf]:
    """Encodes of a sample of the film, that `step` keeps."""
    stream = options.stream
    progress.stage("search: encodes of a sample of the film", 0)
    sample = take_sample(options.film, info, stream.frames, stream.segment_s)
    coding = Coding(stream.lr_codec, stream.segment_s, stream.codec_opts)
    with tempfile.TemporaryDirectory() as folder:
        yield StreamShelf(sample, coding, Path(folder), options.metrics, progress.at, step)


@dataclass(frozen=True)
class _Best:
    options: SearchOptions
    info: VideoInfo
    job: Job
    progress: Progress
    step: Step

    def run(self) -> dict[str, Any]:
        found = self.job.step("search", self._search)
        plain = self._plain(found)
        made, ways = plain, list[Way]()
        choices = network_choices(found, plain.choice)
        for number, choice in enumerate(choices):
            ways = self._proved(("network", "other")[number], choice, plain, found)
            network, verdict = ways[0]
            if verdict.better:
                made = network
                break
            last = number == len(choices) - 1
            follows = "this is the plain encode" if last else "the next best is tried"
            self.progress.warn(f"the network did not pay for its bytes: {follows}")
        if not choices:
            self.progress.warn("no network pays for its bytes here: this is the plain encode")
        self.job.check()
        publish(made.folder, self.job.out)
        at = plain_at(found, plain.judged.shown.made_by["scale"])
        size = made.judged.shown.bytes
        beside_crf = self._crf_of(size, plain.crf, plain.judged.shown.bytes, at)
        told = {"goal": self.options.goal.to_json(), "search": found}
        return made.report | told | decided(made, plain, ways, beside_crf)

    def _proved(
        self, name: str, choice: dict[str, Any], plain: Attempt, found: dict[str, Any]
    ) -> list[Way]:
        """The ways in which a choice was made, each with whether it is better than plain encodes of
        its bytes; the one that saves more first."""
        metric, made = self.options.goal.metric, self._made(name, choice, plain)
        points = [attempt.judged.stream for attempt in (plain, *made)]
        points += self._beside(name, made[0], found)
        ways = [(a, compare(a.judged.shown, points, metric, a.judged.segments)) for a in made]
        return sorted(ways, key=lambda w: (w[1].better, w[1].saved[metric]), reverse=True)

    def _made(self, name: str, choice: dict[str, Any], plain: Attempt) -> list[Attempt]:
        """A choice with its frames as they are, and where those are bicubic with moved ones: both,
        or of learned LR, where that was asked for, the latter alone."""
        metric, asked = self.options.goal.metric, self.options.stream.lr
        network = self._hit(name, choice, plain)
        # Of sharp frames moving gives no more: five cells of rate.json, `ways`.
        is_moved = choice["scale"] > 1 and is_bicubic(choice)
        if not is_moved or asked not in (None, LEARNED):
            return [network]
        moved = self._hit(f"{name}-moved", choice, plain, network)
        before, alone = (a.judged.stream.quality[metric] for a in (network, moved))
        # What a coarser stream shows less is no matter of moving.
        before += choice["quality_per_crf"] * (moved.crf - network.crf)
        if before - alone <= MOST_LESS_ALONE[metric]:
            return [moved] if asked == LEARNED else [network, moved]
        if asked == LEARNED:
            self.progress.warn(
                "--lr learned: its frames alone would be too far from the film for players "
                "without a network: bicubic ones are taken"
            )
        return [network]

    def _plain(self, found: dict[str, Any]) -> Attempt:
        """The plain encode of the goal. A smaller one that the sample promised is proved beside HR
        on the whole film: it may be ahead by the goal's metric alone, or by the sample alone."""
        plain = self._hit("plain", found["plain"])
        if plain.judged.shown.made_by["scale"] == 1:
            return plain
        at_hr = plain_at(found, 1)
        hr, shown = self._hit("hr", at_hr), plain.judged.shown
        # One more on the other side of the small one's bytes, for a line between the two.
        aside = 1.0 if hr.judged.shown.bytes > shown.bytes else -1.0
        crf = self._crf_of(shown.bytes, hr.crf, hr.judged.shown.bytes, at_hr) + aside
        points = [hr.judged.stream]
        if 1 <= crf <= LAST_CRF[self.options.stream.lr_codec]:
            points.append(self._attempt("hr-beside", at_hr, crf, ()).judged.stream)
        verdict = compare(shown, points, self.options.goal.metric, plain.judged.segments)
        return plain if verdict.better else hr

    def _search(self) -> dict[str, Any]:
        options, began = self.options, monotonic()
        # Tried on bicubic frames: a trial is too short to move any.
        kind = BICUBIC if options.stream.lr == LEARNED else options.stream.lr
        budget = options.budget(self.info.frame_rate)
        asked = options.training
        training = Training(asked.bounds.steps, asked.bounds.batch, asked.loss_space, asked.seed)
        given = [Given(path.name, network_file(path).read_bytes()) for path in options.given]
        with sampled(options, self.info, self.progress, self.step) as shelf:
            search = Search(
                shelf, options.goal, budget, training, self.progress, asked.threads, kind, given,
            )  # fmt: skip
            found = {**search.run().to_json(), "budget": budget.to_json()}
        return {**found, "seconds": round(monotonic() - began, 1)}

    def _hit(
        self,
        name: str,
        choice: dict[str, Any],
        plain: Attempt | None = None,
        network: Attempt | None = None,
    ) -> Attempt:
        """Make a choice, and again with a crf that is nearer, until the goal is met; the nearest.

        Where the goal is a plain encode's quality, `plain` is that encode. `network`: an attempt
        whose network frames are moved through, and which goes on from there.
        """
        wanted = self._wanted(plain)
        crf = network.crf if network else choice["crf"]
        through = self._blob_of(network) if network else None
        made: list[Attempt] = []
        for number in range(MOST_ROUNDS["moved" if network else name]):
            before = made or ([network] if network else [])
            made.append(self._attempt(f"{name}-{number}", choice, crf, before, through))
            if wanted is None or wanted.is_met(made[-1].judged.shown):
                break
            last = LAST_CRF[self.options.stream.lr_codec]
            if not (slope := slope_of(wanted, choice, made)):
                break  # what another crf would bring is not known
            off = wanted.excess(made[-1].judged.shown) / slope
            # In quarters: finer than any tolerance asks for.
            following = min(max(round(4 * (crf - off)) / 4, 1.0), last)
            if any(attempt.crf == following for attempt in made):
                break
            crf = following
        return min(made, key=lambda a: abs(wanted.excess(a.judged.shown)) if wanted else 0.0)

    def _attempt(
        self,
        name: str,
        choice: dict[str, Any],
        crf: float,
        before: Sequence[Attempt],
        through: Path | None = None,
    ) -> Attempt:
        folder = self.job.path(name)
        asked = self.options.of_choice(folder, choice, crf, through)
        if before and choice["widths"] and _is_trained(choice):
            retouched = asked.training.retouched(network_file(before[-1].folder))
            asked = replace(asked, training=retouched)
        report = encode(asked, self.progress)

        def step(part: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
            # By the index, which has the hashes of all that is compared.
            return self.job.step(f"judge-{name}-{part}", make, [folder / index_path(folder)])

        def judge() -> dict[str, Any]:
            self.progress.stage(f"{name} beside the film", report["frames"])
            options = self.options
            return judge_package(
                folder, options.film, options.proved, options.goal.worst,
                on_frame=self.progress.at, step=step,
            ).to_json()  # fmt: skip

        judged = self.job.step(f"judge-{name}", judge, [folder])
        is_moved = {"moved": True} if through else {}
        return Attempt(folder, choice | is_moved, crf, report, Judged.from_json(judged))

    def _blob_of(self, attempt: Attempt) -> Path:
        """Of its network, as it plays."""
        name = attempt.choice["shipped"]
        is_sent = name is None or attempt.choice.get("adapted")
        return network_file(attempt.folder) if is_sent else shipped_file(name)

    def _wanted(self, plain: Attempt | None) -> Wanted | None:
        """What the goal asks of a package; None for a plain encode whose crf is the goal."""
        goal = self.options.goal
        if goal.kbps is not None:
            return Wanted(None, math.log(goal.kbps), BYTES_TOLERANCE)
        if goal.like_crf is not None:
            if plain is None:
                return None
            value = plain.judged.shown.quality[goal.metric]
            return Wanted(goal.metric, value, TOLERANCE[goal.metric])
        assert goal.value is not None
        return Wanted(goal.metric, goal.value, TOLERANCE[goal.metric])

    def _beside(self, name: str, network: Attempt, found: dict[str, Any]) -> list[Point]:
        """Plain encodes at about a package's bytes."""
        shown, points = network.judged.shown, []
        for choice, offs in rivals(found, shown.bytes, shown.made_by["scale"]):
            same = self._crf_of(shown.bytes, choice["crf"], choice["expected_bytes"], choice)
            for off in offs:
                at = f"beside-{name}-{choice['scale']}-{choice.get('lr', BICUBIC)}{off:+g}"
                crf = min(max(same + off, 1.0), LAST_CRF[self.options.stream.lr_codec])
                points.append(self._attempt(at, choice, crf, ()).judged.stream)
        return points

    def _crf_of(
        self, size_bytes: int, crf: float, its_bytes: float, choice: dict[str, Any]
    ) -> float:
        """The crf of so many bytes, from another's bytes; in quarters."""
        slope = choice["ln_bytes_per_crf"]
        off = math.log(size_bytes / its_bytes) / slope if slope else 0.0
        last = LAST_CRF[self.options.stream.lr_codec]
        return min(max(round(4 * (crf + off)) / 4, 1.0), last)


def _is_trained(choice: dict[str, Any]) -> bool:
    """Whether a choice's network is trained for its stream, or adapted to it."""
    is_ready = choice["shipped"] is not None or choice.get("given")
    return bool(not is_ready or choice.get("adapted"))
