"""ISDOS: convolutions, pooling, matrix products, padding and pixel shuffle."""

from collections.abc import Sequence
from dataclasses import dataclass

from compiler.importing.shapes.axes import ranked, ranked_or_stop
from compiler.importing.shapes.elementwise import broadcast_dims
from compiler.importing.shapes.facts import UNDEFINED, Facts, TensorFacts
from compiler.importing.shapes.formula import quotient, quotient_up
from compiler.importing.shapes.lattice import NAC, UNDEF, Element, Known, NotConstant
from compiler.importing.shapes.operators import OperatorClass, Site, rank_of, register, unranked

_DATA, _KERNEL = "NCHW", "OIHW"
_PLAIN = 4


@dataclass(frozen=True)
class _Slide:
    """How a window moves along one axis."""

    step: int
    spread: int
    padding: int  # on both sides together


def _slides(site: Site) -> tuple[_Slide, _Slide]:
    attributes = site.attributes
    steps, spreads = attributes.strides, attributes.dilation
    top, left, bottom, right = (int(p) for p in attributes.padding)
    rows = _Slide(int(steps[0]), int(spreads[0]), top + bottom)
    return rows, _Slide(int(steps[1]), int(spreads[1]), left + right)


def _has_plain_layouts(site: Site) -> bool:
    attributes = site.attributes
    kernel = getattr(attributes, "kernel_layout", _KERNEL)
    return (attributes.data_layout, kernel, attributes.out_layout) == (_DATA, _KERNEL, _DATA)


def _conv2d_back(site: Site, result: Facts) -> list[Facts]:
    """Channels agree; without a stride the output's size gives the input's."""
    if not _has_plain_layouts(site) or not isinstance(result, TensorFacts):
        return [UNDEFINED, UNDEFINED]
    batch, out, *sizes = _dims4(result)
    _, channels, *_ = _dims4(site.tensor(0))
    _, deep, *window = _dims4(site.tensor(1))
    groups = int(site.attributes.groups)
    lengths = [
        _length_before(site, size, taps, slide)
        for size, taps, slide in zip(sizes, window, _slides(site), strict=True)
    ]
    read = site.domain.apply(lambda d: d * groups, deep)
    data = (batch, read, *lengths)
    weight = (out, channels if groups == 1 else UNDEF, UNDEF, UNDEF)
    return [TensorFacts(row, UNDEF) for row in (data, weight)]


def _dims4(facts: TensorFacts) -> tuple[Element, ...]:
    dims = facts.dims
    if isinstance(dims, NotConstant):
        return (dims,) * _PLAIN
    return dims if len(dims) == _PLAIN else (NAC,) * _PLAIN


def _length_before(site: Site, length: Element, taps: Element, slide: _Slide) -> Element:
    if slide.step != 1:
        return UNDEF
    rest = slide.padding
    return site.domain.apply(lambda n, k: n + slide.spread * (k - 1) - rest, length, taps)


@register(OperatorClass.ISDOS, "nn.conv2d", backward=_conv2d_back)
def _conv2d(site: Site) -> Facts:
    if not _has_plain_layouts(site):
        return TensorFacts((NAC,) * _PLAIN)
    batch, _, *lengths = _dims4(site.tensor(0))
    out, _, *window = _dims4(site.tensor(1))
    places = zip(lengths, window, _slides(site), strict=True)
    return TensorFacts((batch, out, *(_slid(site, n, k, s) for n, k, s in places)))


def _slid(site: Site, length: Element, taps: Element, slide: _Slide) -> Element:
    return site.domain.apply(
        lambda n, k: quotient(n + slide.padding - slide.spread * (k - 1) - 1, slide.step) + 1,
        length,
        taps,
    )


@register(OperatorClass.ISDOS, "nn.max_pool2d", "nn.avg_pool2d")
def _pool2d(site: Site) -> Facts:
    if (site.attributes.layout, site.attributes.out_layout) != (_DATA, _DATA):
        return TensorFacts((NAC,) * _PLAIN)
    batch, channels, *lengths = _dims4(site.tensor(0))
    divide = quotient_up if site.attributes.ceil_mode else quotient
    sizes = []
    for n, k, slide in zip(lengths, site.attributes.pool_size, _slides(site), strict=True):
        room = slide.padding - slide.spread * (int(k) - 1) - 1
        step = slide.step
        sizes.append(site.domain.apply(lambda n, r=room, s=step: divide(n + r, s) + 1, n))
    return TensorFacts((batch, channels, *sizes))


@register(OperatorClass.ISDOS, "nn.pixel_shuffle")
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


@register(OperatorClass.ISDOS, "nn.pad", backward=_pad_back)
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


@register(OperatorClass.ISDOS, "matmul", backward=_matmul_back)
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
