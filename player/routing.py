"""Which network and path each patch of a frame takes: the route map, a router, or all hard."""

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from player.engine_calls import Image
from player.events import Event, Listener
from player.live_routes import LiveRoutes
from player.package.index import RoutesEntry
from player.package.package_error import PackageError
from player.package.paths import HARD
from player.package.route_maps import patches_of, unpack_routes
from player.session import Package, read_entry

Codes = NDArray[np.uint8]
ALL_HARD = HARD  # as a route code: network 0, not of a coarse patch


@dataclass(frozen=True)
class FramePlan:
    """A frame's route: `codes` [rows, columns] of its cells, and the `patches` [n, 6] of them."""

    codes: Codes
    patches: NDArray[np.int32]


class RouteBook:
    """The plans of a film's frames, asked for in order of time; holds one segment's map.

    Where a segment has no map, or a damaged one, `live` decides; without it every patch takes the
    hard path.
    """

    def __init__(
        self, package: Package, on_event: Listener, live: LiveRoutes | None = None
    ) -> None:
        if package.index is None:
            raise ValueError("a package without an index has no routes")
        self._package, self._index, self._on_event = package, package.index, on_event
        self._live = live
        self._starts = [s.start for s in self._index.segments]
        self._entries = {r.segment: r for r in self._index.routes}
        self._seen: Counter[int] = Counter()
        self._segment = -1
        self._map: Codes | None = None
        self._hard = np.full(self._index.grid_shape, ALL_HARD, np.uint8)
        self._plan = self._make_plan(self._hard)

    def plan(self, pts: int, lr: Image) -> FramePlan:
        """The plan of the frame `lr` at `pts` (ticks), the next one of its segment."""
        segment = max(0, bisect_right(self._starts, pts) - 1)
        if segment != self._segment:
            self._segment, self._map = segment, self._load(segment)
        codes = self._codes(self._seen[segment], lr)
        self._seen[segment] += 1
        if not np.array_equal(codes, self._plan.codes):
            self._plan = self._make_plan(codes)
        return self._plan

    def _make_plan(self, codes: Codes) -> FramePlan:
        index = self._index
        size = (index.fine_h, index.fine_w, index.lr.height, index.lr.width)
        return FramePlan(codes, patches_of(codes, *size))

    def _codes(self, position: int, lr: Image) -> Codes:
        """The cells of the frame with number `position` of the segment."""
        if self._map is not None:
            return self._map[min(position, len(self._map) - 1)]
        return self._live.codes(position, lr) if self._live is not None else self._hard

    def _load(self, segment: int) -> Codes | None:
        """The map of a segment; None where it has none, or a damaged one."""
        entry = self._entries.get(segment)
        if entry is None or self._package.signer is None:
            return None
        try:
            return self._read(entry)
        except PackageError as error:
            routed = "the router decides" if self._live else "every patch takes the hard path"
            self._on_event(Event("routes", entry.file, str(error), f"{routed} in its segment"))
            return None

    def _read(self, entry: RoutesEntry) -> Codes:
        codes = unpack_routes(read_entry(self._package, entry))
        if codes.shape != (entry.frames, *self._index.grid_shape):
            raise PackageError(f"route map of {codes.shape} cells does not fit the film")
        return codes
