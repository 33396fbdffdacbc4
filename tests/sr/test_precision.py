"""Convolutions go by bf16 only where that is not a reference loop."""

import pytest
import torch

from player.package.paths import HARD
from sr.models import architecture, build_network, precision
from sr.models.precision import bf16_where_fast, computes_in_bf16


@pytest.mark.parametrize("has_bf16", [True, False])
def test_bf16_where_the_processor_computes_in_it_else_fp32(monkeypatch, has_bf16):
    monkeypatch.setattr(precision, "computes_in_bf16", lambda: has_bf16)
    network = build_network(architecture("chain", 2, False), 0)
    with torch.no_grad(), bf16_where_fast():
        made = network.residuals(torch.zeros(1, 3, 40, 40))[HARD]
    assert made.dtype == (torch.bfloat16 if has_bf16 else torch.float32)


@pytest.mark.skipif(torch.backends.cpu.get_cpu_capability() != "AVX2", reason="another processor")
def test_avx2_alone_has_no_bf16():
    assert not computes_in_bf16()
