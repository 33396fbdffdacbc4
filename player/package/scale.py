"""The scale: HR pixels for an LR pixel on a side. Whole, or 3/2; 1 is a filter behind the decoder.

Whole scales stay integers, so that arrays, JSON and old packages hold what they always held.
"""

from fractions import Fraction

from player.package.package_error import PackageError

Scale = int | Fraction
SCALES: tuple[Scale, ...] = (1, Fraction(3, 2), 2, 3, 4)


def parse_scale(value: object) -> Scale:
    """The scale of a number or text (2, 1.5, "3/2"); raises PackageError where it is none."""
    for scale in SCALES:
        # Not 2 == True: to Python a bool is a number.
        named = (str(scale), str(scale_number(scale)), str(float(scale)))
        if type(value) in (int, float, str, Fraction) and (value == scale or value in named):
            return scale
    raise PackageError(f"scale {str(value)[:40]} is not 1, 1.5, 2, 3 or 4")


def scale_number(scale: Scale) -> int | float:
    """As JSON and people have it: 2, 1.5."""
    return scale if isinstance(scale, int) else float(scale)


def hr_px(lr_px: int, scale: Scale) -> int:
    """HR pixels that come of so many LR pixels on a side; half a pixel counts as one."""
    whole = Fraction(scale)
    return -(-lr_px * whole.numerator // whole.denominator)
