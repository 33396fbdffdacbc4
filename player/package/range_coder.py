"""A range coder of bits whose probabilities adapt: no tables are sent, so none can be hostile.

    bits --> an interval of [0, 1), narrowed by each bit's probability --> the bytes that name it

Carries go into bytes that are already there (Martin, "Range encoding", 1979); the range is refilled
byte by byte as in LZMA. A context's probability is that of a one, in 1/65536: at first nearly the
share of ones so far, then an average that forgets.

A format is written once, for both directions: methods take the value to write and return the value
that was written or read, and a decoder ignores what it is given. A sequence of bits has exactly one
form. `compiler/runtime/range.c` reads the same in C.
"""

from abc import ABC, abstractmethod

from player.package.package_error import PackageError

EVEN = 1 << 15
MEMORY = 64  # uses after which a context forgets as fast as it learns
NUMBER_CONTEXTS = 26  # of a `number`: one for each length in bits, up to 25
_WHOLE, _LEAST_RANGE = (1 << 32) - 1, 1 << 24


class Coder(ABC):
    """Writes or reads bits with so many adaptive probabilities."""

    def __init__(self, contexts: int) -> None:
        self._ones = [EVEN] * contexts
        self._uses = [0] * contexts
        self._range = _WHOLE

    @abstractmethod
    def _split(self, bound: int, bit: int) -> int:
        """Narrow the range to `bound` for a one, to the rest for a zero; returns the bit."""

    def bit(self, context: int, bit: int) -> int:
        """A bit by its context's probability, which then adapts."""
        ones, uses = self._ones[context], self._uses[context]
        bit = self._split((self._range >> 16) * ones, bit)
        # Both ways positive, so that every machine rounds alike; neither 0 nor 1 is ever reached.
        if bit:
            self._ones[context] = ones + (2 * (65536 - ones)) // (2 * uses + 3)
        else:
            self._ones[context] = ones - 2 * ones // (2 * uses + 3)
        if uses < MEMORY:
            self._uses[context] = uses + 1
        return bit

    def even_bits(self, count: int, value: int) -> int:
        """A number of `count` bits, each as likely one as zero."""
        read = 0
        for place in reversed(range(count)):
            read = read << 1 | self._split(self._range >> 1, value >> place & 1)
        return read

    def number(self, contexts: int, value: int) -> int:
        """A number from 0 to 2^25 - 2, the shorter the cheaper (Elias's gamma code, 1975).

        Its length in bits is coded by NUMBER_CONTEXTS contexts from `contexts` on. Raises
        PackageError where what is read is longer.
        """
        above, length = value + 1, 0
        while self.bit(contexts + length, int(above >> length > 1)):
            length += 1
            if length == NUMBER_CONTEXTS - 1:
                raise PackageError("a coded number is too large; the file is damaged")
        return (1 << length | self.even_bits(length, above)) - 1

    def signed(self, contexts: int, value: int) -> int:
        """A number of either sign, coded by SIGNED_CONTEXTS contexts from `contexts` on."""
        if not self.bit(contexts, int(value != 0)):
            return 0
        negative = self.bit(contexts + 1, int(value < 0))
        magnitude = 1 + self.number(contexts + 2, abs(value) - 1)
        return -magnitude if negative else magnitude


SIGNED_CONTEXTS = 2 + NUMBER_CONTEXTS


class Encoder(Coder):
    """Writes; `finish` gives the bytes."""

    def __init__(self, contexts: int) -> None:
        super().__init__(contexts)
        self._low = 0
        self._bytes = bytearray()

    def _split(self, bound: int, bit: int) -> int:
        if bit:
            self._range = bound
        else:
            self._low += bound
            self._range -= bound
        while self._range < _LEAST_RANGE:
            self._range <<= 8
            self._shift()
        return bit

    def _shift(self) -> None:
        """The upper byte of `low` goes out, its carry into the bytes before."""
        at = len(self._bytes) - 1
        if self._low > _WHOLE:
            # Never before the first byte: the interval lies within [0, 1).
            while self._bytes[at] == 255:
                self._bytes[at] = 0
                at -= 1
            self._bytes[at] += 1
        self._bytes.append(self._low >> 24 & 255)
        self._low = (self._low & 0xFFFFFF) << 8

    def finish(self) -> bytes:
        """All bytes, of which the last is the first value of eight bits within the interval."""
        # The range is never below 2^24, so that there is one.
        self._low += _LEAST_RANGE - 1
        self._shift()
        return bytes(self._bytes)


class Decoder(Coder):
    """Reads; raises PackageError past the end, and `finish` tells whether that was reached."""

    def __init__(self, data: bytes, contexts: int) -> None:
        super().__init__(contexts)
        # An encoder's last byte is followed by zeros, and as many of them as this are looked at.
        self._data = data + bytes(3)
        self._at = 4
        self._code = int.from_bytes(self._data[:4], "big")
        if not data or self._code == _WHOLE:
            raise PackageError("coded numbers begin as no encoder begins; the file is damaged")

    def _split(self, bound: int, bit: int) -> int:
        bit = int(self._code < bound)
        if bit:
            self._range = bound
        else:
            self._code -= bound
            self._range -= bound
        while self._range < _LEAST_RANGE:
            if self._at == len(self._data):
                raise PackageError("coded numbers go on behind their end; the file is damaged")
            self._range <<= 8
            self._code = self._code << 8 | self._data[self._at]
            self._at += 1
        return bit

    def finish(self) -> None:
        """Raises PackageError unless the bytes are those that an encoder makes of what was read."""
        # Of the values of the last byte an encoder takes the first that leads into the interval:
        # less than a step of that byte is left of the code.
        if self._at != len(self._data) or self._code >= _LEAST_RANGE:
            raise PackageError("coded numbers end elsewhere than they should; the file is damaged")
