"""The reproduction of CD-MoE: its text, its resuming, and claims that can fail."""

import json
from dataclasses import replace

import pytest
import torch

from benchmarks import reproduce
from benchmarks.reproduction import character_models, condense_lm
from benchmarks.reproduction.character_models import (
    QUICK,
    VOCABULARY,
    Corpus,
    count_parameters,
    new_model,
    train,
    validation_loss,
)
from benchmarks.reproduction.condense_lm import DENSE, LAYERS, Rows, Subject, run, summarise
from benchmarks.reproduction.condense_lm_layers import CondensedFfn, expert_layers

ARMS = ("greedy", "random experts", "frequent experts", "shared only", "random layers", DENSE)
TINY = replace(QUICK, train_steps=6, finetune_steps=2, length=24)


def small_corpus(seed: int) -> Corpus:
    generator = torch.Generator().manual_seed(seed)
    text = torch.randint(0, VOCABULARY, (4000,), generator=generator).to(torch.uint8)
    return Corpus(text[:3000], text[3000:])


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in one order, so that two runs are equal; and small tensors only wait for threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(condense_lm, "QUICK", TINY)
    monkeypatch.setattr(condense_lm, "read_corpus", small_corpus)


class TestText:
    def test_characters_are_numbers_and_the_rest_is_one_number(self, tmp_path):
        file = tmp_path / "a.py"
        file.write_bytes(b"\n ~\t\xc3")
        assert character_models._encode([file]).tolist() == [0, 1, 95, 96, 96]

    def test_files_are_split_by_the_seed(self, tmp_path, monkeypatch):
        for i in range(20):
            (tmp_path / f"{i:02}.py").write_text(chr(65 + i))
        (tmp_path / "test").mkdir()
        (tmp_path / "test" / "x.py").write_text("!" * 99)
        monkeypatch.setattr(
            character_models.sysconfig, "get_paths", lambda: {"stdlib": str(tmp_path)}
        )
        parts = [character_models.read_corpus(seed) for seed in (0, 0, 1)]
        held_out = [set(part.validation.tolist()) for part in parts]
        assert held_out[0] == held_out[1] != held_out[2]
        for part, out in zip(parts, held_out, strict=True):
            assert len(out) == 2
            assert out | set(part.training.tolist()) == set(range(34, 54))
            assert not out & set(part.training.tolist())


class TestModels:
    def test_the_dense_control_is_as_large_as_all_layers_condensed(self, tiny, tmp_path):
        subject = Subject(0, TINY, tmp_path)
        assert all(isinstance(block, CondensedFfn) for block in subject.greedy.values())
        dense = count_parameters(new_model(0, dense_layers=LAYERS))
        assert subject.parameters(subject.greedy, range(LAYERS)) == dense
        assert subject.parameters(subject.greedy, ()) > 2 * dense

    def test_training_lowers_the_loss_of_what_it_saw(self):
        text = small_corpus(0).training[:40]
        settings = replace(TINY, length=30)
        model = new_model(0)
        batches = Corpus(text, text).windows(text, 1, settings, 1)
        before = validation_loss(model.eval(), batches)
        train(model, list(model.parameters()), text, settings, 25, 3e-3, 0)
        assert validation_loss(model, batches) < before - 0.5


class TestRun:
    def test_every_arm_has_its_row_and_the_mixture_is_left_whole(self, tiny, tmp_path):
        result = run((3,), True, tmp_path)
        found = {(row["arm"], row["condensed"]) for row in result["rows"]}
        every = {(arm, k) for arm in ARMS[:5] for k in range(1, LAYERS + 1)}
        assert found == every - {("random layers", LAYERS)} | {(DENSE, LAYERS)}
        assert len({row["base_loss"] for row in result["rows"]}) == 1
        assert reproduce._problem(result) is None
        json.dumps(result)

    @pytest.mark.slow
    def test_a_killed_run_goes_on_with_the_same_numbers(self, tiny, tmp_path, monkeypatch):
        whole = run((0,), True, tmp_path / "whole")
        add, left = Rows.add, iter(range(7))

        def add_until_killed(rows, row):
            add(rows, row)
            if next(left, None) is None:
                raise KeyboardInterrupt

        monkeypatch.setattr(Rows, "add", add_until_killed)
        with pytest.raises(KeyboardInterrupt):
            run((0,), True, tmp_path / "killed")
        monkeypatch.setattr(Rows, "add", add)
        monkeypatch.setattr(condense_lm, "train", _only_short(condense_lm.train))
        resumed = run((0,), True, tmp_path / "killed")
        assert resumed["rows"] == whole["rows"]

    def test_what_is_done_is_not_done_again(self, tiny, tmp_path, monkeypatch):
        first = run((0,), True, tmp_path)
        monkeypatch.setattr(condense_lm, "Subject", None)
        assert run((0,), True, tmp_path)["rows"] == first["rows"]

    def test_condensing_touches_a_copy(self, tiny, tmp_path):
        subject = Subject(0, TINY, tmp_path)
        before = {n: p.clone() for n, p in subject.model.state_dict().items()}
        kept = [p.clone() for p in subject.greedy[1].parameters()]
        subject.rise_finetuned(subject.greedy, (1, 2))
        assert expert_layers(subject.model) == tuple(range(LAYERS))
        assert all(torch.equal(before[n], p) for n, p in subject.model.state_dict().items())
        assert all(map(torch.equal, kept, subject.greedy[1].parameters()))


def _only_short(train):
    """Training that refuses the mixture's number of steps: a resumed run has the mixture."""

    def checked(model, parameters, text, settings, steps, rate, seed):
        assert steps != settings.train_steps
        train(model, parameters, text, settings, steps, rate, seed)

    return checked


def rows_with(rises: dict[str, float]) -> list[dict[str, object]]:
    """Two seeds around the given rises of every arm; fine-tuning takes off four fifths."""
    return [
        {"seed": seed, "arm": arm, "condensed": k, "rise": k * v, "rise_finetuned": k * v / 5}
        for seed, spread in ((0, 0.9), (1, 1.1))
        for arm, rise in rises.items()
        for k in range(1, LAYERS + 1)
        for v in [rise * spread]
    ]


class TestClaims:
    RISES = dict(zip(ARMS, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), strict=True))  # noqa: RUF012

    def test_all_hold_where_the_arms_are_in_the_papers_order(self):
        claims = summarise(rows_with(self.RISES))["claims"]
        assert len(claims) == 8 and all(claim["verdict"] == "holds" for claim in claims)
        gain = claims[0]["measured"][2]
        assert gain["mean"] == pytest.approx(0.2)
        assert gain["standard_error"] == pytest.approx(0.02) and gain["runs"] == 2

    @pytest.mark.parametrize("arm", ARMS[1:])
    def test_an_arm_better_than_greedy_breaks_its_claims(self, arm):
        claims = summarise(rows_with({**self.RISES, arm: 0.05}))["claims"]
        assert any(claim["verdict"] == "reversed" for claim in claims)

    def test_one_number_of_layers_that_fails_is_enough(self):
        rows = rows_with(self.RISES)
        for row in rows:
            if row["arm"] == "random experts" and row["condensed"] == 3:
                row["rise"] = 0.0
        claims = {c["claim"]: c["verdict"] for c in summarise(rows)["claims"]}
        assert claims["greedy experts lose less than random ones"] == "reversed"
        assert claims["random experts lose less than shared only"] == "holds"

    def test_a_seed_that_does_not_follow_the_mean_is_told(self):
        rows = rows_with(self.RISES)
        rows[0]["rise"] = 0.3  # greedy with one layer condensed, seed 0
        notes = {c["claim"]: c.get("note") for c in summarise(rows)["claims"]}
        assert notes["greedy experts lose less than random ones"] == "not in every seed"
        assert notes["random experts lose less than shared only"] == "in every seed"

    def test_fine_tuning_that_wins_back_little_is_told(self):
        rows = [{**row, "rise_finetuned": 0.7 * row["rise"]} for row in rows_with(self.RISES)]
        assert summarise(rows)["claims"][-1]["verdict"] == "reversed"
