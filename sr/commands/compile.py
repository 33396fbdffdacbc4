"""`pocketsr compile [DIR]`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from player.package.entries import WeightsEntry
from player.package.package_error import PackageError
from player.package.weights import WeightsBlob, unpack_weights
from sr.commands.options import FILE, PATH, json_option, real_path, refuse_inside, show

if TYPE_CHECKING:
    from compiler.plan.path_plan import PathPlan


@click.command()
@click.argument("source", type=PATH, required=False)
@click.option("--target", default="host", show_default=True, help="See `pocketsr targets`.")
@click.option("-o", "--out", type=FILE, help="Folder of the engine; default the user's cache.")
@click.option("--dtype", help="int8 or fp32; default int8, or what the package's weights are.")
@click.option("--explain", is_flag=True, help="Print the plans of SOURCE's networks; make nothing.")
@json_option
def command(
    source: Path | None,
    target: str,
    out: Path | None,
    dtype: str | None,
    explain: bool,
    as_json: bool,
) -> None:
    """Make the engine of a target: it plays every package, of every frame size.

    It goes into the user's cache, where play, measure and verify find it, or where -o says. SOURCE,
    a package or an exported program (.pt2), is only looked at: its networks must be of the family
    that engines play.
    """
    from compiler.plan.formats import find_format
    from compiler.targets import find_target

    # What was typed wrong is said before anything is loaded that takes seconds.
    find_target(target)
    if out is not None:
        place = real_path(out)
        refuse_inside(place, *place.parents)
    if explain and source is None:
        raise click.UsageError("--explain: give a package or an exported program (.pt2)")
    if dtype:
        find_format(dtype)
    dtype = dtype or _dtype_of(source)
    if source is not None:
        plans = plans_of(source, dtype)
        if explain:
            _explain(plans, as_json)
            return
    from compiler.engine import EngineFiles, compile_engine
    from player.engines import store_engine

    def build(folder: Path) -> EngineFiles:
        return compile_engine(target, folder, dtype)

    files = build(out) if out else EngineFiles.of(store_engine(target, build))
    result = {
        "schema": "pocketsr.compile/1",
        "target": target,
        "dtype": dtype,
        "files": {name: str(path) for name, path in vars(files).items()},
        "bytes": files.shared.stat().st_size,
    }
    named = f" --engine {out}" if out else ""
    show(
        result,
        as_json,
        [
            ("engine", f"{files.shared} ({result['bytes']} bytes)"),
            ("next", f"pocketsr play {source or 'DIR'}{named}"),
        ],
    )


def _dtype_of(source: Path | None) -> str:
    if source is None or not source.is_dir():
        return "int8"
    from player.engines import dtype_of_package
    from player.package.index import read_index
    from player.session import refuse_ladder

    refuse_ladder(source)
    return dtype_of_package(source, read_index(source).index.weights)


def plans_of(source: Path, dtype: str) -> "dict[str, dict[str, PathPlan]]":
    """By network, the plan of each of its paths: of a package, or of one exported path.

    Raises PackageError, CompileError where a network is damaged or outside the family.
    """
    from compiler.pipeline import plan_network
    from compiler.plan.formats import find_format

    number_format = find_format(dtype)
    if source.is_dir():
        from player.package.index import read_index
        from player.session import refuse_ladder

        refuse_ladder(source)
        blobs = read_blobs(source, read_index(source).index.weights)
        return {f"network {i}": plan_network(b.arch, number_format) for i, b in enumerate(blobs)}
    from compiler.explain import architecture_of
    from compiler.pipeline import import_graph, load_program

    arch = architecture_of(import_graph(load_program(source)))
    return {source.name: plan_network(arch, number_format)}


def _explain(plans: "dict[str, dict[str, PathPlan]]", as_json: bool) -> None:
    from compiler.explain import plan_text

    texts = {
        network: {path: plan_text(path, plan) for path, plan in of.items()}
        for network, of in plans.items()
    }
    if as_json:
        show({"schema": "pocketsr.plans/1", "plans": texts}, True, [])
        return
    for network, paths in texts.items():
        click.echo("\n".join([network, *paths.values()]))


def read_blobs(package: Path, entries: Sequence[WeightsEntry]) -> list[WeightsBlob]:
    """The package's weights, parsed.

    Raises PackageError where a blob is missing, damaged or not the index's.
    """
    blobs = []
    for entry in entries:
        try:
            blobs.append(unpack_weights(entry.read(package)))
        except PackageError as error:
            raise PackageError(f"{entry.file}: {error}") from error
        if blobs[-1].arch != entry.arch:
            raise PackageError(f"{entry.file}: its architecture is not the one of the index")
    return blobs
