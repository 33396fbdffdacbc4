"""The definition of the integer arithmetic, against numbers by hand and by other means."""

import zlib
from fractions import Fraction

import numpy as np
import pytest

from player.bicubic import upscale_bicubic
from player.package.anchor import fixed_taps, phase_taps
from player.package.architecture import Architecture
from player.package.package_error import PackageError
from player.package.paths import BICUBIC, EASY, HARD
from sr.quant import reference
from tests.sr.random_int8 import random_int8

CHAIN = Architecture("chain", 2, (4, 8), (1, 2))


def rne(value: Fraction) -> int:
    """Python rounds a fraction half to even."""
    return round(value)


def as_float32(value: Fraction) -> Fraction:
    """The float32 nearest to a fraction (float64 of a 24-bit times a 24-bit number is exact)."""
    return Fraction(float(np.float32(float(value))))


def test_fixed_taps_by_hand():
    """x2, phase 0: Keys at distances 1.75, 0.75, 0.25, 1.25: -3/128, 29/128, 111/128, -9/128."""
    across, down = fixed_taps(2)
    assert across[0].tolist() == [-384, 3712, 14208, -1152, 0]
    assert across[1].tolist() == across[0].tolist()[::-1]
    assert down[0].tolist() == [-768, 7424, 28416, -2304, 0]
    middle_across, middle_down = (taps[1] for taps in fixed_taps(3))
    assert middle_across.tolist() == [0, 0, 16384, 0, 0]
    assert middle_down.tolist() == [0, 0, 32767, 0, 0], "1.0 saturates"


@pytest.mark.parametrize("scale", [Fraction(3, 2), 2, 3, 4])
def test_fixed_taps_are_the_rounded_taps_and_fit_16_bit_sums(scale):
    across, down = fixed_taps(scale)
    assert across.dtype == down.dtype == np.int16
    assert np.abs(across - phase_taps(scale) * 2**14).max() <= 0.5
    assert np.abs(down - phase_taps(scale) * 2**15).max() <= 1
    # the largest H, and the largest A of such an H: below 2^15
    widest = 255 * np.abs(across.astype(int)).sum(axis=1).max() / 2**8
    assert widest * np.abs(down.astype(int)).sum(axis=1).max() / 2**15 + 32 < 2**15


def test_mulhrs_rounds_half_up_like_pmulhrsw():
    a = np.array([3, -3, 1, -1, 32767, -32768, 16384], np.int32)
    b = np.array([16384, 16384, 16384, 16384, 32767, 32767, 2], np.int32)
    assert reference.mulhrs(a, b).tolist() == [2, -1, 1, 0, 32766, -32767, 1]


def test_scaling_rounds_half_to_even_and_clamps():
    sums = np.array([[1, 3, 5, -1, 511, 10**6]], np.int32).T
    half = np.array([0.5], np.float32)
    assert reference.scaled(sums, half, (0, 255)).ravel().tolist() == [0, 2, 2, 0, 255, 255]
    assert reference.scaled(sums, half, (-32768, 32767))[3:].ravel().tolist() == [0, 256, 32767]


def test_scaling_is_one_rounded_multiplication():
    """16,777,213 x the float32 next to 0.1: rounded to a float32, then to an integer.

    The exact product, 1677721.325000..., is no float32; steps there are 1/8.
    """
    sums, m = np.array([[16777213]], np.int32), np.array([0.1], np.float32)
    exact = 16777213 * Fraction(float(m[0]))
    wanted = rne(as_float32(exact))
    assert reference.scaled(sums, m, (0, 1 << 24)).item() == wanted == 1677721


def test_a_convolution_by_hand():
    q = np.arange(9, dtype=np.uint8).reshape(3, 3, 1)
    weight = np.zeros((1, 1, 3, 3), np.int8)
    weight[0, 0, 0, 2], weight[0, 0, 2, 1] = 100, -127  # row 0 column 2, row 2 column 1
    sums = reference.convolve(q, weight, np.array([-5], np.int32))
    assert sums.tolist() == [[[2 * 100 - 7 * 127 - 5]]]


def test_shuffle_puts_channel_c_dy_dx_at_its_pixel():
    values = np.arange(12).reshape(1, 1, 12)
    pixels = reference.shuffle(values, 2)
    assert pixels[:, :, 0].tolist() == [[0, 1], [2, 3]]
    assert pixels[:, :, 2].tolist() == [[8, 9], [10, 11]]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_anchor_is_bicubic_to_a_sixteenth_of_a_code_value(scale):
    patch = np.random.default_rng(scale).integers(0, 256, (11, 13, 3)).astype(np.uint8)
    taps = phase_taps(scale)
    exact = np.zeros((7 * scale, 9 * scale, 3))
    for y in range(7 * scale):
        for x in range(9 * scale):
            window = patch[y // scale :, x // scale :][:5, :5].astype(float)
            exact[y, x] = np.einsum("k,l,klc->c", taps[y % scale], taps[x % scale], window)
    assert np.abs(reference.anchor(patch, scale) / 64 - exact).max() < 1 / 16


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("value", [0, 1, 77, 254, 255])
def test_a_flat_patch_stays_flat(scale, value):
    patch = np.full((6, 7, 3), value, np.uint8)
    assert (reference.upscale(CHAIN, {}, patch, BICUBIC) == value).all()
    arch = Architecture("chain", scale, (4,), (1,))
    assert (reference.upscale(arch, {}, patch, BICUBIC) == value).all()


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_player_without_an_engine_shows_the_same_bicubic(scale):
    lr = np.random.default_rng(scale).integers(0, 256, (12, 9, 3)).astype(np.uint8)
    padded = np.pad(lr, ((2, 2), (2, 2), (0, 0)), mode="edge")
    wanted = reference.upscale(Architecture("chain", scale, (4,), (1,)), {}, padded, BICUBIC)
    assert np.array_equal(upscale_bicubic(lr, scale), wanted)


def scalar_pixel(arch: Architecture, tensors: dict, patch: np.ndarray, at: tuple[int, int]) -> list:
    """One HR pixel of a chain's hard path in whole numbers and fractions, straight from the text.

    Nothing of it is shared with the reference but the taps.
    """
    depth, r = len(arch.widths), arch.scale
    ly, lx = at[0] // r, at[1] // r
    q = [[[int(v) for v in p] for p in row[lx : lx + 2 * depth + 1]] for row in patch]
    q = q[ly : ly + 2 * depth + 1]
    for i in range(depth):
        q = scalar_layer(q, tensors, f"trunk.{i}", 0, 255)
    ((detail,),) = scalar_layer(q, tensors, f"exits.{len(arch.exits) - 1}", -32768, 32767)
    across, down = (taps.tolist() for taps in fixed_taps(r))
    pixel = []
    for c in range(3):
        total = 0
        for k in range(5):
            wide = 0
            for j in range(5):
                y, x = ly + depth - 2 + k, lx + depth - 2 + j
                wide += ((int(patch[y, x, c]) << 7) * across[at[1] % r][j] + 2**14) // 2**15
            total += (wide * down[at[0] % r][k] + 2**14) // 2**15
        total += detail[c * r * r + at[0] % r * r + at[1] % r]
        pixel.append(min(max((total + 32) // 64, 0), 255))
    return pixel


def scalar_layer(q: list, tensors: dict, name: str, low: int, high: int) -> list:
    weight, bias = tensors[f"{name}.weight"].tolist(), tensors[f"{name}.bias"].tolist()
    multipliers = [Fraction(float(m)) for m in tensors[f"{name}.multiplier"]]
    n = len(weight[0][0])

    def value(y: int, x: int, o: int) -> int:
        total = bias[o]
        for i, window in enumerate(weight[o]):
            for ky in range(n):
                for kx in range(n):
                    total += q[y + ky][x + kx][i] * window[ky][kx]
        return min(max(rne(as_float32(total * multipliers[o])), low), high)

    rows, columns = len(q) - n + 1, len(q[0]) - n + 1
    outputs = range(len(weight))
    return [[[value(y, x, o) for o in outputs] for x in range(columns)] for y in range(rows)]


@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_pixels_agree_with_whole_number_arithmetic_written_apart(scale, extreme):
    arch = Architecture("chain", scale, (4, 8), (1, 2))
    tensors = random_int8(arch, scale, extreme)
    patch = np.random.default_rng(9).integers(0, 256, (4 + 4, 3 + 4, 3)).astype(np.uint8)
    hr = reference.upscale(arch, tensors, patch, HARD)
    assert hr.shape == (4 * scale, 3 * scale, 3)
    for at in [(0, 0), (1, 3), (4 * scale - 1, 3 * scale - 2), (scale, 1)]:
        assert hr[at].tolist() == scalar_pixel(arch, tensors, patch, at)
    assert len(np.unique(hr)) > 20


# CRC-32 of the output, as the reference gave it when it was written and agreed with the scalar
# arithmetic above. They keep the definition from moving: packages in the world depend on it.
GOLDEN = {
    ("chain", EASY): 4093679028,
    ("chain", HARD): 2778070320,
    ("chain", BICUBIC): 2947457765,
    ("espcn", HARD): 257638805,
}


@pytest.mark.parametrize(("name", "path"), list(GOLDEN))
def test_golden_pixels(name, path):
    exits = (2, 3) if name == "chain" else (3,)
    arch = Architecture(name, 4, (16, 8, 12), exits)
    side = 9 + 2 * arch.halo_px(path)
    patch = np.random.default_rng(1).integers(0, 256, (side, side + 3, 3)).astype(np.uint8)
    hr = reference.upscale(arch, random_int8(arch, 2), patch, path)
    assert hr.shape == (36, 48, 3)
    assert zlib.crc32(hr.tobytes()) == GOLDEN[name, path]


def test_a_patch_gives_the_frames_pixels():
    """With its halo, so that seams do not show."""
    tensors = random_int8(CHAIN, 3)
    frame = np.random.default_rng(4).integers(0, 256, (20, 24, 3)).astype(np.uint8)
    whole = reference.upscale(CHAIN, tensors, frame, HARD)
    part = reference.upscale(CHAIN, tensors, frame[5:15, 7:19], HARD)
    assert np.array_equal(part, whole[10:22, 14:30])


def test_wdsr_has_no_integer_form():
    arch = Architecture("wdsr", 2, (16, 64, 4), (4,))
    with pytest.raises(PackageError, match=r"wdsr has no int8 form.*chain, espcn"):
        reference.upscale(arch, {}, np.zeros((40, 40, 3), np.uint8), HARD)
