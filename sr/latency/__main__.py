"""Latency tables from the command line.

python -m sr.latency                                         this machine's table, measured
python -m sr.latency --target android-arm64 --bench DIR     what a phone needs to be measured
python -m sr.latency --bench DIR --from times.jsonl -o FILE its table, of what run.sh printed
"""

import sys
from pathlib import Path

import click

from sr.latency.bench import SCRIPT, read_manifest, read_times, write_bench
from sr.latency.benched import DEFAULT_WIDEST
from sr.latency.measure import HOST, measure_latency
from sr.latency.table import LatencyTable

FILE = click.Path(path_type=Path)


@click.command(help=__doc__.replace("\n\n", "\n\n\b\n", 1))
@click.option("--target", default=HOST, show_default=True, help="See `pocketsr targets`.")
@click.option("--dtype", default="int8", show_default=True, help="int8 or fp32.")
@click.option("--scale", type=click.IntRange(2, 4), default=4, show_default=True)
@click.option("--widest", default=DEFAULT_WIDEST, show_default=True, help="Channels, to 128.")
@click.option("--bench", type=FILE, help="Folder of what another machine needs to be measured.")
@click.option("--from", "times", type=FILE, help="What run.sh of that folder has printed.")
@click.option("-o", "--out", type=FILE, help="The table's file; default: stdout.")
def command(
    target: str,
    dtype: str,
    scale: int,
    widest: int,
    bench: Path | None,
    times: Path | None,
    out: Path | None,
) -> None:
    """Measure, or prepare a measurement elsewhere, or read one."""
    if times is not None:
        if bench is None:
            raise click.UsageError("--from needs --bench DIR, the folder that run.sh came from")
        lines = times.read_text(encoding="utf-8", errors="replace").splitlines()
        _put(read_times(read_manifest(bench), lines, str(times)), out)
    elif bench is not None:
        manifest = write_bench(target, dtype, scale, bench, widest)
        click.echo(f"{len(manifest.networks)} networks; on the device: sh {SCRIPT} > times.jsonl")
    else:
        _put(measure_latency(target, dtype, scale, widest), out)


def _put(table: LatencyTable, out: Path | None) -> None:
    if out is None:
        click.echo(table.to_json(), nl=False)
    else:
        out.write_text(table.to_json(), encoding="utf-8")


def main() -> None:
    """Runs the command; an error is one line and its exit code, as in sr/cli.py."""
    try:
        command.main(prog_name="python -m sr.latency", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except OSError as error:
        click.echo(f"{error.filename}: {error.strerror}; check the path", err=True)
        sys.exit(3)
    except Exception as error:
        code = getattr(error, "exit_code", None)
        if code is None:
            raise
        click.echo(f"python -m sr.latency: {error}", err=True)
        sys.exit(int(code))


if __name__ == "__main__":
    main()
