"""ISDOS: pooling, matrix products, padding and pixel shuffle."""

from collections.abc import Sequence

from benchmarks.reproduction.shapes.registry import ALL_RULES
from compiler.importing.shapes.facts import UNDEFINED, Facts, TensorFacts
from compiler.importing.shapes.lattice import (
    NAC,
    UNDEF,
    Element,
    Known,
    NotConstant,
    quotient,
    quotient_up,
)
from compiler.importing.shapes.operators import (
    OperatorClass,
    Site,
    rank_of,
    ranked,
    ranked_or_stop,
    unranked,
)
from compiler.importing.shapes.rules import broadcast_dims, plain_dims, slides

_DATA = "NCHW"


@ALL_RULES.enter(OperatorClass.ISDOS, "nn.max_pool2d", "nn.avg_pool2d")
def _pool2d(site: Site) -> Facts:
    if (site.attributes.layout, site.attributes.out_layout) != (_DATA, _DATA):
        return TensorFacts((NAC,) * len(_DATA))
    batch, channels, *lengths = plain_dims(site.tensor(0))
    divide = quotient_up if site.attributes.ceil_mode else quotient
    sizes = []
    for n, k, slide in zip(lengths, site.attributes.pool_size, slides(site), strict=True):
        room = slide.padding - slide.spread * (int(k) - 1) - 1
        step = slide.step
        sizes.append(site.domain.apply(lambda n, r=room, s=step: divide(n + r, s) + 1, n))
    return TensorFacts((batch, channels, *sizes))


@ALL_RULES.enter(OperatorClass.ISDOS, "nn.pixel_shuffle")
def _pixel_shuffle(site: Site) -> Facts:
    dims = ranked_or_stop(site)
    if isinstance(dims, TensorFacts):
        return dims
    factor = int(site.attributes.upscale_factor)
    *batch, channels, height, width = dims
    fewer = site.domain.apply(lambda c: quotient(c, factor * factor), channels)
    sizes = (site.domain.apply(lambda n: n * factor, n) for n in (height, width))
    return TensorFacts((*batch, fewer, *sizes))


def _pad_back(site: Site, result: Facts) -> list[Facts]:
    pads = _paddings(site)
    if not isinstance(result, TensorFacts) or isinstance(result.dims, NotConstant):
        return [TensorFacts((UNDEF,) * len(pads), UNDEF)]
    pairs = zip(result.dims, pads, strict=True)
    dims = tuple(site.domain.apply(lambda n, p=p: n - p, d) for d, p in pairs)
    return [TensorFacts(dims, UNDEF)]


def _paddings(site: Site) -> list[int]:
    widths = [int(p) for p in site.attributes.pad_width]
    return [a + b for a, b in zip(widths[::2], widths[1::2], strict=True)]


@ALL_RULES.enter(OperatorClass.ISDOS, "nn.pad", backward=_pad_back)
def _pad(site: Site) -> Facts:
    dims = ranked_or_stop(site)
    if isinstance(dims, TensorFacts):
        return dims
    pairs = zip(dims, _paddings(site), strict=True)
    return TensorFacts(tuple(site.domain.apply(lambda n, p=p: n + p, d) for d, p in pairs))


def _matmul_back(site: Site, result: Facts) -> list[Facts]:
    """SoD2's example: out [2a, 4b] and left [2a, 2c] give right [2c, 4b]."""
    left, right = site.tensor(0), site.tensor(1)
    if min(rank_of(left) or 0, rank_of(right) or 0) < 2:
        return [UNDEFINED, UNDEFINED]
    inner, deep = ranked(site)[-1], ranked(site, 1)[-2]
    ends = result.dims if isinstance(result, TensorFacts) else UNDEF
    out = (UNDEF, UNDEF) if isinstance(ends, NotConstant) else ends[-2:]
    return [
        _at_the_end(left, (out[0], deep)),
        _at_the_end(right, (inner, out[1])),
    ]


def _at_the_end(facts: TensorFacts, ends: Sequence[Element]) -> TensorFacts:
    before = (rank_of(facts) or 0) - len(ends)
    return TensorFacts((UNDEF,) * before + tuple(ends), UNDEF)


@ALL_RULES.enter(OperatorClass.ISDOS, "matmul", backward=_matmul_back)
def _matmul(site: Site) -> Facts:
    stop = unranked(site.tensor(0), site.tensor(1))
    if stop:
        return stop
    left, right = ranked(site), ranked(site, 1)
    # A vector is a row on the left and a column on the right, and its axis goes.
    wide = left if len(left) > 1 else (Known(1), *left)
    high = right if len(right) > 1 else (*right, Known(1))
    batch = broadcast_dims(site, wide[:-2], high[:-2])
    assert not isinstance(batch, NotConstant)
    rows = wide[-2:-1] if len(left) > 1 else ()
    columns = high[-1:] if len(right) > 1 else ()
    return TensorFacts((*batch, *rows, *columns))
