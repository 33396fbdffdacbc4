"""The weights of one convolution by the range coder, each in the context of what is expected.

How large a weight of output o and input i will be follows from those before it:

    expected |w|  =  mean |w| of output o  x  mean |w| of input i  /  mean |w| of the convolution

A network that is trained for few bits hardly uses some outputs, and hence the next convolution
hardly uses those inputs. The product sees both; beside it neighbouring weights tell no more. That
each bit of a magnitude has its context is DeepCABAC's way (Wiedemann et al., 2020, section III).
"""

from collections.abc import Sequence

from player.package.architecture import Shape
from player.package.integers import MAX_WEIGHT
from player.package.package_error import PackageError
from player.package.range_coder import NUMBER_CONTEXTS, Coder

# Expected magnitudes from 2^-6 to 2^6, two levels an octave; below that weights are zeros anyway.
_LEVELS, _FIRST_LEVEL = 24, 4
_BITS = 3  # contexts of a level: above 0, above 1, above more
_PLAIN = 15  # steps of a magnitude with a bit each; how many more there are is a number
_ESCAPE = _LEVELS * _BITS
_SIGNS = _ESCAPE + NUMBER_CONTEXTS
_SIGN_CONTEXTS = 3 * 3
WEIGHT_CONTEXTS = _SIGNS + 2 * _SIGN_CONTEXTS

_ONE = 256  # a magnitude of 1, in means
_FAITH = 2  # weights that a mean counts for before any of its own is seen


class WeightCoder:
    """Codes a convolution's weights, flat [O I k k], in place; a decoder's may be anything.

    `source` are the sums of magnitudes of each output of the convolution that this one reads, or
    None where it reads pixels.
    """

    def __init__(
        self, coder: Coder, weights: list[int], shape: Shape, source: Sequence[int] | None
    ) -> None:
        outputs, self._inputs, window, _ = shape
        self._coder, self._weights, self._taps = coder, weights, window**2
        # Where a filter is smooth, signs repeat: over its window, or over the outputs (colour, dy,
        # dx) of a window of one place.
        self._is_wide = window > 1
        self._near = 1 if self._is_wide else self._inputs
        self._steps = window if self._is_wide else outputs // 3
        self._columns = [0] * self._inputs  # sums of magnitudes of each input
        self._sum = self._count = 0
        self._source = source

    def code_output(self, output: int) -> int:
        """The weights of the next output, [I, k, k]; returns the sum of their magnitudes."""
        row = seen = 0
        at = output * self._inputs * self._taps
        for i in range(self._inputs):
            mean = _ONE * (self._sum + 1) // (self._count + 1) + 1
            column = self._column(output, i, mean)
            before = row
            for tap in range(self._taps):
                mean_row = _log2(_ONE * row + _FAITH * mean) - _log2(seen + _FAITH)
                level = (column + mean_row >> 4) - _FIRST_LEVEL
                place = tap if self._is_wide else output
                row += self._code(at + seen, place, max(0, min(_LEVELS - 1, level)))
                seen += 1
            self._columns[i] += row - before
            self._sum += row - before
            self._count += self._taps
        return row

    def skip_output(self) -> None:
        """The next output's weights are zeros, of which no bit is spent."""
        self._count += self._inputs * self._taps

    def _column(self, output: int, i: int, mean: int) -> int:
        """log2, in 1/32, of input i's mean over the mean of all."""
        likely = mean
        if self._source is not None:
            # An input is as large as the output that makes it: zero if that is, never more than 2.
            share = self._source[i] * self._inputs
            likely = min(2 * mean, mean * share // max(1, sum(self._source)))
        sums = _ONE * self._columns[i] + _FAITH * likely + 1
        return _log2(sums) - _log2(output * self._taps + _FAITH) - _log2(mean)

    def _code(self, at: int, place: int, level: int) -> int:
        """Weight `at`, the `place`-th of its filter, in a level's contexts; returns its size."""
        coder, weight = self._coder, self._weights[at]
        # Of sizes that are expected to be large the lower bits are noise.
        low = max(0, (level >> 1) - 7)
        high, context, steps = abs(weight) >> low, level * _BITS, 0
        while steps < _PLAIN and coder.bit(context + min(steps, _BITS - 1), int(high > steps)):
            steps += 1
        if steps == _PLAIN:
            steps += coder.number(_ESCAPE, high - _PLAIN)
        size = steps << low | coder.even_bits(low, abs(weight))
        if size > MAX_WEIGHT:
            raise PackageError(f"weights: a coded weight is of {size}, not at most {MAX_WEIGHT}")
        negative = size and coder.bit(self._sign_context(at, place), int(weight < 0))
        self._weights[at] = -size if negative else size
        return size

    def _sign_context(self, at: int, place: int) -> int:
        """By the signs of the weight before, and of the one a line before, in the same filter."""
        context = 0
        for steps in (1, self._steps):
            before = self._weights[at - steps * self._near] if place >= steps else 0
            context = 3 * context + (before > 0) - (before < 0) + 1
        return _SIGNS + _SIGN_CONTEXTS * self._is_wide + context


def _log2(value: int) -> int:
    """The logarithm of a number from 1 on, in 1/32, straight between powers of two."""
    whole = value.bit_length() - 1
    return whole << 5 | (value << 5 >> whole) & 31
