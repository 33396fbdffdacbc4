"""HDR10's static metadata: of the display a film was graded on, and of its brightest pixels.

A screen needs both to map what it cannot show. Sources: SMPTE ST 2086, CTA-861.3; as FFmpeg hands
them on (AVMasteringDisplayMetadata, AVContentLightMetadata).
"""

import struct
from dataclasses import dataclass, replace
from fractions import Fraction

import av
from av.sidedata.sidedata import Type

from chunking.side_data import side_data

_CHROMA, _LUMA = Fraction(1, 50000), Fraction(1, 10000)  # the units of H.264 and H.265
_MOST_LIGHT = 10000  # cd/m2, the end of SMPTE ST 2084
_ORDER = (1, 2, 0, 3)  # green, blue, red, white, as the encoders name them


@dataclass(frozen=True)
class Hdr:
    """`points`: CIE x and y of red, green, blue and white; `luminance`: most and least cd/m2;
    both empty where no display is told. `light`: MaxCLL and MaxFALL in cd/m2, or empty.
    """

    points: tuple[tuple[Fraction, Fraction], ...] = ()
    luminance: tuple[Fraction, ...] = ()
    light: tuple[int, ...] = ()

    def display_integers(self) -> tuple[int, ...]:
        """x and y of green, blue, red and white, most and least light, in units of the codecs."""
        points = (round(v / _CHROMA) for i in _ORDER for v in self.points[i]) if self.points else ()
        return *points, *(round(v / _LUMA) for v in self.luminance)

    def display(self, as_integers: bool) -> str:
        """G(x,y)B(x,y)R(x,y)WP(x,y)L(most,least): in the units of the codecs, or as numbers."""
        numbers = [float(v) for i in _ORDER for v in self.points[i]]
        numbers += [float(v) for v in self.luminance]
        told = self.display_integers() if as_integers else numbers
        return "G({},{})B({},{})R({},{})WP({},{})L({},{})".format(*told)


NO_HDR = Hdr()


def hdr_of(frame: av.VideoFrame) -> Hdr:
    """What hangs on a decoded frame; what is not whole, or no light that there is, is left out."""
    found = side_data(frame)
    hdr = NO_HDR
    if Type.MASTERING_DISPLAY_METADATA in found:
        numbers = struct.unpack_from("=22i", bytes(found[Type.MASTERING_DISPLAY_METADATA]))
        if all(numbers[1:20:2]) and all(numbers[20:]):  # denominators; "has these" and "those"
            *points, least, most = (Fraction(*numbers[i : i + 2]) for i in range(0, 20, 2))
            if all(0 <= v <= 1 for v in points) and 0 <= least < most <= _MOST_LIGHT:
                pairs = tuple(zip(points[::2], points[1::2], strict=True))
                hdr = replace(hdr, points=pairs, luminance=(most, least))
    if Type.CONTENT_LIGHT_LEVEL in found:
        light = struct.unpack_from("=2I", bytes(found[Type.CONTENT_LIGHT_LEVEL]))
        if 0 < max(light) <= 0xFFFF:
            hdr = replace(hdr, light=light)
    return hdr
