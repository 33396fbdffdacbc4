"""`encode --stages`: smaller networks in the package, rows in the report, nothing done twice, and
what cannot be is said before anything is made."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from chunking.probe import probe
from player.package.index import read_index
from player.package.verify import verify_package
from player.package.weights import INT8_CODED, unpack_weights
from sr.cli import pocketsr
from sr.encode import overfitting, shrinking
from sr.encode.encode import encode
from sr.encode.film import Film
from sr.encode.job_folder import open_job
from sr.encode.options import EncodeOptions
from sr.encode.work import Work
from sr.latency.table import Cache, LatencyTable, Machine
from sr.models import Network
from sr.progress import Progress
from sr.shrink import registry
from sr.shrink.budget import BudgetError
from sr.shrink.channels import cut_channels
from sr.shrink.stage import Stage, StageWork, rebuilt, traced, with_widths
from sr.training.loop import TrainingPlan, overfit
from sr.usage_error import UsageError

FULL = 9 * (3 * 32 + 5 * 32 * 32) + 32 * 12  # MACs a pixel of the hard path at x2


class Halver(Stage):
    """Trains a step, keeps every other channel, and of the weights every fifth."""

    name, shrinks = "chex", "channels"
    runs = 0

    def apply(self, network: Network, work: StageWork) -> Network:
        Halver.runs += 1
        overfit(network, work.sampler, TrainingPlan(1))
        cut_channels(traced(network), {f"trunk.{i}": range(0, 32, 2) for i in range(6)})
        for convolution in network.get_submodule("trunk").children():
            flat = convolution.weight.data.flatten()
            flat[np.arange(len(flat)) % 5 > 0] = 0
            convolution.weight.data.copy_(flat.view_as(convolution.weight))
        return rebuilt(network)


@pytest.fixture
def latency_table() -> LatencyTable:
    """Layers that cost what their blocks of 16 outputs and groups of 4 inputs do."""
    machine = Machine("host", "int8", "isa", "cpu", "0.1.0", "2026-01-01T00:00:00Z", 2, 1, 40, 48)
    rows = tuple((float(groups), 2.0 * groups) for groups in range(1, 9))
    exits = tuple(float(groups) for groups in range(1, 9))
    return LatencyTable(machine, Cache(512 * 1024, 232, 1), 5.0, (1.0, 2.0), rows, exits)


@pytest.fixture(autouse=True)
def halver(monkeypatch):
    """A stage that takes no time in the place of chex."""
    Halver.runs = 0
    chex = replace(registry.STAGES["chex"], made_by=f"{__name__}:Halver")
    monkeypatch.setattr(registry, "STAGES", {**registry.STAGES, "chex": chex})


def run(film: Path, out: Path, **options) -> dict:
    options = {"scale": 2, "steps": 4, "lr_codec": "lossless", "threads": 1, **options}
    with Progress() as progress:
        return encode(EncodeOptions.of(film, out, **options), progress)


def test_the_package_holds_the_smaller_network_and_the_report_says_how(film, tmp_path):
    report = run(film, tmp_path / "p", stages="chex", budget="0.3x")
    assert verify_package(tmp_path / "p").ok
    (entry,) = read_index(tmp_path / "p").index.weights
    assert entry.arch.widths == (16,) * 6
    ((row,),) = report["stages"]
    assert (row["stage"], row["unit"], row["limit"]) == ("chex", "MACs a pixel", 0.3 * FULL)
    assert row["before"]["widths"] == (32,) * 6
    assert row["before"]["macs"] == FULL
    assert row["after"]["macs"] == 9 * (3 * 16 + 5 * 16 * 16) + 16 * 12


def test_zeros_outlive_the_fine_tuning_and_are_not_stored(film, tmp_path):
    run(film, tmp_path / "p", stages="chex", budget="0.3x", steps=40)
    (entry,) = read_index(tmp_path / "p").index.weights
    blob = unpack_weights((tmp_path / "p" / entry.file).read_bytes())
    assert blob.dtype == INT8_CODED
    for i in range(6):
        weight = blob.tensors[f"trunk.{i}.weight"]
        assert np.count_nonzero(weight) <= -(-weight.size // 5)
    assert entry.bytes < 0.45 * sum(t.size for t in blob.tensors.values())


@pytest.mark.parametrize("budget", ["0.3x", "15kB"])
def test_a_budget_alone_means_uniform(film, tmp_path, budget):
    report = run(film, tmp_path / "p", budget=budget)
    ((row,),) = report["stages"]
    assert (row["stage"], row["after"]["widths"]) == ("uniform", (16,) * 6)
    assert row["after"]["cost"] <= row["limit"]
    assert EncodeOptions.of(film, tmp_path, budget_ms="8@host").shrink.stages == ("uniform",)


def test_every_network_of_a_static_method_is_shrunk(film, tmp_path):
    report = run(film, tmp_path / "p", stages="chex", budget="0.3x", method="stdo", chunks=2)
    index = read_index(tmp_path / "p").index
    assert [w.arch.widths for w in index.weights] == [(16,) * 6] * 2
    assert [len(rows) for rows in report["stages"]] == [1, 1]


def test_a_job_cut_after_its_stages_does_not_repeat_them(film, tmp_path, monkeypatch):
    options = {"stages": "chex", "budget": "0.3x"}
    run(film, tmp_path / "straight", **options)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(overfitting, "fine_tune", killed)
        with pytest.raises(KeyboardInterrupt):
            run(film, tmp_path / "cut", **options)
    before = Halver.runs
    run(film, tmp_path / "cut", **options)
    assert Halver.runs == before
    weights = [(tmp_path / p / "sr/weights-000.bin").read_bytes() for p in ("straight", "cut")]
    assert weights[0] == weights[1]


def test_a_budget_that_cannot_be_met_is_refused_before_anything_is_made(film, tmp_path):
    with pytest.raises(BudgetError, match=r"--budget 0.1x: no network meets") as caught:
        run(film, tmp_path / "p", stages="chex", budget="0.1x")
    assert caught.value.exit_code == 4
    assert not (tmp_path / "p" / "video").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"stages": "chex", "budget": "0.5x", "budget_ms": "8@host"}, "contradict"),
        ({"stages": "chex", "groups": Path("faces.json")}, "stages fair"),
        ({"stages": "chex", "backbone": "wdsr", "method": "jstdo"}, "one width for all"),
    ],
)
def test_options_that_contradict_each_other_are_refused(film, tmp_path, options, says):
    with pytest.raises(UsageError, match=says):
        EncodeOptions.of(film, tmp_path / "p", **options)


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--stages", "prune"], 2, "'prune' is not known"),
        (["--stages", "chase,chex"], 2, "write chex,chase"),
        (["--stages", "chex", "--budget", "much"], 2, "--budget much"),
        (["--stages", "chex", "--budget-ms", "8"], 2, "--budget-ms 8"),
        (["--stages", "chex", "--budget", "0.1x"], 4, "so ask for that or more"),
    ],
)
def test_the_command_line_passes_errors_on_with_their_exit_codes(
    film, tmp_path, options, code, says
):
    result = CliRunner().invoke(
        pocketsr, ["encode", str(film), "-o", str(tmp_path / "p"), "--scale", "4", *options]
    )
    assert result.exception is not None
    assert getattr(result.exception, "exit_code", None) == code
    assert says in str(result.exception)


def test_milliseconds_come_from_the_table_and_are_kept_for_resuming(film, tmp_path, latency_table):
    asked = []

    def find(target: str, dtype: str, scale: int):
        asked.append((target, dtype, scale))
        return latency_table

    out = tmp_path / "p"
    config = EncodeOptions.of(film, out, scale=2, stages="chex", budget_ms="0.3@host")
    with Progress() as progress:
        job = open_job(config, False, progress.warn)
        work = Work(config, Film(config, probe(film)), job, progress)
        budget = shrinking.budget_of(work, find)
        again = shrinking.budget_of(work, find)
    assert asked == [("host", "int8", 2)]
    assert (budget.limit, budget.unit) == (0.3, "ms a frame")
    wide, thin = ((32,) * 6, (16,) * 6)
    costs = [budget.cost(with_widths(work.arch, w)) for w in (wide, thin)]
    assert costs[1] < costs[0]
    assert costs == [again.cost(with_widths(work.arch, w)) for w in (wide, thin)]


@pytest.mark.parametrize("asked", [{"scale": 1}, {"scale": 1.5}, {"scale": 2, "units": 2}])
def test_milliseconds_of_what_no_table_has_are_refused_at_once(film, tmp_path, asked):
    with pytest.raises(UsageError, match=r"tables are of scales 2, 3, 4 on units of 1 px"):
        run(film, tmp_path / "p", budget_ms="8@host", **asked)
    assert not (tmp_path / "p" / "video").exists()
