"""`pocketsr encode` without a scale: the best use of the bytes, proved against a plain encode.

film --sr.rate.search, on a sample--> scale, network, crf
  | the plain encode that does what is asked       work/hr-0, work/plain-...
  | the package with the network, retouched until  work/network-0 ...
  | it is where it should be; of bicubic frames
  | once more, on frames moved through it          work/network-moved-0 ...
  | both judged on the whole film, beside others   sr.rate.judge, sr.rate.proof, work/beside-...
  '-> the better of the two becomes the package
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Any

from chunking.lr import BICUBIC, check_scale
from chunking.opening import Source
from chunking.probe import VideoInfo, probe
from chunking.stream import Step
from chunking.tracks import plan_tracks
from sr.encode.attempts import (
    Attempt,
    Way,
    decided,
    is_bicubic,
    network_choices,
    plain_at,
    rivals,
)
from sr.encode.job import Job
from sr.encode.job_folder import publish, run_job
from sr.encode.records import LEARNED
from sr.encode.rounds import Rounds
from sr.encode.search_options import SearchOptions, network_file
from sr.progress import Progress
from sr.rate.candidates import Given
from sr.rate.goal import MOST_LESS_ALONE
from sr.rate.proof import MOST_BEHIND, compare
from sr.rate.rungs import HR
from sr.rate.sample import Coding, StreamShelf, take_sample
from sr.rate.search import Search
from sr.rate.trial import Training

# Encodes on the way to a goal.
MOST_ROUNDS = {"goal": 1, "plain": 5, "network": 3, "moved": 2}


def searchable(film: Source) -> VideoInfo:
    """What a film is. Raises InputError as well where no stream of its size can be made: all is
    told against a plain encode of HR."""
    info = probe(film)
    check_scale(info.height, info.width, HR.scale)
    return info


def encode_best(
    options: SearchOptions, progress: Progress, restart: bool = False, step: Step | None = None
) -> dict[str, Any]:
    """Make the better of a network's package and the plain encode; returns report.json.

    `step` keeps the sample's encodes and trials for several searches of one film (`Job.step`).

    Raises InputError (the film), UsageError (the folder, the options), GoalError where the goal
    cannot be reached, OSError. An interruption leaves a folder with which the same command
    continues.
    """
    info = searchable(options.film)
    plan_tracks(options.film, options.stream.audio)  # what is not there is said at once

    def make(job: Job) -> dict[str, Any]:
        return _Best(options, info, job, progress, step or job.step).run()

    return run_job(options, restart, progress.warn, make, info.warnings)


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
        proof = _Proof(self.options, found, Rounds(self.options, self.job, self.progress))
        plain = proof.plain()
        made, ways = plain, list[Way]()
        choices = network_choices(found, plain.choice)
        for number, choice in enumerate(choices):
            ways = proof.ways(("network", "other")[number], choice)
            network, verdict = ways[0]
            if verdict.better:
                made = network
                break
            last = number == len(choices) - 1
            follows = "this is the plain encode" if last else "the next best is tried"
            self.progress.warn(f"the network did not pay for its bytes: {follows}")
        if not choices:
            self.progress.warn("no network pays for its bytes here: this is the plain encode")
        if made is plain:
            made = plain = proof.least_behind(plain)
        if missed := proof.rounds.missed(made):
            self.progress.warn(missed)
        self.job.check()
        publish(made.folder, self.job.out)
        at = plain_at(found, plain.judged.shown.made_by["scale"])
        size = made.judged.shown.bytes
        beside_crf = proof.rounds.crf_of(size, plain.crf, plain.judged.shown.bytes, at)
        told = {"goal": self.options.goal.to_json(), "search": found}
        return made.report | told | decided(made, plain, ways, beside_crf)

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


@dataclass(frozen=True)
class _Proof:
    """What a search found, made and held against plain encodes of its bytes on the whole film."""

    options: SearchOptions
    found: dict[str, Any]
    rounds: Rounds

    @cached_property
    def goal(self) -> Attempt | None:
        """Where the goal is a plain encode's quality, that encode."""
        at_hr = plain_at(self.found, 1)
        asked = self.options.goal.like_crf is not None
        return self.rounds.hit("hr", at_hr, MOST_ROUNDS["goal"]) if asked else None

    def plain(self) -> Attempt:
        """The plain encode that does what is asked for, as the sample promised most of it. One of a
        smaller size is proved beside others: it may be ahead on the sample alone."""
        plain = self._plain_of(self.found["plain"])
        return plain if plain.choice["scale"] == 1 else self.least_behind(plain)

    def _plain_of(self, choice: dict[str, Any]) -> Attempt:
        goal, name = self.goal, f"plain-{choice['scale']}-{choice.get('lr', BICUBIC)}"
        if goal and choice["scale"] == 1:
            return goal
        return self.rounds.hit(name, choice, MOST_ROUNDS["plain"], goal)

    def least_behind(self, plain: Attempt) -> Attempt:
        """A plain encode; unless others show more for its bytes by some metric: then of those of
        these sizes and its own that meet the goal the one that is least behind by any."""
        scale, size = plain.choice["scale"], plain.judged.shown.bytes
        others = [r for r in rivals(self.found, size, scale) if r[0]["scale"] != scale]
        self.rounds.beside(size, others)
        if self._worst(plain) >= -MOST_BEHIND:
            return plain
        made = [plain, *(self._plain_of(choice) for choice, _ in others)]
        made = [a for a in made if self.rounds.meets(a, self.goal)] or [plain]
        return max(made, key=self._worst)

    def _worst(self, plain: Attempt) -> float:
        """What a plain encode saves beside all others by the metric by which it saves least."""
        points, judged = self.rounds.points, plain.judged
        return compare(judged.stream, points, self.options.goal.metric, judged.segments).worst

    def ways(self, name: str, choice: dict[str, Any]) -> list[Way]:
        """The ways in which a choice was made, each with whether it is better than plain encodes of
        its bytes; the one that saves more first."""
        metric, made = self.options.goal.metric, self._made(name, choice)
        shown = made[0].judged.shown
        self.rounds.beside(shown.bytes, rivals(self.found, shown.bytes, choice["scale"]))
        points = [*(attempt.judged.stream for attempt in made), *self.rounds.points]
        ways = [(a, compare(a.judged.shown, points, metric, a.judged.segments)) for a in made]
        return sorted(ways, key=lambda w: (w[1].better, w[1].saved[metric]), reverse=True)

    def _made(self, name: str, choice: dict[str, Any]) -> list[Attempt]:
        """A choice with its frames as they are, and where those are bicubic with moved ones: both,
        or of learned LR, where that was asked for, the latter alone."""
        metric, asked = self.options.goal.metric, self.options.stream.lr
        network = self.rounds.hit(name, choice, MOST_ROUNDS["network"], self.goal)
        # Of sharp frames moving gives no more: five cells of rate.json, `ways`.
        is_moved = choice["scale"] > 1 and is_bicubic(choice)
        if not is_moved or asked not in (None, LEARNED):
            return [network]
        most = MOST_ROUNDS["moved"]
        moved = self.rounds.hit(f"{name}-moved", choice, most, self.goal, network)
        before, alone = (a.judged.stream.quality[metric] for a in (network, moved))
        # What a coarser stream shows less is no matter of moving.
        before += choice["quality_per_crf"] * (moved.crf - network.crf)
        if before - alone <= MOST_LESS_ALONE[metric]:
            return [moved] if asked == LEARNED else [network, moved]
        if asked == LEARNED:
            self.rounds.progress.warn(
                "--lr learned: its frames alone would be too far from the film for players "
                "without a network: bicubic ones are taken"
            )
        return [network]
