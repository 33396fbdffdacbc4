"""Which network and path each patch of a frame takes: the route map, or what replaces it."""

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from player.events import Event, Listener
from player.package.errors import PackageError
from player.package.index import RoutesEntry
from player.package.routes import patches_of, route_code, unpack_routes
from player.package.weights import HARD
from player.session import Package, read_entry

Codes = NDArray[np.uint8]
ALL_HARD = route_code(0, HARD)


@dataclass(frozen=True)
class FramePlan:
    """A frame's route: `codes` [rows, columns] of its cells, and the `patches` [n, 6] of them."""

    codes: Codes
    patches: NDArray[np.int32]


class RouteBook:
    """The plans of a film's frames, asked for in order of time; holds one segment's map."""

    def __init__(self, package: Package, on_event: Listener) -> None:
        if package.index is None:
            raise ValueError("a package without an index has no routes")
        self._package, self._index, self._on_event = package, package.index, on_event
        self._starts = [s.start for s in self._index.segments]
        self._entries = {r.segment: r for r in self._index.routes}
        self._seen: Counter[int] = Counter()
        self._segment, self._map = -1, self._all_hard(1)
        self._plan = self._make_plan(self._map[0])

    def plan(self, pts: int) -> FramePlan:
        """The plan of the frame at `pts` (ticks), the next one of its segment."""
        segment = max(0, bisect_right(self._starts, pts) - 1)
        if segment != self._segment:
            self._segment, self._map = segment, self._load(segment)
        position = min(self._seen[segment], len(self._map) - 1)
        self._seen[segment] += 1
        codes = self._map[position]
        if not np.array_equal(codes, self._plan.codes):
            self._plan = self._make_plan(codes)
        return self._plan

    def _make_plan(self, codes: Codes) -> FramePlan:
        index = self._index
        size = (index.fine_h, index.fine_w, index.lr.height, index.lr.width)
        return FramePlan(codes, patches_of(codes, *size))

    def _all_hard(self, frames: int) -> Codes:
        return np.full((frames, *self._index.grid_shape), ALL_HARD, np.uint8)

    def _load(self, segment: int) -> Codes:
        """The map of a segment; where it is damaged, every patch takes the hard path."""
        entry = self._entries.get(segment)
        frames = max(1, self._index.segments[segment].frames)
        if entry is None or self._package.signer is None:
            return self._all_hard(frames)
        try:
            return self._read(entry)
        except PackageError as error:
            action = "every patch of its segment takes the hard path"
            self._on_event(Event("routes", entry.file, str(error), action))
            return self._all_hard(frames)

    def _read(self, entry: RoutesEntry) -> Codes:
        codes = unpack_routes(read_entry(self._package, entry))
        if codes.shape != (entry.frames, *self._index.grid_shape):
            raise PackageError(f"route map of {codes.shape} cells does not fit the film")
        return codes
