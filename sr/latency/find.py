"""Which table a target has: this machine's own, measured once and kept, or a file's."""

import hashlib
import importlib.metadata
from pathlib import Path

from player.package.artefact import write_text
from player.package.signature import home
from sr.latency.latency_error import LatencyError
from sr.latency.measure import HOST, cannot_measure, measure_latency, processor_name
from sr.latency.table import LatencyTable, parse_table

FOLDER = "latency"  # in $POCKETSR_HOME


def find_latency(target: str, dtype: str = "int8", scale: int = 4) -> LatencyTable:
    """The table of `host`, measured at the first call, or of a path to a table's JSON.

    Raises LatencyError for a target that cannot be measured here, a file that is no table, and a
    table of another dtype or scale; OSError where a file cannot be read or the cache not written.
    """
    if target == HOST:
        return _measured_once(dtype, scale)
    path = Path(target)
    if not (path.suffix == ".json" or path.is_file()):
        raise LatencyError(cannot_measure(target))
    table = parse_table(path.read_bytes(), str(path))
    if (table.machine.dtype, table.machine.scale) != (dtype, scale):
        raise LatencyError(
            f"{path}: a table of {table.machine.dtype} at x{table.machine.scale}, "
            f"not of {dtype} at x{scale}; make one by `python -m benchmarks.latency_table --scale "
            f"{scale}`"
        )
    return table


def cache_path(target: str, dtype: str, scale: int) -> Path:
    """Where a measured table is kept: another version or processor has another file."""
    made_with = f"{importlib.metadata.version('pocketsr')}|{processor_name()}"
    digest = hashlib.sha256(made_with.encode()).hexdigest()[:12]
    return home() / FOLDER / f"{target}-{dtype}-x{scale}-{digest}.json"


def _measured_once(dtype: str, scale: int) -> LatencyTable:
    path = cache_path(HOST, dtype, scale)
    try:
        table = parse_table(path.read_bytes(), str(path))
        if (table.machine.dtype, table.machine.scale) == (dtype, scale):
            return table
    except (FileNotFoundError, LatencyError):
        pass  # not measured yet, or a damaged file: it is measured again
    table = measure_latency(HOST, dtype, scale)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_text(path, table.to_json())
    return table
