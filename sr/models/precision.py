"""In which numbers convolutions are trained: bf16, where the processor computes in them."""

import torch


def computes_in_bf16() -> bool:
    """Whether oneDNN has bf16 convolutions of its own here: with AVX-512, AMX, or ARM's bf16."""
    return torch.backends.mkldnn.is_available() and bool(
        torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def bf16_where_fast() -> torch.autocast:
    """The context for a forward pass: bf16, or fp32 on a processor that does not compute in bf16.

    There every bf16 convolution of torch goes by a reference loop, many times slower than fp32
    (benchmarks/precision.py).
    """
    return torch.autocast("cpu", torch.bfloat16, enabled=computes_in_bf16())
