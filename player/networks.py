"""The networks that a package plays with, down the ladder: its own, the generic one, none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from player.engine import Engine, Network
from player.package.entries import WeightsEntry
from player.package.generic import GENERIC_SCALES, anchor_blob, blob_path, generic_blob
from player.package.limits import MAX_NETWORKS
from player.package.package_error import PackageError
from player.package.paths import BICUBIC, HARD, PATH_NAMES
from player.package.scale import Scale
from player.session import Event, Listener, Package


@dataclass(frozen=True)
class NetworkSet:
    """Networks that are loaded, and for each network number of the routes its place in them.

    `places` lacks a number whose network could not be loaded, nor replaced: it is bicubic.
    """

    networks: tuple[Network, ...]
    places: Mapping[int, int]

    @cached_property
    def _table(self) -> NDArray[np.int32]:
        """[16, 5, 2]: for a network number and a path of the routes, those to run."""
        # What is not loaded stays (0, 0): the path bicubic, which every network has, of the first.
        table = np.zeros((MAX_NETWORKS, len(PATH_NAMES), 2), np.int32)
        for number, place in self.places.items():
            table[number, BICUBIC] = (place, BICUBIC)
            paths = self.networks[place].paths
            for path in range(BICUBIC + 1, len(PATH_NAMES)):
                # A replacement may lack a path of the routes; the hard one every network has.
                table[number, path] = (place, path if path in paths else HARD)
        return table

    def resolve(self, patches: NDArray[np.int32]) -> NDArray[np.int32]:
        """The patches [n, 6] with each network and path replaced by those that are there."""
        resolved = patches.copy()
        resolved[:, 4:] = self._table[patches[:, 4], patches[:, 5]]
        return resolved


def load_networks(package: Package, engine: Engine, on_event: Listener) -> NetworkSet:
    """Load what the package's routes name; every step down is told to `on_event`.

    Where nothing of it loads there is still a network whose path `bicubic` shows the anchor.
    """
    if package.index is None:
        return NetworkSet((), {})
    generic = _Generic(engine, package.scale, on_event)
    entries: Sequence[WeightsEntry | None] = package.index.weights
    # Networks that nobody signed are not run, nor are their routes: all is on network 0.
    if entries and package.signer is None:
        entries = (None,)
    loaded: list[Network] = []
    places: dict[int, int] = {}
    for number, entry in enumerate(entries):
        network = _load_own(package, entry, engine, on_event) or generic.network
        if network is None:
            continue
        # The generic network may replace several, and is one network of the engine all the same.
        if network not in loaded:
            loaded.append(network)
        places[number] = loaded.index(network)
    if not loaded and (anchor := load_anchor(engine, package.scale)):
        loaded.append(anchor)
    return NetworkSet(tuple(loaded), places)


def load_anchor(engine: Engine, scale: Scale) -> Network | None:
    """The network that shows the anchor; None where the engine does not take it."""
    try:
        return engine.load(anchor_blob(scale, str(engine.info["dtype"])))
    except PackageError:
        return None


def _load_own(
    package: Package, entry: WeightsEntry | None, engine: Engine, on_event: Listener
) -> Network | None:
    if entry is None:
        return None
    try:
        network = engine.load(entry.read(package.directory))
        # Its frames would have this scale, and be cropped by the index's.
        if network.arch.scale != package.scale:
            raise PackageError(f"scale {network.arch.scale}, but the package's is {package.scale}")
        return network
    except PackageError as error:
        instead = "generic network" if package.scale in GENERIC_SCALES else "anchor"
        on_event(Event("weights", entry.file, str(error), f"the {instead} is used"))
        return None


class _Generic:
    """The generic network, loaded when it is first needed; None at the scales that have none."""

    def __init__(self, engine: Engine, scale: Scale, on_event: Listener) -> None:
        self._engine, self._scale, self._on_event = engine, scale, on_event

    @cached_property
    def network(self) -> Network | None:
        if self._scale not in GENERIC_SCALES:
            return None
        dtype = str(self._engine.info["dtype"])
        try:
            return self._engine.load(generic_blob(self._scale, dtype))
        except PackageError as error:
            what = f"generic/{blob_path(self._scale, dtype).name}"
            self._on_event(Event("generic", what, str(error), "bicubic is used"))
            return None
