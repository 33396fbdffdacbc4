"""The range coder: what goes in comes out, in one form, in about the bits that it is worth."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.package.package_error import PackageError
from player.package.range_coder import NUMBER_CONTEXTS, SIGNED_CONTEXTS, Coder, Decoder, Encoder

CONTEXTS = 3
MOST = 2**25 - 2  # of a number
ALL_CONTEXTS = CONTEXTS + NUMBER_CONTEXTS + SIGNED_CONTEXTS
items = st.one_of(
    st.tuples(st.integers(0, CONTEXTS - 1), st.integers(0, 1)),
    st.tuples(st.just("number"), st.one_of(st.integers(0, 40), st.integers(0, MOST))),
    st.tuples(st.just("signed"), st.integers(-MOST - 1, MOST + 1)),
    st.tuples(st.just("bits"), st.integers(0, 2**20 - 1)),
)
Items = list[tuple[int | str, int]]


def code(coder: Coder, things: Items) -> Items:
    """Writes the things, or reads others of their kinds."""
    done: Items = []
    for kind, value in things:
        if kind == "number":
            value = coder.number(CONTEXTS, value)
        elif kind == "signed":
            value = coder.signed(CONTEXTS + NUMBER_CONTEXTS, value)
        elif kind == "bits":
            value = coder.even_bits(20, value)
        else:
            value = coder.bit(kind, value)
        done.append((kind, value))
    return done


def encoded(things: Items) -> bytes:
    encoder = Encoder(ALL_CONTEXTS)
    assert code(encoder, things) == things
    return encoder.finish()


def decoded(data: bytes, things: Items) -> Items:
    decoder = Decoder(data, ALL_CONTEXTS)
    done = code(decoder, [(kind, 0) for kind, _ in things])
    decoder.finish()
    return done


@settings(max_examples=150, deadline=None)
@given(st.lists(items, max_size=120))
def test_what_goes_in_comes_out(things):
    assert decoded(encoded(things), things) == things


@settings(max_examples=300, deadline=None)
@given(st.lists(items, max_size=40), st.data())
def test_bytes_are_refused_or_what_an_encoder_makes(things, data):
    """Whatever they are: so one sequence has one form."""
    good = bytearray(encoded(things))
    match data.draw(st.sampled_from(["longer", "shorter", "other", "any"])):
        case "longer":
            good.append(data.draw(st.integers(0, 255)))
        case "shorter":
            good.pop()
        case "other":
            good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
        case "any":
            good = bytearray(data.draw(st.binary(max_size=12)))
    try:
        found = decoded(bytes(good), things)
    except PackageError:
        return
    assert encoded(found) == bytes(good)


def test_carries_run_through_bytes_that_are_full():
    """Even bits of ones and a rest of zeros fill the low end; its last byte carries."""
    for ones in range(40):
        things: Items = [(0, 0)] * ones + [("bits", 0)] * 3
        assert decoded(encoded(things), things) == things


@pytest.mark.parametrize("data", [b"", b"\xff" * 4, b"\xff" * 40])
def test_what_no_encoder_writes_is_refused(data):
    with pytest.raises(PackageError, match="damaged"):
        decoded(data, [(0, 0)] * 8)


def test_reading_on_behind_the_end_stops():
    decoder = Decoder(b"\x12\x34\x56", 1)
    with pytest.raises(PackageError, match="behind their end"):
        for _ in range(100):
            decoder.even_bits(8, 0)


def test_a_number_too_large_is_refused():
    decoder = Decoder(bytes(400), NUMBER_CONTEXTS)
    with pytest.raises(PackageError, match="too large"):
        decoder.number(0, 0)


@pytest.mark.parametrize("share", [0.001, 0.03, 0.3, 0.5, 0.95])
def test_bits_cost_what_they_are_worth(share):
    """Beyond the entropy: learning a probability, and forgetting it, 1 % and some bits."""
    bits = np.random.default_rng(3).random(20_000) < share
    size = 8 * len(encoded([(0, int(bit)) for bit in bits]))
    mean = bits.mean()
    entropy = -len(bits) * (mean * math.log2(mean) + (1 - mean) * math.log2(1 - mean))
    assert entropy - 1 < size < 1.015 * entropy + 60
