"""A small mixture-of-experts language model of characters: text, model, training.

The text is CPython's own: the .py files of the running interpreter's standard library.
"""

import math
import random
import statistics
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

LAYERS, EXPERTS, TOP, WIDTH, HIDDEN, SHARED = 4, 16, 4, 96, 48, 2
VOCABULARY = 97  # newline, the 95 printable characters of ASCII, anything else
BALANCE = 0.01
WARM_UP_STEPS = 50
_NOT_TEXT = {"site-packages", "dist-packages", "test", "tests", "idlelib", "__pycache__"}


@dataclass(frozen=True)
class Settings:
    """The work of one seed; `keep` routed experts a layer, `draws` of random ones to average."""

    train_steps: int = 800
    finetune_steps: int = 60
    batch: int = 8
    length: int = 128
    rate: float = 3e-3
    finetune_rate: float = 5e-4
    calibration_batches: int = 12
    validation_batches: int = 16
    keep: int = 4
    draws: int = 5


QUICK = Settings(40, 3, 4, 64, calibration_batches=1, validation_batches=1, draws=2)


@dataclass(frozen=True)
class Corpus:
    """Characters as numbers below VOCABULARY, uint8 [characters]; files are never split."""

    training: Tensor
    validation: Tensor

    def windows(self, text: Tensor, count: int, settings: Settings, seed: int) -> list[Tensor]:
        """`count` batches [batch, length] of int64 from places drawn with a seed."""
        generator = torch.Generator().manual_seed(seed)
        return [_batch(text, settings, generator) for _ in range(count)]


def _batch(text: Tensor, settings: Settings, generator: torch.Generator) -> Tensor:
    begins = torch.randint(len(text) - settings.length, (settings.batch,), generator=generator)
    return torch.stack([text[b : b + settings.length] for b in begins.tolist()]).long()


def read_corpus(seed: int) -> Corpus:
    """The running interpreter's standard library; a tenth of its files, drawn, is validation."""
    root = Path(sysconfig.get_paths()["stdlib"])
    files = sorted(
        file for file in root.rglob("*.py") if not _NOT_TEXT & set(file.relative_to(root).parts)
    )
    random.Random(seed).shuffle(files)
    held_out = len(files) // 10
    return Corpus(_encode(files[held_out:]), _encode(files[:held_out]))


def _encode(files: Sequence[Path]) -> Tensor:
    table = torch.full((256,), VOCABULARY - 1, dtype=torch.uint8)
    table[10] = 0
    table[32:127] = torch.arange(1, 96, dtype=torch.uint8)
    raw = b"".join(file.read_bytes() for file in files)
    return table[torch.frombuffer(bytearray(raw), dtype=torch.uint8).long()]


def new_model(seed: int, dense_layers: int = 0) -> nn.Module:
    """A DeepSeek-V2 of random weights; its first `dense_layers` are plain and condensed-wide."""
    from transformers import DeepseekV2Config, DeepseekV2ForCausalLM

    torch.manual_seed(seed)
    config = DeepseekV2Config(
        vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=LAYERS,
        num_attention_heads=4, num_key_value_heads=4, n_routed_experts=EXPERTS,
        num_experts_per_tok=TOP,
        n_shared_experts=SHARED, moe_intermediate_size=HIDDEN, first_k_dense_replace=dense_layers,
        intermediate_size=HIDDEN * (SHARED + Settings().keep), topk_method="greedy",
        q_lora_rank=None, kv_lora_rank=48, qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=24,
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    return cast(nn.Module, DeepseekV2ForCausalLM(config))


def count_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def losses(model: nn.Module, tokens: Tensor) -> tuple[Tensor, Tensor | float]:
    """Cross entropy a character, and the routers' load-balance losses (Switch Transformer's).

    One loss a layer: transformers' function counts over all layers that it is given, so a layer
    that starves an expert can hide behind another that overfeeds it. With the layers together,
    experts of one layer took from none to nine tenths of the tokens.
    """
    from transformers.models.qwen2_moe.modeling_qwen2_moe import load_balancing_loss_func

    out = model(input_ids=tokens, labels=tokens, output_router_logits=True, use_cache=False)
    routers = out.router_logits or ()
    return out.loss, sum(load_balancing_loss_func((r,), EXPERTS, TOP) for r in routers)


def train(
    model: nn.Module, parameters: Sequence[nn.Parameter], text: Tensor, settings: Settings,
    steps: int, rate: float, seed: int,
) -> None:  # fmt: skip
    """AdamW on seeded windows of `text`: warm-up of at most an eighth, then cosine to zero."""
    optimiser = torch.optim.AdamW(parameters, rate, betas=(0.9, 0.98), weight_decay=0.01)
    warm_up = min(WARM_UP_STEPS, steps // 8 + 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda i: min(1.0, (i + 1) / warm_up) * 0.5 * (1 + math.cos(math.pi * i / steps))
    )
    generator = torch.Generator().manual_seed(seed)
    model.train()
    for step in range(steps):
        loss, balance = losses(model, _batch(text, settings, generator))
        optimiser.zero_grad(set_to_none=True)
        (loss + BALANCE * balance).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 99:
            print(f"    step {step + 1}/{steps}: loss {loss.item():.3f}", flush=True)
    model.eval()


@torch.no_grad()
def validation_loss(model: nn.Module, batches: Sequence[Tensor]) -> float:
    """Mean cross entropy, nats a character."""
    return statistics.fmean(losses(model, tokens)[0].item() for tokens in batches)
