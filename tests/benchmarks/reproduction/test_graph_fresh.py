"""Graph tickets chosen on validation nodes: the test nodes choose nothing, seeds are fresh."""

import pytest

from benchmarks.reproduction import ReproduceOptions, graph_fresh
from benchmarks.reproduction.graph_fresh import (
    ARMS,
    CHOOSING,
    DEGREE,
    EDGE_L1,
    FRESH,
    HEAD,
    HEADS,
    PLAN,
    RANDOM,
    Question,
    Setting,
    claims,
    run,
    settings_of,
)

CHOSEN = EDGE_L1[1]


@pytest.fixture
def asked(monkeypatch) -> list[tuple[str, Setting, int]]:
    """The nodes, settings and seeds of the curves that a run asks for. CHOSEN is best on validation
    nodes, and worst on the test's."""
    found = []

    def curve(self, setting, seed, nodes):
        found.append((nodes, setting, seed))
        is_good = (setting.edge_l1 == CHOSEN) == (nodes == "val")
        return {"accuracy": 0.8 if is_good else 0.2, "whole": 0.8}

    monkeypatch.setattr(Question, "curve", curve)
    monkeypatch.setattr(graph_fresh, "load_planetoid", lambda *_: None)
    return found


def options(tmp_path, seeds=(0, 1)) -> ReproduceOptions:
    return ReproduceOptions(seeds, True, tmp_path, tmp_path)


def test_validation_nodes_choose_and_reported_seeds_are_fresh(asked, tmp_path):
    result = run(options(tmp_path))
    assert {seed for nodes, _, seed in asked if nodes == "val"} == {*CHOOSING}
    reported = [(setting, seed) for nodes, setting, seed in asked if nodes == "test"]
    assert {seed for _, seed in reported} == {FRESH, FRESH + 1}
    assert {setting.arm for setting, _ in reported} == set(ARMS)
    assert {s.edge_l1 for s, _ in reported if s.arm != RANDOM} == {CHOSEN}
    assert {r["accuracy"] for r in result["rows"] if r["arm"] == HEAD} == {0.2}


def test_every_arm_that_learns_masks_has_as_much_to_choose_from():
    learning = [settings_of(arm) for arm in ARMS if arm not in (RANDOM, HEAD)]
    assert {len(settings) for settings in learning} == {len(EDGE_L1)}
    assert {s.head for s in settings_of(HEAD)} == {*HEADS} and len(settings_of(RANDOM)) == 1


def test_a_run_goes_on_where_it_was_stopped(asked, tmp_path):
    first = run(options(tmp_path))
    count = len(asked)
    assert run(options(tmp_path)) == first and len(asked) == count


def test_the_plan_ends_at_two_fifths_of_the_pairs_and_four_fifths_of_the_weights():
    assert (1 - PLAN.edge_share) ** PLAN.rounds == pytest.approx(0.6)
    assert (1 - PLAN.weight_share) ** PLAN.rounds == pytest.approx(0.2)


def row(network: str, arm: str, seed: int, lost: float) -> dict[str, object]:
    return {"network": network, "arm": arm, "seed": seed, "whole": 0.8, "accuracy": 0.8 - lost}


def test_what_is_lost_is_judged_within_a_network_and_over_all():
    lost = {RANDOM: 0.1, HEAD: 0.03, DEGREE: -0.01}
    rows = [
        row(network, arm, seed, lost.get(arm, 0.05) + 0.001 * (seed + len(network)))
        for network in ("gcn, cora", "gin, cora", "gat, citeseer")
        for arm in ARMS
        for seed in range(3)
    ]
    verdicts = {claim["claim"]: claim["verdict"] for claim in claims(rows)}
    assert verdicts["gcn, cora: degree loses at most 1 point"] == "holds"
    assert verdicts["gcn, cora: ugs + wd loses at most 1 point"] == "reversed"
    assert verdicts["all networks: random loses more than 1 point"] == "holds"
    assert verdicts["all networks: degree is above random pairs"] == "holds"
    (one,) = [c for c in claims(rows) if c["claim"] == "all networks: degree is above ugs + wd"]
    assert one["measured"]["difference"]["runs"] == 3  # a network each
