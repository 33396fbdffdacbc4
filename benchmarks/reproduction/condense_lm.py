"""CD-MoE on a small language model of characters: what condensing layers costs, arm by arm.

    CPython's own .py files ─► mixture, 4 layers of shared + 16 routed experts, trained
      ─► gates, greedy experts, greedy layer order ─► 1, 2, 3, 4 layers condensed
      ─► rise of the validation loss (nats a character), before and after light fine-tuning

Every arm condenses copies of the same trained mixture and is judged on the same windows of files
that no arm was trained or calibrated on. Arms differ in one choice:

- greedy: experts by the search, layers in the order of the search;
- random experts, frequent experts, shared only: the same layers, other experts;
- random layers: the same experts, other layers. Before fine-tuning this is the mean over all sets
  of as many layers, so the exact expectation; the fine-tuned set is one draw;
- dense from scratch: every layer a plain FFN as wide as a condensed one, trained for the
  mixture's steps and the fine-tuning's together.

Paper: "Condense, Don't Just Prune: Enhancing Efficiency and Performance in MoE Layer Pruning".
"""

import argparse
import copy
import hashlib
import itertools
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from benchmarks.harness import environment, write_json
from benchmarks.reproduction.character_models import (
    EXPERTS,
    LAYERS,
    QUICK,
    TOP,
    Settings,
    count_parameters,
    new_model,
    read_corpus,
    train,
    validation_loss,
)
from benchmarks.reproduction.condense_lm_layers import (
    CondensedFfn,
    LayerSearch,
    condense_block,
    decoder_layers,
    order_layers,
    replace_layers,
    replaced_layers,
    search_layer,
    train_only_condensed,
)
from benchmarks.shrinking.controls import (
    SHARED_ONLY,
    frequent_experts,
    random_experts,
    random_layers,
)
from benchmarks.verdict import all_of, at_least, sample
from sr.shrink.expert_search import LayerOrder

CONTROLS = ("random experts", "frequent experts", "shared only", "random layers")
DENSE = "dense from scratch"


class Rows:
    """The rows measured so far, on disk after each, so that a killed run goes on where it was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.all: list[dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else []

    def has(self, seed: int, arm: str, condensed: int) -> bool:
        return any(
            (r["seed"], r["arm"], r["condensed"]) == (seed, arm, condensed) for r in self.all
        )

    def add(self, row: dict[str, Any]) -> None:
        self.all.append(row)
        write_json(self._path, cast(Any, self.all))
        numbers = {k: round(v, 4) for k, v in row.items() if isinstance(v, float)}
        print(
            f"  seed {row['seed']}, {row['condensed']} layers, {row['arm']}: {numbers}", flush=True
        )


class Subject:
    """One seed's trained mixture, its searches, and the windows all arms are judged on."""

    def __init__(self, seed: int, settings: Settings, folder: Path) -> None:
        self.seed, self.settings = seed, settings
        self.corpus = read_corpus(seed)
        text, held_out = self.corpus.training, self.corpus.validation
        self.validation = self.corpus.windows(held_out, settings.validation_batches, settings, 1)
        self.calibration = self.corpus.windows(text, settings.calibration_batches, settings, 2)
        self.model = self._trained(folder / f"mixture_{seed}.pt")
        self.base_loss = validation_loss(self.model, self.validation)
        self.searches: dict[int, LayerSearch] = {
            i: search_layer(self.model, i, self.calibration, settings.keep) for i in range(LAYERS)
        }
        self.greedy = self.blocks({i: s.choice.experts for i, s in self.searches.items()})
        self.order: LayerOrder = order_layers(self.model, self.greedy, self.calibration, LAYERS)

    def _trained(self, path: Path) -> nn.Module:
        model = new_model(self.seed)
        if path.is_file():
            model.load_state_dict(torch.load(path, weights_only=True))
            return model.eval()
        print(f"  seed {self.seed}: training the mixture", flush=True)
        s = self.settings
        train(
            model, list(model.parameters()), self.corpus.training, s, s.train_steps, s.rate,
            self.seed,
        )  # fmt: skip
        torch.save(model.state_dict(), path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
        return model

    def blocks(self, experts: Mapping[int, Sequence[int]]) -> dict[int, CondensedFfn]:
        """Condensed blocks of every layer with the named experts."""
        layers = decoder_layers(self.model)
        return {
            i: condense_block(cast(Any, layers[i]).mlp, kept, self.searches[i].gates)
            for i, kept in experts.items()
        }

    def rise(self, blocks: Mapping[int, nn.Module], layers: Sequence[int]) -> float:
        """How much the validation loss rises with `layers` condensed, without fine-tuning."""
        with replaced_layers(self.model, {i: blocks[i] for i in layers}):
            return validation_loss(self.model, self.validation) - self.base_loss

    def parameters(self, blocks: Mapping[int, nn.Module], layers: Sequence[int]) -> int:
        """The size of the network with `layers` condensed."""
        with replaced_layers(self.model, {i: blocks[i] for i in layers}):
            return count_parameters(self.model)

    def rise_finetuned(self, blocks: Mapping[int, nn.Module], layers: Sequence[int]) -> float:
        """The same after training the shared and kept experts of the condensed layers."""
        model, s = copy.deepcopy(self.model), self.settings
        replace_layers(model, copy.deepcopy({i: blocks[i] for i in layers}))
        parameters = train_only_condensed(model)
        seed = self.seed + 1000
        train(
            model, parameters, self.corpus.training, s, s.finetune_steps, s.finetune_rate, seed
        )  # fmt: skip
        return validation_loss(model, self.validation) - self.base_loss


def arm_blocks(subject: Subject, arm: str) -> list[dict[int, CondensedFfn]]:
    """The blocks of an arm: one set, or one for each draw of random experts."""
    keep, seed = subject.settings.keep, subject.seed
    if arm == "shared only":
        return [subject.blocks(dict.fromkeys(range(LAYERS), SHARED_ONLY))]
    if arm == "frequent experts":
        found = {i: frequent_experts(s.counts, keep) for i, s in subject.searches.items()}
        return [subject.blocks(found)]
    if arm == "random experts":
        return [
            subject.blocks(
                {i: random_experts(EXPERTS, keep, 1000 * seed + 10 * d + i) for i in range(LAYERS)}
            )
            for d in range(subject.settings.draws)
        ]
    return [subject.greedy]


def measure_arm(subject: Subject, arm: str, condensed: int) -> dict[str, Any]:
    """One row: an arm with so many layers condensed."""
    blocks = arm_blocks(subject, arm)
    layers: Sequence[int] = subject.order.layers[:condensed]
    sets = [layers]
    if arm == "random layers":
        sets = [list(c) for c in itertools.combinations(range(LAYERS), condensed)]
        layers = random_layers(range(LAYERS), subject.seed)[:condensed]
    rises = [subject.rise(b, chosen) for b in blocks for chosen in sets]
    return {
        "seed": subject.seed,
        "arm": arm,
        "condensed": condensed,
        "layers": list(layers),
        "base_loss": subject.base_loss,
        "parameters": subject.parameters(blocks[0], layers),
        "rise": statistics.fmean(rises),
        "rise_deviation": statistics.stdev(rises) if len(rises) > 1 else 0.0,
        "rise_finetuned": subject.rise_finetuned(blocks[0], layers),
    }


def measure_dense(subject: Subject) -> dict[str, Any]:
    """One row: the dense network of the condensed size, trained from random weights."""
    s, model = subject.settings, new_model(subject.seed, dense_layers=LAYERS)
    print(f"  seed {subject.seed}: training the dense network", flush=True)
    steps = s.train_steps + s.finetune_steps
    train(
        model, list(model.parameters()), subject.corpus.training, s, steps, s.rate, subject.seed
    )  # fmt: skip
    return {
        "seed": subject.seed,
        "arm": DENSE,
        "condensed": LAYERS,
        "base_loss": subject.base_loss,
        "parameters": count_parameters(model),
        "rise_finetuned": validation_loss(model, subject.validation) - subject.base_loss,
    }


def _jobs() -> list[tuple[str, int]]:
    """Every row of one seed. All layers condensed have no order, so no random one."""
    arms = [(arm, k) for k in range(1, LAYERS + 1) for arm in ("greedy", *CONTROLS)]
    return [(arm, k) for arm, k in arms if (arm, k) != ("random layers", LAYERS)] + [
        (DENSE, LAYERS)
    ]


def run_seed(seed: int, settings: Settings, folder: Path, rows: Rows) -> None:
    """Measure the rows of one seed that are not there yet."""
    missing = [(arm, k) for arm, k in _jobs() if not rows.has(seed, arm, k)]
    if not missing:
        return
    subject = Subject(seed, settings, folder)
    print(
        f"  seed {seed}: loss {subject.base_loss:.3f}, layer order {subject.order.layers}",
        flush=True,
    )
    for arm, condensed in missing:
        measure = (
            measure_dense if arm == DENSE else partial(measure_arm, arm=arm, condensed=condensed)
        )
        rows.add(measure(subject))


def run(seeds: Sequence[int], quick: bool, work_folder: Path) -> dict[str, Any]:
    """Run or resume every seed; rows, settings, summary and claims as benchmarks.reproduce reads.

    What is done lies in a subfolder of `work_folder` named after settings and architecture.
    """
    settings = QUICK if quick else Settings()
    folder = work_folder / f"condense_lm_{_digest(settings)}"
    folder.mkdir(parents=True, exist_ok=True)
    rows = Rows(folder / "rows.json")
    for seed in seeds:
        run_seed(seed, settings, folder, rows)
    wanted = [row for row in rows.all if row["seed"] in seeds]
    return {
        "settings": {**asdict(settings), "seeds": list(seeds), "experts": EXPERTS, "top": TOP},
        "environment": environment(["torch", "transformers"]),
        "rows": wanted,
        "table_by": ["condensed", "arm"],
        **summarise(wanted),
    }


def _digest(settings: Settings) -> str:
    config = cast(Any, new_model(0)).config.to_json_string()
    return hashlib.sha256(f"{settings} {config}".encode()).hexdigest()[:8]


def summarise(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and spread over the seeds of every arm, and each claim with what was measured."""
    before, after = _by_arm(rows, "rise"), _by_arm(rows, "rise_finetuned")
    return {
        "summary": {"before": _over_seeds(before), "after": _over_seeds(after)},
        "claims": claims(rows),
    }


def claims(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the paper says, seed by seed, for every number of layers that both arms have."""
    before, after = _by_arm(rows, "rise"), _by_arm(rows, "rise_finetuned")
    orderings = [
        ("greedy experts lose less than random ones", before, "greedy", "random experts"),
        ("random experts lose less than shared only", before, "random experts", "shared only"),
        ("greedy experts lose less than the most frequent", before, "greedy", "frequent experts"),
        ("the greedy layer order loses less than a random one", before, "greedy", "random layers"),
        ("fine-tuned, greedy loses less than shared only", after, "greedy", "shared only"),
        ("fine-tuned, greedy loses less than random experts", after, "greedy", "random experts"),
        ("condensed and fine-tuned beats dense from scratch", after, "greedy", DENSE),
    ]
    recovery = _recovery(before["greedy"], after["greedy"])
    return [*(_claim(*ordering) for ordering in orderings), recovery]


Figures = dict[str, dict[int, dict[int, float]]]


def _by_arm(rows: Sequence[Mapping[str, Any]], field: str) -> Figures:
    """arm -> layers condensed -> seed -> figure."""
    found: Figures = {}
    for row in rows:
        if field in row:
            by_seed = found.setdefault(row["arm"], {}).setdefault(row["condensed"], {})
            by_seed[row["seed"]] = row[field]
    return found


def _over_seeds(figures: Figures) -> dict[str, dict[int, dict[str, float]]]:
    return {arm: {k: _spread(v) for k, v in ks.items()} for arm, ks in figures.items()}


def _spread(by_seed: Mapping[int, float]) -> dict[str, float]:
    values = list(by_seed.values())
    return {
        "mean": statistics.fmean(values),
        "deviation": statistics.stdev(values) if len(values) > 1 else 0.0,
        "least": min(values),
        "most": max(values),
    }


def _claim(claim: str, figures: Figures, better: str, worse: str) -> dict[str, Any]:
    """Holds where it does for every number of layers that both arms have.

    `measured`: for each number of layers, by how much less loss (nats a character) the better arm
    rises; `note` says whether each seed by itself shows it.
    """
    gains = {
        k: [figures[worse][k][seed] - rise for seed, rise in figures[better][k].items()]
        for k in sorted(figures[better].keys() & figures[worse].keys())
    }
    every = all(min(gain) > 0 for gain in gains.values())
    return {
        "claim": claim,
        "verdict": all_of(*(at_least(gain) for gain in gains.values())),
        "measured": {k: sample(gain) for k, gain in gains.items()},
        "note": "in every seed" if every else "not in every seed",
    }


def _recovery(
    before: Mapping[int, Mapping[int, float]], after: Mapping[int, Mapping[int, float]]
) -> dict[str, Any]:
    """Fine-tuning wins back more than half of what condensing lost."""
    shares = {
        k: [1 - after[k][seed] / lost for seed, lost in by_seed.items()]
        for k, by_seed in before.items()
    }
    return {
        "claim": "fine-tuning wins back over half of the loss",
        "verdict": all_of(*(at_least(share, 0.5) for share in shares.values())),
        "measured": {k: sample(share) for k, share in shares.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reproduction.condense_lm", description=__doc__
    )
    parser.add_argument("--quick", action="store_true", help="a few steps of each, one seed")
    parser.add_argument("--work", type=Path, default=Path("build/reproduce"), metavar="FOLDER")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result = run((0,) if arguments.quick else (0, 1, 2), arguments.quick, arguments.work)
    name = "condense_lm_quick.json" if arguments.quick else "condense_lm.json"
    write_json(arguments.work / name, result)
    for claim in result["claims"]:
        gains = {k: f"{g['mean']:+.4f}" for k, g in claim["measured"].items()}
        print(f"{claim['verdict']}: {claim['claim']} {gains}")


if __name__ == "__main__":
    main()
