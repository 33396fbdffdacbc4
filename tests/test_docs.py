"""The pages stay true: links lead somewhere, tables name what exists."""

import importlib
import json
import re
from pathlib import Path
from statistics import mean

import pytest

from benchmarks import laboratory
from benchmarks.shrink import summary, table
from sr.cli import COMMANDS
from sr.encode.methods import METHODS
from sr.encode.options import PRESETS
from sr.shrink.registry import STAGES

ROOT = Path(__file__).parent.parent
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


def test_the_training_table_is_the_json():
    rows = json.loads((ROOT / "benchmarks" / "results" / "training.json").read_text())["rows"]
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    for row in rows:
        assert f"| {row['hard']:.2f} | {row['easy']:.2f} |" in text, row["arm"]


def test_the_shrinking_tables_are_the_json():
    result = json.loads((ROOT / "benchmarks" / "results" / "shrink.json").read_text())
    text = (ROOT / "docs" / "shrinking.md").read_text(encoding="utf-8")
    for arm in result["arms"]:
        rows = [row for row in result["rows"] if row["arm"] == arm]
        means = [mean(row[k] for row in rows) for k in ("psnr_db", "worst_group_db", "spread_db")]
        numbers = " | ".join(f"{value:.2f}" for value in means)
        assert f"| {arm} | {len(rows)} | {numbers} |" in text, arm
    for claim in result["claims"]:
        assert f"| {claim['claim']} | {claim['verdict']} |" in text, claim["claim"]


# The page of each reproduction; the others are on the shrinking page.
PAGE_OF_ENTRY = {
    "graph": "laboratory_tables.md",
    "metric": "laboratory_tables.md",
    "tri_level": "laboratory_tables.md",
    "data_tickets": "laboratory_tables.md",
}
PAGE_OF_TABLE = {
    "patches": "laboratory_tables.md",
    "router": "laboratory_tables.md",
    "probes": "laboratory_tables.md",
    "teacher": "laboratory_tables.md",
    "branches": "training.md",
}


@pytest.mark.parametrize("name", PAGE_OF_TABLE)
def test_the_tables_of_data_and_routing_are_the_json(name):
    result = json.loads((ROOT / "benchmarks" / "results" / f"shrink_{name}.json").read_text())
    text = (ROOT / "docs" / PAGE_OF_TABLE[name]).read_text(encoding="utf-8")
    for line in summary(result["rows"], table(name).SHOWN).splitlines():
        assert line in text, line
    for claim in result["claims"]:
        assert f"| {claim['claim']} | {claim['verdict']} |" in text, claim["claim"]


def test_the_laboratory_s_tables_are_what_its_command_makes():
    assert laboratory.PAGE.read_text(encoding="utf-8") == laboratory.page()


def test_the_reproductions_are_the_json():
    entries = json.loads((ROOT / "benchmarks" / "results" / "reproduce.json").read_text())[
        "entries"
    ]
    for name, entry in entries.items():
        page = PAGE_OF_ENTRY.get(name, "shrinking.md")
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for claim in entry["claims"]:
            assert f"| {claim['claim']} | {claim['verdict']} |" in text, claim["claim"]


def test_every_stage_is_on_the_shrinking_page():
    text = (ROOT / "docs" / "shrinking.md").read_text(encoding="utf-8")
    for name, stage in STAGES.items():
        assert f"| `{name}` | {stage.about} |" in text, name
