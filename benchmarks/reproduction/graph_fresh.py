"""Graph lottery tickets whose settings are chosen on validation nodes, and reported on fresh seeds.

    choose   each arm's L1 on the edges and weight of the head, on validation nodes, by other seeds
    report   the arm as chosen, from other first weights; the test nodes are read here alone

After four rounds two fifths of the pairs and four fifths of the weights are gone. On Cora and
Citeseer, with a GCN, a GIN and a GAT; the public split. All of `random` is drawn; `random pairs`
leaves the weights to UGS, and is what pairs chosen by a mask or by degree are told against.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from statistics import fmean
from typing import Any

import torch

from benchmarks.reproduction import ReproduceOptions
from benchmarks.reproduction.datasets_planetoid import CitationGraph, load_planetoid
from benchmarks.reproduction.graph.gathering import NETWORKS
from benchmarks.reproduction.graph.gcn import GcnShape
from benchmarks.reproduction.graph.tickets import RECIPES, Recipe, TicketPlan, find_tickets
from benchmarks.reproduction.graph_tickets import DEGREE, HEAD, HIDDEN, RANDOM, UGS, task_of
from benchmarks.reproduction.rows import Row, RowStore
from benchmarks.verdict import at_least, at_most, comparison, means_within, sample

VERSION = 1  # of what a row means: rows of another are made anew
EDGES_GONE, WEIGHTS_GONE, ROUNDS = 0.4, 0.8, 4
PLAN = TicketPlan(
    rounds=ROUNDS,
    edge_share=1 - (1 - EDGES_GONE) ** (1 / ROUNDS),
    weight_share=1 - (1 - WEIGHTS_GONE) ** (1 / ROUNDS),
)
GRAPHS = {"cora": PLAN, "citeseer": replace(PLAN, learning_rate=1e-2, weight_decay=5e-4)}
RANDOM_PAIRS = "random pairs"
ARMS = (RANDOM, RANDOM_PAIRS, UGS, HEAD, DEGREE)
EDGE_L1, HEADS = (1e-2, 1e-3), (1.0, 0.1)  # to choose from
CHOOSING, FRESH = (100,), 200  # seeds; the reported ones are counted from FRESH
LOST = 0.01  # of accuracy: what "no loss" allows
_COMPARED = ((HEAD, UGS), (HEAD, RANDOM_PAIRS), (DEGREE, RANDOM_PAIRS), (DEGREE, HEAD))


@dataclass(frozen=True)
class Setting:
    """An arm with what is chosen for it: L1 on the edges' masks, the weight of the head."""

    arm: str
    edge_l1: float = EDGE_L1[0]
    head: float = 0.0

    @property
    def recipe(self) -> Recipe:
        return replace(RECIPES[self.arm], head=self.head)


def settings_of(arm: str) -> list[Setting]:
    """What there is to choose from; one where no masks learn."""
    recipe = RECIPES[arm]
    if recipe.step is None:
        return [Setting(arm)]
    heads = HEADS if recipe.head else (0.0,)
    return [Setting(arm, edge_l1, head) for head in heads for edge_l1 in EDGE_L1]


@dataclass(frozen=True)
class Question:
    """A network of a kind on a graph."""

    kind: str
    graph: str
    data: CitationGraph
    plan: TicketPlan

    @property
    def name(self) -> str:
        return f"{self.kind}, {self.graph}"

    def curve(self, setting: Setting, seed: int, nodes: str) -> dict[str, Any]:
        """What a setting's last ticket and the whole network are right on, of the nodes `val` or
        `test`."""
        task, plan = task_of(self.data), replace(self.plan, edge_l1=setting.edge_l1, seed=seed)
        shape = GcnShape(self.data.features.shape[1], HIDDEN, task.classes, kind=self.kind)
        whole, *_, last = find_tickets(task, shape, setting.recipe, plan)
        judged = torch.from_numpy(getattr(self.data, nodes))
        return {
            "accuracy": task.accuracy(last.logits(task.x, task.pairs[last.kept]), judged),
            "whole": task.accuracy(whole.logits(task.x, task.pairs), judged),
            "edges_pruned": last.edges_pruned,
            "weights_pruned": last.weights_pruned,
        }


def run(options: ReproduceOptions) -> dict[str, Any]:
    """All arms of all networks on all graphs. Raises InputError where a graph cannot be read."""
    quick = {"rounds": 1, "epochs": 8} if options.quick else {}
    kinds = list(NETWORKS)[:1] if options.quick else list(NETWORKS)
    store, rows, chosen = RowStore(options.work), [], {}
    for graph, plan in GRAPHS.items():
        data = load_planetoid(options.sets / "planetoid", graph)
        for kind in kinds:
            question = Question(kind, graph, data, replace(plan, **quick))
            for arm in ARMS:
                setting = chosen_setting(question, arm, store)
                chosen[f"{question.name}, {arm}"] = asdict(setting)
                for seed in options.seeds:
                    row = kept_curve(question, setting, FRESH + seed, "test", store)
                    rows.append({"network": question.name, "arm": arm, "seed": seed, **row})
    return {
        "settings": {**asdict(PLAN), "chosen": chosen},
        "table_by": ["network", "arm"],
        "rows": rows,
        "claims": claims(rows),
    }


def kept_curve(question: Question, setting: Setting, seed: int, nodes: str, store: RowStore) -> Row:
    """A setting's row, made once."""
    key = {"version": VERSION, "kind": question.kind, "graph": question.graph, "nodes": nodes}
    key |= asdict(question.plan) | asdict(setting) | {"seed": seed}
    return store.row(key, partial(question.curve, setting, seed, nodes))


def chosen_setting(question: Question, arm: str, store: RowStore) -> Setting:
    """The arm's best setting on the validation nodes, of equal ones the first."""

    def right(setting: Setting) -> float:
        found = (kept_curve(question, setting, seed, "val", store) for seed in CHOOSING)
        return fmean(row["accuracy"] for row in found)

    settings = settings_of(arm)
    return max(settings, key=right) if len(settings) > 1 else settings[0]


def claims(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What the paper says, for each network over seeds, and over all networks."""
    told = [{**row, "lost": row["whole"] - row["accuracy"]} for row in rows]
    networks = list(dict.fromkeys(row["network"] for row in told))
    groups = {name: [r for r in told if r["network"] == name] for name in networks}
    found = [claim for name, own in groups.items() for claim in _claims(name, own, ("seed",))]
    if len(networks) > 1:
        found += _claims("all networks", told, ("network", "seed"))
    return found


def _claims(name: str, rows: Sequence[Row], by: Sequence[str]) -> list[dict[str, Any]]:
    unit = by[0]
    return [
        *(_loss(f"{name}: {arm} loses at most {LOST * 100:g} point", rows, arm, unit, at_most)
          for arm in (HEAD, DEGREE)),
        _loss(f"{name}: {RANDOM} loses more than {LOST * 100:g} point", rows, RANDOM, unit,
              at_least),
        *(comparison(f"{name}: {arm} is above {other}", rows, (arm, other), "accuracy", by=by)
          for arm, other in _COMPARED),
    ]  # fmt: skip


def _loss(
    words: str,
    rows: Sequence[Row],
    arm: str,
    unit: str,
    judge: Callable[[Sequence[float], float], str],
) -> dict[str, Any]:
    """A claim on how far an arm's tickets are below the whole network of the same seed."""
    lost = means_within(rows, arm, "lost", unit)
    return {"claim": words, "verdict": judge(lost, LOST), "measured": {"lost": sample(lost)}}
