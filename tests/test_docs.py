"""The pages stay true: links lead somewhere, tables name what exists."""

import importlib
import importlib.util
import re
from pathlib import Path

import pytest

from benchmarks import tables
from sr.cli import COMMANDS
from sr.encode.methods import METHODS
from sr.encode.records import PRESETS
from sr.shrink.registry import STAGES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), target


def test_every_command_and_option_is_on_the_commands_page():
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"`pocketsr {name}" in text, name
    encode = importlib.import_module("sr.commands.encode").command
    for parameter in encode.params:
        for option in parameter.opts:
            if option.startswith("--"):
                assert option in text, option


def test_presets_and_methods_on_the_training_page_are_the_tables():
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    for name, preset in PRESETS.items():
        assert f"| {name} | {preset.steps:,} | {preset.training_frames} |" in text
    for name in METHODS:
        assert f"| `{name}` |" in text


def test_generated_tables_are_those_of_the_json():
    assert tables.main(["--check"]) == 0


def test_every_table_of_results_is_on_the_page_of_results():
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    elsewhere = {name for name in tables.TABLES if name.startswith("ablation.")}
    elsewhere |= {"readme", "systems"}
    assert set(re.findall(r"<!-- table: (\S+) -->", text)) == set(tables.TABLES) - elsewhere


# Tables of what something is, not of what was measured: weights of losses, versions, formulas.
NUMBER = re.compile(r"[*+-]*\d+\.\d+( ± \S+)?( ?[x%]| dB)?[*]*")
NOT_MEASURED = {"term", "version", "chain 6 x 32 x4, path", "element", "option", "ABI"}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_no_table_of_numbers_is_typed(page):
    text = tables.MARKED.sub("", page.read_text(encoding="utf-8"))
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        head, _, *rows = table.splitlines()
        cells = [cell for row in rows for cell in row.split("|")[2:]]
        numbers = [
            cell for cell in cells if re.fullmatch(r"[*+-]*\d+\.\d+( ?[x%]| dB)?[*]*", cell.strip())
        ]
        assert not numbers or head.split("|")[1].strip() in NOT_MEASURED, head


def test_every_number_in_the_rows_of_the_readme_is_in_a_result(results):
    rows = re.search(r"<!-- table: readme -->\n(.*?)<!-- end -->", README, re.DOTALL)[1]
    measured = [line.split("|")[2] for line in rows.splitlines()[2:]]
    assert len(measured) == 4
    for text, paths in zip(measured, ROW_PATHS, strict=True):
        found = re.findall(r"-?\d+\.\d+|\d+(?= kbps)", text)
        assert found == [f"{at(results, path):.{digits}f}" for path, digits in paths], text


# Codecs of which the search was measured on reporting clips.
RATED = [
    row["codec"]
    for row in tables.read("rate")["means"]
    if (row["part"], row["arm"], row["metric"]) == ("reporting", "cpu", "psnr_y")
]

# What the rows of the README quote, in their order: path into the result files, decimals.
ROW_PATHS = (
    tuple(
        (f"demo {codec} {path}", digits)
        for codec in ("h264", "av1")
        for path, digits in (
            ("plain kbps", 0),
            ("psnr y", 2),
            ("psnr rgb", 2),
            ("plain psnr_y", 2),
            ("plain psnr_rgb", 2),
        )
    ),
    tuple((f"rate {codec}", 1) for codec in RATED),
    (
        ("peers summary int8_ratio_to_fastest_peer", 2),
        ("peers summary int8_ratio_to_fastest_peer_2_threads", 2),
    ),
    (
        ("played summary mean_ratio_1_thread", 1),
        ("played summary mean_ratio_2_threads", 1),
        ("played summary ratio_to_fastest_peer_2_threads least", 2),
        ("played summary ratio_to_fastest_peer_2_threads most", 1),
        ("played summary given_away_db least", 2),
        ("played summary given_away_db most", 2),
    ),
)


@pytest.fixture(scope="module")
def results() -> dict:
    found = {name: tables.read(name) for name in ("demo", "rate", "peers", "played")}
    found["demo"] = {row["codec"]: row["measure"] for row in found["demo"]["rows"]}
    rows = [r for r in found["rate"]["means"] if r["part"] == "reporting" and r["arm"] == "cpu"]
    found["rate"] = {r["codec"]: r["percent"] for r in rows if r["metric"] == "psnr_y"}
    return found


def at(results: dict, path: str) -> float:
    value = results
    for key in path.split():
        if key in ("least", "most"):
            value = (min if key == "least" else max)(value.values())
        else:
            value = value[key]
    return value


def test_the_readme_shows_the_picture_then_the_two_commands_then_the_caveats():
    lines = README.splitlines()
    assert len(lines) <= 110
    places = [
        README.index(w)
        for w in ("docs/demo.png", "make demo", "phone was", "**Never worse", "| what")
    ]
    assert places == sorted(places)
    between = README[
        README.index("(docs/demo.png)") + len("(docs/demo.png)") : README.index("make demo")
    ]
    assert between.split() == ["```sh"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_command_that_is_named_exists(page):
    text = page.read_text(encoding="utf-8")
    spoken = re.findall(r"^(?:    )?((?:pocketsr|python -m) .*)$", text, re.MULTILINE)
    spoken += re.findall(r"`((?:pocketsr|python -m) [^`]*)`", text)
    for line in spoken:
        words = re.split(r"\s+#|[;&<>]| \| ", line)[0].replace("\\|", "|").split()
        if words[0] == "python":
            module = words[2].rstrip(",.")
            if module.split(".")[0] in ("sr", "chunking", "compiler", "player", "benchmarks"):
                assert importlib.util.find_spec(module) is not None, line
        elif re.fullmatch(r"[a-z]+", words[1]):
            known = {o for p in command_of(words[1]).params for o in (*p.opts, *p.secondary_opts)}
            for option in (w.strip("[],.") for w in words[2:]):
                name = option.split("|")[0].split("=")[0]
                assert not name.startswith("-") or name in known | {"--help"}, line


def command_of(name: str):
    assert name in COMMANDS, name
    return importlib.import_module(f"sr.commands.{name}").command


def test_every_stage_is_on_the_shrinking_page():
    text = (ROOT / "docs" / "shrinking.md").read_text(encoding="utf-8")
    for name, stage in STAGES.items():
        (row,) = re.findall(rf"^\| `{name}` \| {re.escape(stage.about)} \|.*", text, re.MULTILINE)
        assert row.endswith(f"{stage.verdict} |"), name


def test_what_the_help_says_of_chex_is_what_was_measured():
    claims = tables.read("shrink_uniform")["claims"]
    (found,) = (c for c in claims if c["claim"] == "uniform is at least 0 dB above chex")
    ahead = found["measured"]["difference_db"]["mean"]
    assert found["verdict"] == "holds" and f"loses {ahead:.2f} dB" in STAGES["chex"].verdict
