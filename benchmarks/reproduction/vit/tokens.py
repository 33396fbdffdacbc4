"""Which tokens go on through a transformer, and when: the token level of Tri-Level E-ViT.

    attention of a block --score--> keep ceil(r n) patches --gather--> later blocks see only these

The others stay behind in the state that they have reached. Nothing is masked: later blocks compute
as many rows as there are tokens left. The choice has no gradient (as in EViT, ICLR 2022).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Seen:
    """What a choice may look at: the attention [B, H, n, n] of a block, without gradient; its
    first `prefix` tokens are no patches and always stay; `detail` [B, n - prefix], how much there
    is in each patch, where the network knows."""

    attention: Tensor
    prefix: int
    detail: Tensor | None = None


Score = Callable[[Seen], Tensor]
"""How much each patch is wanted, [B, n - prefix]."""


def by_class_token(seen: Seen) -> Tensor:
    """What the first token, the class token, attends to; the mean over heads (EViT)."""
    return seen.attention[:, :, 0, seen.prefix :].mean(dim=1)


def by_received(seen: Seen) -> Tensor:
    """How much attention a patch receives from all patches; the mean over heads."""
    return seen.attention[:, :, seen.prefix :, seen.prefix :].mean(dim=(1, 2))


def by_detail(seen: Seen) -> Tensor:
    """How much there is in the patch itself: flat ones go first.

    Raises ValueError for a network that does not say.
    """
    if seen.detail is None:
        raise ValueError("this network gives no detail of its patches: score by attention")
    return seen.detail


class AtRandom:
    """The control: any patches, other ones for each image and each time."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, seen: Seen) -> Tensor:
        batch, _, n, _ = seen.attention.shape
        return torch.rand(batch, n - seen.prefix, generator=self._generator)


@dataclass(frozen=True)
class Blocks:
    """How many neighbouring queries choose together, and how many keys are chosen together."""

    queries: int = 32
    keys: int = 8

    def groups(self, n: int) -> int:
        """How many groups hold n queries."""
        return -(-n // self.queries)

    def key_blocks(self, n: int) -> int:
        """How many blocks hold n keys."""
        return -(-n // self.keys)


@dataclass(frozen=True)
class Sparsity:
    """At the blocks `at`, after their attention, choose the share `tokens` of the patches that are
    left by `score`, and the share `links` of the key blocks that each group of queries attends to
    from then on."""

    at: tuple[int, ...]
    tokens: float = 1.0
    links: float = 1.0
    score: Score = by_received
    blocks: Blocks = Blocks()


@dataclass(frozen=True)
class Schedule:
    """Both shares are 1 for `warm_up` steps, fall to the target by half a cosine in `decay` steps,
    and stay (Tri-Level E-ViT: 10 and 100 of 300 epochs).

    They fall in `levels` equal times, not at every step: torch prepares its products anew for each
    number of tokens, which costs more than a few tokens save.
    """

    warm_up: int
    decay: int
    levels: int = 8

    def at(self, step: int, target: Sparsity) -> Sparsity:
        """What holds after `step` steps."""
        share = min(max(step - self.warm_up, 0) / max(self.decay, 1), 1.0)
        level = math.floor(share * self.levels) / self.levels
        fallen = 0.5 * (1 - math.cos(math.pi * level))
        tokens, links = (1 - fallen * (1 - r) for r in (target.tokens, target.links))
        return replace(target, tokens=tokens, links=links)


def keep_count(n: int, ratio: float) -> int:
    """ceil(ratio n), at least one; 0.7 of 10 is 7 whatever the last bit of the product."""
    return max(1, math.ceil(ratio * n - 1e-9))


def choose(scores: Tensor, count: int) -> Tensor:
    """[B, n] -> [B, count]: the places of the highest scores, in rising order, so that neighbours
    stay neighbours."""
    return scores.topk(count, dim=1, sorted=False).indices.sort(dim=1).values


def gather(x: Tensor, places: Tensor) -> Tensor:
    """[B, n, ...] -> [B, m, ...] at `places` [B, m]."""
    index = places.reshape(*places.shape, *[1] * (x.dim() - 2))
    return x.gather(1, index.expand(*places.shape, *x.shape[2:]))


@dataclass(frozen=True)
class Tokens:
    """`x` [B, prefix + n, D], the tokens that go on; `kept` [B, n], which patches these are;
    `behind` [B, N, D], the states of those that do not (None: all go on); `detail` [B, n]."""

    x: Tensor
    prefix: int
    kept: Tensor
    behind: Tensor | None = None
    detail: Tensor | None = None

    @classmethod
    def all(cls, x: Tensor, prefix: int, detail: Tensor | None = None) -> "Tokens":
        """Before any choice."""
        batch, n = x.shape[0], x.shape[1] - prefix
        return cls(x, prefix, torch.arange(n).expand(batch, n), None, detail)

    def keep(self, places: Tensor) -> "Tokens":
        """Only the patches at `places` [B, m] of those that are left."""
        patches = self.x[:, self.prefix :]
        return replace(
            self,
            x=torch.cat([self.x[:, : self.prefix], gather(patches, places)], dim=1),
            kept=self.kept.gather(1, places),
            behind=self._all_patches(),
            detail=None if self.detail is None else self.detail.gather(1, places),
        )

    def states(self) -> Tensor:
        """[B, prefix + N, D]: every token in the state that it has reached."""
        return torch.cat([self.x[:, : self.prefix], self._all_patches()], dim=1)

    def _all_patches(self) -> Tensor:
        """[B, N, D]: those left in their places among those behind."""
        patches = self.x[:, self.prefix :]
        if self.behind is None:
            return patches
        index = self.kept[:, :, None].expand_as(patches)
        return self.behind.to(patches.dtype).scatter(1, index, patches)
