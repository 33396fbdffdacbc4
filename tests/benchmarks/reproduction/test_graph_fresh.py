"""Graph tickets chosen on validation nodes: the test nodes choose nothing, seeds are fresh."""

from dataclasses import replace

import pytest

from benchmarks.reproduction import ReproduceOptions, graph_fresh
from benchmarks.reproduction.graph_fresh import (
    ARMS,
    CHOOSING,
    DEGREE,
    EDGE_L1,
    FRESH,
    HEAD,
    PLAN,
    RANDOM,
    Question,
    claims,
    run,
)

CHOSEN = EDGE_L1[1]


@pytest.fixture
def asked(monkeypatch) -> list[tuple[str, int, float]]:
    """Arms, seeds and L1 of the curves that a run asks for. CHOSEN is best on validation nodes,
    and worst on the test's."""
    found = []

    def curve(self, arm, plan):
        found.append((arm, plan.seed, plan.edge_l1))
        right = 0.8 if plan.edge_l1 == CHOSEN else 0.7
        return {"val": right, "accuracy": 1 - right, "whole": 0.8}

    monkeypatch.setattr(Question, "curve", curve)
    monkeypatch.setattr(graph_fresh, "load_planetoid", lambda *_: None)
    return found


def options(tmp_path, seeds=(0, 1)) -> ReproduceOptions:
    return ReproduceOptions(seeds, True, tmp_path, tmp_path)


def test_validation_nodes_choose_and_reported_seeds_are_fresh(asked, tmp_path):
    result = run(options(tmp_path))
    reported = {(arm, seed, l1) for arm, seed, l1 in asked if seed not in CHOOSING}
    assert {seed for _, seed, _ in reported} == {FRESH, FRESH + 1}
    assert {l1 for arm, _, l1 in reported if arm == HEAD} == {CHOSEN}
    assert {arm for arm, _, _ in reported} == set(ARMS)
    assert {r["val"] for r in result["rows"] if r["arm"] == HEAD} == {0.8}
    # Pairs that are drawn or ranked by degree have no L1 to choose.
    chosen = {arm for arm, seed, _ in asked if seed in CHOOSING}
    assert chosen == {"ugs", HEAD}


def test_a_run_goes_on_where_it_was_stopped(asked, tmp_path):
    first = run(options(tmp_path))
    count = len(asked)
    assert run(options(tmp_path)) == first and len(asked) == count


def test_the_plan_ends_at_two_fifths_of_the_pairs_and_four_fifths_of_the_weights():
    assert (1 - PLAN.edge_share) ** PLAN.rounds == pytest.approx(0.6)
    assert (1 - PLAN.weight_share) ** PLAN.rounds == pytest.approx(0.2)
    assert replace(PLAN, seed=1) != PLAN


def row(network: str, arm: str, seed: int, lost: float) -> dict[str, object]:
    return {"network": network, "arm": arm, "seed": seed, "whole": 0.8, "accuracy": 0.8 - lost}


def test_what_is_lost_is_judged_within_a_network_and_over_all():
    lost = {RANDOM: 0.1, HEAD: 0.03, DEGREE: 0.002}
    rows = [
        row(network, arm, seed, lost.get(arm, 0.05) + 0.001 * seed)
        for network in ("gcn, cora", "gin, cora")
        for arm in ARMS
        for seed in range(3)
    ]
    verdicts = {claim["claim"]: claim["verdict"] for claim in claims(rows)}
    assert verdicts["gcn, cora: degree loses at most 1 point"] == "holds"
    assert verdicts["gcn, cora: ugs + wd loses at most 1 point"] == "reversed"
    assert verdicts["all networks: random loses more than 1 point"] == "holds"
    assert verdicts["all networks: degree is above random pairs"] == "holds"
    (one,) = [c for c in claims(rows) if c["claim"] == "all networks: degree is above ugs + wd"]
    assert one["measured"]["difference"]["runs"] == 6
