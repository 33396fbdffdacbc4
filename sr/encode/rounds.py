"""Encodes on the way to a goal: each in a folder of its own, so that all of it resumes.

choice, crf ──encode──► work/NAME-0 ──judged beside the film──► met? ──► another crf, NAME-1 ...
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from chunking.lr import BICUBIC
from player.package.index import index_path
from player.package.shipped import shipped_file
from sr.encode.attempts import Attempt, Wanted, slope_of
from sr.encode.encode import encode
from sr.encode.job import Job
from sr.encode.search_options import SearchOptions, network_file
from sr.progress import Progress
from sr.rate.curve import Point
from sr.rate.goal import BYTES_TOLERANCE, FAR, LAST_CRF, TOLERANCE, GoalError
from sr.rate.judge import Judged, judge_package

_NEAR_CRF = 0.5  # of a plain encode that there is already


@dataclass(frozen=True)
class Rounds:
    """Makes the attempts of one search. `plain`: every plain encode of them."""

    options: SearchOptions
    job: Job
    progress: Progress
    plain: list[Attempt] = field(default_factory=list)

    @property
    def points(self) -> list[Point]:
        """What the plain encodes came to."""
        return [attempt.judged.stream for attempt in self.plain]

    def hit(
        self,
        name: str,
        choice: dict[str, Any],
        most: int,
        goal: Attempt | None = None,
        network: Attempt | None = None,
    ) -> Attempt:
        """Make a choice, and again with a crf that is nearer, until the goal is met, in at most so
        many encodes; the nearest.

        Where the goal is a plain encode's quality, `goal` is that encode. `network`: an attempt
        whose network frames are moved through, and which goes on from there.
        """
        wanted = self._wanted(goal)
        crf = network.crf if network else choice["crf"]
        through = _blob_of(network) if network else None
        made: list[Attempt] = []
        for number in range(most):
            before = made or ([network] if network else [])
            made.append(self.attempt(f"{name}-{number}", choice, crf, before, through))
            if wanted is None or wanted.is_met(made[-1].judged.shown):
                break
            if not (slope := slope_of(wanted, choice, made)):
                break  # what another crf would bring is not known
            crf = self._bounded(crf - wanted.excess(made[-1].judged.shown) / slope)
            if any(attempt.crf == crf for attempt in made):
                break
        return min(made, key=lambda a: abs(wanted.excess(a.judged.shown)) if wanted else 0.0)

    def attempt(
        self,
        name: str,
        choice: dict[str, Any],
        crf: float,
        before: Sequence[Attempt] = (),
        through: Path | None = None,
    ) -> Attempt:
        """Make a choice at a crf, and judge it; its network goes on from that `before`."""
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
            what = "package" if choice["widths"] else "plain encode"
            said = f"{what} of scale {choice['scale']} beside the film"
            self.progress.stage(said, report["frames"])
            options = self.options
            return judge_package(
                folder, options.film, options.proved, options.goal.worst,
                on_frame=self.progress.at, step=step,
            ).to_json()  # fmt: skip

        judged = self.job.step(f"judge-{name}", judge, [folder])
        is_moved = {"moved": True} if through else {}
        made = Attempt(folder, choice | is_moved, crf, report, Judged.from_json(judged))
        if not choice["widths"]:
            self.plain.append(made)
        return made

    def beside(
        self, size_bytes: int, rivals: Sequence[tuple[dict[str, Any], tuple[float, ...]]]
    ) -> None:
        """Make plain encodes of about so many bytes, each at some crfs from there, unless one as
        near is there already."""
        for choice, offs in rivals:
            same = self.crf_of(size_bytes, choice["crf"], choice["expected_bytes"], choice)
            rung = choice["scale"], choice.get("lr", BICUBIC)
            for off in offs:
                crf = self._bounded(same + off)
                if all(abs(crf - known) > _NEAR_CRF for known in self._crfs_of(rung)):
                    self.attempt(f"beside-{rung[0]}-{rung[1]}-crf{crf:g}", choice, crf)

    def _crfs_of(self, rung: tuple[Any, str]) -> Iterator[float]:
        """Of plain encodes of a scale and a kind of LR."""
        for attempt in self.plain:
            if (attempt.choice["scale"], attempt.choice.get("lr", BICUBIC)) == rung:
                yield attempt.crf

    def crf_of(
        self, size_bytes: int, crf: float, its_bytes: float, choice: dict[str, Any]
    ) -> float:
        """The crf of so many bytes, from another's bytes; in quarters."""
        slope = choice["ln_bytes_per_crf"]
        return self._bounded(crf + (math.log(size_bytes / its_bytes) / slope if slope else 0.0))

    def _bounded(self, crf: float) -> float:
        """A crf that the codec has; in quarters: finer than any tolerance asks for."""
        return min(max(round(4 * crf) / 4, 1.0), LAST_CRF[self.options.stream.lr_codec])

    def meets(self, attempt: Attempt, goal: Attempt | None) -> bool:
        """Whether an attempt does what is asked for."""
        wanted = self._wanted(goal)
        return wanted is None or wanted.is_met(attempt.judged.shown)

    def missed(self, attempt: Attempt) -> str | None:
        """That a target was missed, where it was. Raises GoalError where it was by far: what a
        sample promised, the film may not give."""
        asked = self.options.goal
        if asked.like_crf is not None or self.meets(attempt, None):
            return None
        wanted, shown = self._wanted(None), attempt.judged.shown
        assert wanted is not None
        of = "kbps" if wanted.metric is None else wanted.metric
        value = asked.kbps if wanted.metric is None else asked.value
        got = shown.made_by["kbps"] if wanted.metric is None else shown.quality[wanted.metric]
        said = f"the target of {value:g} {of} is missed: the nearest is {got:.2f}"
        if abs(wanted.excess(shown)) > FAR * wanted.tolerance:
            raise GoalError(f"{said}, at crf {attempt.crf:g}")
        return said

    def _wanted(self, goal: Attempt | None) -> Wanted | None:
        """What the goal asks of a package; None for the plain encode that is the goal."""
        asked = self.options.goal
        if asked.kbps is not None:
            return Wanted(None, math.log(asked.kbps), BYTES_TOLERANCE)
        if asked.value is not None:
            return Wanted(asked.metric, asked.value, TOLERANCE[asked.metric])
        if goal is None:
            return None
        value = goal.judged.shown.quality[asked.metric]
        return Wanted(asked.metric, value, TOLERANCE[asked.metric])


def _blob_of(attempt: Attempt) -> Path:
    """Of its network, as it plays."""
    name = attempt.choice["shipped"]
    is_sent = name is None or attempt.choice.get("adapted")
    return network_file(attempt.folder) if is_sent else shipped_file(name)


def _is_trained(choice: dict[str, Any]) -> bool:
    """Whether a choice's network is trained for its stream, or adapted to it."""
    is_ready = choice["shipped"] is not None or choice.get("given")
    return bool(not is_ready or choice.get("adapted"))
