"""`doctor`: what is missing is named with its remedy; what is optional does not make it fail."""

import json
from dataclasses import replace
from importlib.metadata import PackageNotFoundError

import pytest
from click.testing import CliRunner

from sr.commands import doctor
from sr.commands.doctor import PARTS, Part, command
from sr.models import precision


def missing() -> str:
    raise PackageNotFoundError


def broken() -> str:
    raise RuntimeError("no screen")


def run(monkeypatch, *parts: Part) -> tuple[int, list[dict]]:
    monkeypatch.setattr(doctor, "PARTS", parts)
    result = CliRunner().invoke(command, ["--json"])
    return result.exit_code, json.loads(result.stdout)["checks"]


@pytest.mark.parametrize(("optional", "code"), [(False, 1), (True, 0)])
@pytest.mark.parametrize("look", [missing, broken, lambda: None])
def test_only_what_is_needed_makes_it_fail(monkeypatch, look, optional, code):
    there = Part("there", lambda: "1.0", "pip install there")
    exit_code, (first, second) = run(monkeypatch, Part("it", look, "get it", optional), there)
    assert exit_code == code
    assert first["found"] is None and first["mend"].startswith("get it")
    assert second["found"] == "1.0"


def test_what_is_wrong_is_said(monkeypatch):
    _, (check,) = run(monkeypatch, Part("it", broken, "get it"))
    assert check["mend"] == "get it (no screen)"


def test_everything_of_this_machine_is_looked_at():
    result = CliRunner().invoke(command, ["--json"])
    assert [c["name"] for c in json.loads(result.stdout)["checks"]] == [p.name for p in PARTS]
    assert [p.name for p in PARTS if p.optional] == [
        "pygame", "VMAF", "matplotlib", "torch-geometric",
    ]  # fmt: skip


@pytest.mark.parametrize(("has_bf16", "said"), [(True, "bf16"), (False, "fp32: no bf16 here")])
def test_in_which_numbers_torch_trains_is_said(monkeypatch, has_bf16, said):
    monkeypatch.setattr(precision, "computes_in_bf16", lambda: has_bf16)
    part = next(p for p in PARTS if p.name == "torch")
    assert part.look().endswith(f"trains in {said}")


def test_without_torch_geometric_nothing_fails(monkeypatch):
    part = next(p for p in PARTS if p.name == "torch-geometric")
    monkeypatch.setattr(doctor, "PARTS", (replace(part, look=missing),))
    result = CliRunner().invoke(command)
    assert result.exit_code == 0
    assert "torch-geometric  missing, optional: pip install 'pocketsr[laboratory]'" in result.stdout


def test_an_engine_that_is_named_and_not_there_is_said(monkeypatch, tmp_path):
    part = next(p for p in PARTS if p.name == "engine")
    monkeypatch.setenv("POCKETSR_HOME", str(tmp_path))
    monkeypatch.delenv("POCKETSR_ENGINE", raising=False)
    assert run(monkeypatch, part)[0] == 0
    monkeypatch.setenv("POCKETSR_ENGINE", "/gone/engine")
    code, (check,) = run(monkeypatch, part)
    assert code == 1
    assert "$POCKETSR_ENGINE: /gone/engine: No such file or directory" in check["mend"]


def test_vmaf_is_there_or_its_remedy_is_told(monkeypatch, tmp_path):
    part = next(p for p in PARTS if p.name == "VMAF")
    for found in (tmp_path / "ffmpeg", None):
        monkeypatch.setattr("player.vmaf.find_vmaf", lambda found=found: found)
        code, (check,) = run(monkeypatch, part)
        assert (code, check["found"]) == (0, found and str(found))
        assert check["mend"].startswith("pip install 'pocketsr[vmaf]'")
