"""Jensen-Shannon divergence of softmaxed vectors: how far a condensation moves a layer's output.

As in CD-MoE's published search: softmax over the features of one place (a token's hidden vector,
a pixel's channels), divergence in fp32, then the mean over the places.
"""

import torch
from torch import Tensor

_BELOW_ONE = 1 - 2**-24


def js_divergence(left: Tensor, right: Tensor) -> Tensor:
    """Jensen-Shannon divergence in nats (0 to ln 2) of [..., D] and [..., D], softmaxed: [...].

    With p and q the two distributions, m their mean and t = (p - q) / (p + q), a feature's share
    is m/2 ((1+t) log(1+t) + (1-t) log(1-t)). It equals the textbook's p log(p/m) + q log(q/m),
    halved, but does not lose the tiny divergences of a search to the rounding of large logarithms.
    """
    p = torch.softmax(left.float(), dim=-1)
    q = torch.softmax(right.float(), dim=-1)
    total = p + q
    t = ((p - q) / total.clamp_min(torch.finfo(torch.float32).tiny)).clamp(-_BELOW_ONE, _BELOW_ONE)
    share = (1 + t) * torch.log1p(t) + (1 - t) * torch.log1p(-t)
    return 0.25 * (total * share).sum(dim=-1)


def mean_js(left: Tensor, right: Tensor, chunk: int = 8192) -> float:
    """Mean of `js_divergence` over the N places of [N, D] and [N, D], `chunk` places at a time."""
    parts = zip(left.split(chunk), right.split(chunk), strict=True)
    return sum(js_divergence(a, b).double().sum().item() for a, b in parts) / left.shape[0]
