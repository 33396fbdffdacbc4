"""Which network and path each patch of a frame takes: the route map, a router, or all hard.

A map comes with the package, for each segment. Where video brings none, the package's router looks
at the LR frames as they come.
"""

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from player.engine import Engine, Image, Router
from player.package.package_error import PackageError
from player.package.paths import HARD
from player.package.route_maps import patches_of, unpack_routes
from player.package.router_blob import unpack_router
from player.session import Event, Listener, Package

Codes = NDArray[np.uint8]
ALL_HARD = HARD  # as a route code: network 0, not of a coarse patch


class LiveRoutes:
    """A router's decisions, each kept for as many frames as its blob says."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._paths: Codes | None = None

    def codes(self, position: int, lr: Image) -> Codes:
        """Route codes [rows, columns] u8 of the frame with number `position` of its segment.

        The first frame of a segment is always looked at.
        """
        if self._paths is None or position % self._router.hold_frames == 0:
            # A path alone is the code of that path on network 0, the one that a router routes to.
            self._paths = self._router.route(lr)
        return self._paths


def load_live_routes(
    package: Package, engine: Engine | None, on_event: Listener
) -> LiveRoutes | None:
    """The package's router on the engine; None where there is none, or it does not work."""
    index = package.index
    if engine is None or index is None or index.router is None or package.signer is None:
        return None
    try:
        blob = index.router.read(package.directory)
        unpack_router(blob).check_cells(index.fine_h, index.fine_w)
        return LiveRoutes(engine.load_router(blob))
    except PackageError as error:
        action = "where there is no route map, every patch takes the hard path"
        on_event(Event("router", index.router.file, str(error), action))
        return None


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
        # Frames seen of each segment: a map has no times, and those of frames may be uneven, so
        # that a frame's place in it is found by counting.
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
        position = self._seen[segment]
        self._seen[segment] += 1
        if self._map is not None:
            # Where more frames decode than the map has, its last routes go on.
            codes = self._map[min(position, len(self._map) - 1)]
        else:
            codes = self._live.codes(position, lr) if self._live is not None else self._hard
        # Routes of still pictures repeat for many frames, and their patches are not made again.
        if not np.array_equal(codes, self._plan.codes):
            self._plan = self._make_plan(codes)
        return self._plan

    def _make_plan(self, codes: Codes) -> FramePlan:
        index = self._index
        size = (index.fine_h, index.fine_w, index.lr.height, index.lr.width)
        return FramePlan(codes, patches_of(codes, *size))

    def _load(self, segment: int) -> Codes | None:
        """The map of a segment; None where it has none, or a damaged one."""
        entry = self._entries.get(segment)
        if entry is None or self._package.signer is None:
            return None
        try:
            shape = entry.frames, *self._index.grid_shape
            return unpack_routes(entry.read(self._package.directory), shape)
        except PackageError as error:
            routed = "the router decides" if self._live else "every patch takes the hard path"
            self._on_event(Event("routes", entry.file, str(error), f"{routed} in its segment"))
            return None
