"""`pocketsr compile DIR`."""

from collections.abc import Sequence
from pathlib import Path

import click

from player.package.index import WeightsEntry
from player.package.package_error import PackageError
from player.package.weights import WeightsBlob, unpack_weights
from sr.commands.options import DIRECTORY, FILE, json_option, show


@click.command()
@click.argument("package", type=DIRECTORY)
@click.option("--target", default="host", show_default=True, help="See `pocketsr targets`.")
@click.option("-o", "--out", type=FILE, help="Folder of the engine; default the user's cache.")
@click.option("--dtype", help="int8 or fp32; default what the package's weights are.")
@json_option
def command(package: Path, target: str, out: Path | None, dtype: str | None, as_json: bool) -> None:
    """Make the engine that runs the networks of the package DIR, of every frame size.

    It goes into the user's cache, where play, measure and verify find it, or where -o says.
    """
    from compiler.plan.formats import find_format
    from compiler.targets import find_target

    # What was typed wrong is said at once: loading torch and TVM takes seconds.
    find_target(target)
    if dtype:
        find_format(dtype)
    from compiler.engine import EngineFiles, Network, compile_engine
    from player.engines import dtype_of, store_engine
    from player.package.generic import blob_path
    from player.package.index import read_index
    from sr.models import export_paths

    index = read_index(package).index
    dtype = dtype or dtype_of(read_blobs(package, index.weights))
    generic = unpack_weights(blob_path(index.scale).read_bytes()).arch
    architectures = dict.fromkeys([*(entry.arch for entry in index.weights), generic])
    networks = [Network(arch, export_paths(arch)) for arch in architectures]

    def build(folder: Path) -> EngineFiles:
        return compile_engine(networks, target, folder, dtype)

    files = build(out) if out else EngineFiles.of(store_engine(target, build))
    result = {
        "schema": "pocketsr.compile/1",
        "target": target,
        "dtype": dtype,
        "files": {name: str(path) for name, path in vars(files).items()},
        "bytes": files.shared.stat().st_size,
        "architectures": [vars(arch) for arch in architectures],
    }
    named = f" --engine {out}" if out else ""
    show(
        result,
        as_json,
        [
            ("engine", f"{files.shared} ({result['bytes']} bytes)"),
            ("next", f"pocketsr play {package}{named}"),
        ],
    )


def read_blobs(package: Path, entries: Sequence[WeightsEntry]) -> list[WeightsBlob]:
    """The package's weights, parsed.

    Raises PackageError where a blob is damaged or not the index's, OSError where it is missing.
    """
    blobs = []
    for entry in entries:
        try:
            blobs.append(unpack_weights((package / entry.file).read_bytes()))
        except PackageError as error:
            raise PackageError(f"{entry.file}: {error}") from error
        if blobs[-1].arch != entry.arch:
            raise PackageError(f"{entry.file}: its architecture is not the one of the index")
    return blobs
