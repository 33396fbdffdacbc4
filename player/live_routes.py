"""Routes of video that brings no map: the package's router looks at the LR frames as they come."""

import numpy as np
from numpy.typing import NDArray

from player.engine import Engine
from player.engine_calls import Image
from player.engine_router import Router
from player.events import Event, Listener
from player.package.index import Index, RouterEntry
from player.package.package_error import PackageError
from player.package.router_blob import unpack_router
from player.session import Package, read_entry


class LiveRoutes:
    """A router's decisions, each kept for as many frames as its blob says."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._paths: NDArray[np.uint8] | None = None

    def codes(self, position: int, lr: Image) -> NDArray[np.uint8]:
        """Route codes [rows, columns] u8 of the frame with number `position` of its segment.

        The first frame of a segment is always looked at. The codes name network 0, whose code
        is the path itself (`player.package.route_maps`).
        """
        if self._paths is None or position % self._router.hold_frames == 0:
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
        return LiveRoutes(_load(package, index, index.router, engine))
    except PackageError as error:
        action = "where there is no route map, every patch takes the hard path"
        on_event(Event("router", index.router.file, str(error), action))
        return None


def _load(package: Package, index: Index, entry: RouterEntry, engine: Engine) -> Router:
    blob = read_entry(package, entry)
    unpack_router(blob).check_cells(index.fine_h, index.fine_w)
    return engine.load_router(blob)
